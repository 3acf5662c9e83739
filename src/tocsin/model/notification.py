"""What is told to a receiver: one group of alerts at one time, in the terms of Alertmanager's webhook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tocsin.model.alert import Alert
from tocsin.model.severity import Severity


class Outcome(StrEnum):
    """How an attempt to tell somebody ended."""

    SENT = "sent"  # taken by the provider
    RETRYING = "retrying"
    FAILED = "failed"  # given up
    HELD = "held"  # storm, maintenance, pacing: said later, or in a digest


@dataclass(frozen=True, slots=True)
class Report:
    """What is told regularly, whether or not anything fires. state: bad, warn, ok or quiet, as in headlines.

    facts: (heading, words), several lines of words where there is a list. links: (label, path on this server).
    """

    title: str
    summary: str
    state: str
    facts: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()

    @property
    def is_harm(self) -> bool:
        return self.state in ("bad", "warn")


@dataclass(frozen=True)
class Notification:
    """One group of alerts for one receiver. key: the same for the same group and state, so that it goes out once.

    held_back: alerts that a digest stands for and that are not told one by one. report: what is told instead of alerts,
    which then are one that stands for it where a provider takes nothing else.
    """

    key: str
    receiver: str
    group_key: str
    group_labels: Mapping[str, str]
    firing: tuple[Alert, ...]
    resolved: tuple[Alert, ...]
    made_at: datetime
    external_url: str = ""
    held_back: int = 0
    cause: str = ""  # why these belong together, and the likely root, in a sentence
    report: Report | None = None

    @property
    def alerts(self) -> tuple[Alert, ...]:
        return self.firing + self.resolved

    @property
    def status(self) -> str:
        return "firing" if self.firing else "resolved"

    @property
    def severity(self) -> Severity:
        """That of the worst alert in it."""
        return min((alert.severity for alert in self.firing or self.resolved), default=Severity.P4)

    @property
    def common_labels(self) -> dict[str, str]:
        return _common([alert.labels for alert in self.alerts])

    @property
    def common_annotations(self) -> dict[str, str]:
        return _common([alert.annotations for alert in self.alerts])


@dataclass(frozen=True)
class Receipt:
    """What became of one attempt at one channel. reference: the provider's id, by which an acknowledgement returns."""

    outcome: Outcome
    at: datetime
    reason: str = ""
    reference: str = ""
    retry_after_seconds: float | None = field(default=None)


def _common(maps: list[Mapping[str, str]]) -> dict[str, str]:
    if not maps:
        return {}
    first, *others = maps
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
