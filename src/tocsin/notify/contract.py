"""What a channel is given, what it gives back, and all channels there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Literal, Protocol, cast

from tocsin.collect.scrape_config import Access
from tocsin.model.clock import utc_now
from tocsin.model.notification import Notification, Outcome, Receipt
from tocsin.notify.chart import Draw, Picture
from tocsin.notify.render import Text
from tocsin.registry import plugins
from tocsin.storage.control.push import Push


class DeliveryError(Exception):
    """A message was not taken. `retryable`: the same may be taken later, not before `retry_after_seconds`.

    status: what the provider answered over HTTP; 0 when nothing.
    """

    def __init__(
        self, reason: str, *, retryable: bool, retry_after_seconds: float | None = None, status: int = 0
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds
        self.status = status


@dataclass(frozen=True, slots=True)
class Pace:
    """What a provider takes: `burst` messages at once, and one more each `seconds`."""

    seconds: float
    burst: int = 1


@dataclass(frozen=True, slots=True)
class Listed:
    """How a list of maps becomes texts "name=value": one key has the name, the first of `values` that is set the value.

    Where there are several values to choose from, the name says which: "team.name=ops". passed_over: keys that are not
    carried out and change nothing that matters.
    """

    name: str
    values: tuple[str, ...]
    passed_over: frozenset[str] = frozenset()

    def text(self, one: Mapping[str, Any]) -> str:
        """'' for a map that has no such name and value."""
        key = next((key for key in self.values if one.get(key)), "")
        if not key or not one.get(self.name):
            return ""
        return f"{one[self.name]}{f'.{key}' if len(self.values) > 1 else ''}={one[key]}"

    def unknown(self, one: Mapping[str, Any]) -> list[str]:
        return sorted(one.keys() - {self.name, *self.values} - self.passed_over)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a channel stands in Alertmanager's configuration.

    keys: those of a receiver. shared: names under `global` and renamed: names in an entry that are called otherwise
    here. listed: entries that are lists of maps. send_resolved: Alertmanager's default.
    """

    keys: tuple[str, ...]
    shared: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    send_resolved: bool = True
    listed: Mapping[str, Listed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """A notification as one channel has to tell it.

    reference: the provider's id of the last message of the same group while it fires; '' begins anew. key: the same
    however often this is tried, for the provider to recognise. push: the browsers that asked to be told.
    """

    notification: Notification
    text: Text
    key: str
    reference: str = ""
    access: Access = field(default_factory=Access)
    timeout_seconds: float = 10.0
    draw: Draw | None = None
    push: Push | None = None
    now: datetime = field(default_factory=utc_now)

    def worded(self, configured: str, default: str) -> str:
        """What an administrator wrote for this channel, its templates filled already; else our own words."""
        return configured or default

    def chart(self) -> Picture | None:
        """What the alert is about, drawn; None where there is nothing to draw."""
        return self.draw(self.notification) if self.draw else None

    def sent(self, reference: str = "", reason: str = "") -> Receipt:
        return Receipt(Outcome.SENT, self.now, reason=reason, reference=reference)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Who acknowledged at the provider, and when."""

    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """What somebody did at a provider about one group. reference: as in the receipts of its messages.

    released: taken back; closed: ended there, whatever goes on here.
    """

    what: Literal["acknowledged", "released", "closed"]
    reference: str
    by: str


class Channel(Protocol):
    """A module of notify/channels."""

    __doc__: str
    Settings: Callable[..., Any]
    PACE: Pace

    def send(self, settings: Any, message: Message) -> Receipt:
        """Tells it now. Raises DeliveryError."""
        ...


@cache
def channels() -> dict[str, Channel]:
    """Every channel by its name."""
    return {name: cast(Channel, module) for name, module in plugins("tocsin.notify.channels")}


def channel_settings() -> dict[str, type]:
    """The settings class of every channel by its section."""
    return {f"notify_{name}": cast(type, channel.Settings) for name, channel in channels().items()}


def missing(**fields: object) -> str:
    """The names of the fields that are empty, for `lacks`."""
    return ", ".join(name for name, value in fields.items() if not value)
