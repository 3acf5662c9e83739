"""What the reader has chosen on every page: time range, tenant, environment; read from the URL, or else from a cookie.

As soon as one of the parameters stands in the URL, the URL alone rules, so that a shared link shows the same to
everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo
from urllib.parse import parse_qsl, urlencode

from tocsin.model.window import Window
from tocsin.query.timerange import RANGES, TimeRangeError, instant_ns

SPOKEN = {
    "15m": "15 minutes",
    "1h": "hour",
    "6h": "6 hours",
    "24h": "24 hours",
    "7d": "7 days",
    "30d": "30 days",
}
REFRESH_SECONDS = {"15m": 2, "1h": 2, "6h": 10, "24h": 30, "7d": 60, "30d": 60}
"""How often a live page asks again, unless its answers take long: what breaks must be seen within seconds, and a point
of a 30 day chart moves later."""

DEFAULT_RANGE = "1h"
COOKIE = "tocsin_view"
PARAMETERS = ("range", "start", "end", "tenant", "env")


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen time range (`range`, or `start_ns`..`end_ns` when a span of time was picked), tenant, environment."""

    range: str = DEFAULT_RANGE
    start_ns: int | None = None
    end_ns: int | None = None
    tenant: str | None = None
    environment: str | None = None

    @property
    def is_absolute(self) -> bool:
        return self.start_ns is not None

    @property
    def refresh_seconds(self) -> int:
        """Seconds between two refreshes of a live page; 0 when the range ends in the past and nothing can change."""
        return 0 if self.is_absolute else REFRESH_SECONDS[self.range]

    def window(self, now_ns: int) -> Window:
        if self.start_ns is not None and self.end_ns is not None:
            return Window(self.start_ns, self.end_ns)
        return Window.last(RANGES[self.range], now_ns)

    def parameters(self) -> dict[str, str]:
        """The URL parameters that say the same again."""
        if self.start_ns is not None and self.end_ns is not None:
            said = {"start": _seconds(self.start_ns), "end": _seconds(self.end_ns)}
        else:
            said = {"range": self.range}
        if self.tenant:
            said["tenant"] = self.tenant
        if self.environment:
            said["env"] = self.environment
        return said

    def cookie(self) -> str:
        """What to remember for the next page; a span of time that was picked is not."""
        return urlencode(replace(self, start_ns=None, end_ns=None).parameters())


def choose(query: Mapping[str, str], cookie: str, zone: tzinfo) -> Choice:
    """The choice of a request; times without an offset are read in `zone`.

    Raises TimeRangeError for what it cannot read in the URL; a cookie it cannot read counts as none.
    """
    if any(name in query for name in PARAMETERS):
        return _read(query, zone)
    try:
        return _read(dict(parse_qsl(cookie)), zone)
    except TimeRangeError:
        return Choice()


def _read(said: Mapping[str, str], zone: tzinfo) -> Choice:
    tenant, environment = said.get("tenant") or None, said.get("env") or None
    if said.get("start") and said.get("end"):
        start_ns, end_ns = instant_ns(said["start"], zone), instant_ns(said["end"], zone)
        if end_ns <= start_ns:
            raise TimeRangeError("cannot show this time range: it ends before it starts; swap start and end")
        return Choice(start_ns=start_ns, end_ns=end_ns, tenant=tenant, environment=environment)
    chosen = said.get("range") or DEFAULT_RANGE
    if chosen not in RANGES:
        raise TimeRangeError(
            f"cannot show range '{chosen[:40]}': it is not one of {', '.join(RANGES)}; pick one of these"
        )
    return Choice(chosen, tenant=tenant, environment=environment)


def _seconds(instant_ns: int) -> str:
    return f"{instant_ns / 1e9:.3f}".rstrip("0").rstrip(".")
