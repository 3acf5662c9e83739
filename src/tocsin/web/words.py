"""Parts of speech shared by the headlines of all pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Protocol
from urllib.parse import quote

from tocsin.web import format

FAILING_RATIO = 0.05
"""Failed requests from here on are harm, the colour of harm included."""

NOTICED_RATIO = 0.01
"""Failed requests from here on are worth a word and the colour of 'close'."""

UNMATCHED = "unmatched"
"""The route under which requests to paths without a route are counted."""


class Linker(Protocol):
    """Gives the address of a path with the reader's choice; a parameter that is None is left out."""

    def __call__(self, path: str, **parameters: object) -> str: ...


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a sentence, perhaps a link, perhaps about harm."""

    text: str
    href: str = ""
    is_harm: bool = False


@dataclass(frozen=True, slots=True)
class Headline:
    """`state` is bad, warn, ok or quiet; `sub` is the line below."""

    state: str
    parts: tuple[Part, ...]
    sub: tuple[Part, ...] = ()

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)

    @property
    def sub_text(self) -> str:
        return "".join(part.text for part in self.sub)


@dataclass(frozen=True, slots=True)
class Speech:
    """What sentences need beside figures: addresses of other pages (`link`) and of this one with a parameter changed
    (`here`), now, the reader's zone, and the names of the chosen time ('the last hour') and of the one before."""

    link: Linker
    here: Callable[..., str]
    now_ns: int
    zone: tzinfo
    span: str = "the last hour"
    before: str = "the hour before"

    def clock(self, instant_ns: int) -> str:
        return format.clock(instant_ns, self.zone, self.now_ns)


def endpoint_name(method: str, route: str) -> str:
    return f"{method} on paths without a route" if route == UNMATCHED else f"{method} {route}"


def endpoint_link(link: Linker, service: str, method: str, route: str) -> str:
    return link(f"/services/{quote(service, safe='')}/endpoint", method=method, route=route)


def service_link(link: Linker, service: str) -> str:
    return link(f"/services/{quote(service, safe='')}")


def tenant_link(link: Linker, tenant: str) -> str:
    return link(f"/tenants/{quote(tenant, safe='')}", tenant=None)


def trace_link(link: Linker, trace_id: str) -> str:
    return link(f"/traces/{trace_id}")


def traces_link(link: Linker, **parameters: object) -> str:
    return link("/traces", **parameters)


def row(parts: Sequence[Part], between: str = " · ") -> tuple[Part, ...]:
    """Parts with a separator between each two."""
    spaced = [part for each in parts for part in (Part(between), each)]
    return tuple(spaced[1:])


def listed(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Parts as in speech: a, b and c."""
    if len(parts) < 2:
        return tuple(parts)
    return (*row(parts[:-1], ", "), Part(" and "), parts[-1])
