"""Who has a connection of a pool right now, since when, and which line took it; and who keeps one too long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter_ns
from typing import Any, NamedTuple

from tocsin.sdk.caller import Line, own_line
from tocsin.sdk.instrument._contract import Gauge
from tocsin.sdk.route import caller_of
from tocsin.sdk.settings import Settings
from tocsin.sdk.spans import RecordingSpan

_SHOWN_HOLDERS = 10


class Holder(NamedTuple):
    """Who has a connection, since when (perf_counter), and the line that took it."""

    pool: str
    since_ns: int
    span: RecordingSpan | None
    line: Line | None
    kept: Any

    def where(self) -> str:
        """`GET /search`, a span's name, or '' outside of everything."""
        return caller_of(self.span.root) if self.span is not None else ""

    def __str__(self) -> str:
        seconds = (perf_counter_ns() - self.since_ns) / 1e9
        parts = [self.where(), f"at {self.line}" if self.line is not None else "", f"for {seconds:.1f} s"]
        return " ".join(part for part in parts if part)


class Holders:
    """Of one library's pools, by the connection that was taken.

    is_kept: whether what `take` was told to keep is still out; a connection may leave its pool in other ways than back.
    """

    def __init__(self, settings: Settings, is_kept: Callable[[Any], bool]) -> None:
        self._held_ns = settings.held_connection_seconds * 1e9
        self._is_kept = is_kept
        self._held: dict[int, Holder] = {}

    def take(self, taken: Any, pool: str, span: RecordingSpan | None, now_ns: int, kept: Any = None) -> None:
        """Notes who has just been given a connection. kept: what tells whether it is still out, `taken` by itself."""
        self._held[id(taken)] = Holder(pool, now_ns, span, own_line(), taken if kept is None else kept)

    def give_back(self, taken: Any) -> None:
        """Says on the request how long it had a connection that it kept too long."""
        holder = self._held.pop(id(taken), None)
        if holder is None or holder.span is None:
            return
        held_ns = perf_counter_ns() - holder.since_ns
        if held_ns >= self._held_ns:
            facts = {"tocsin.db.pool.name": holder.pool, "tocsin.duration_ms": round(held_ns / 1e6, 3)}
            if holder.line is not None:
                facts.update(holder.line.attributes())
            holder.span.root.add_event("tocsin.db.connection_held", facts)

    def all(self) -> list[Holder]:
        """Everybody who has a connection right now, the longest first."""
        for key, holder in list(self._held.items()):
            if not self._is_kept(holder.kept):
                self._held.pop(key, None)
        return sorted(self._held.values(), key=lambda holder: holder.since_ns)

    def name_on(self, span: RecordingSpan, pool: str) -> None:
        """Names on a request that got no connection who had those of the pool."""
        holders = [str(holder) for holder in self.all() if holder.pool == pool]
        span.root.set_attribute("tocsin.db.pool.holders", holders[:_SHOWN_HOLDERS])

    def gauges(self) -> Iterator[Gauge]:
        seconds: dict[tuple[str, str, str], float] = {}
        for holder in self.all():
            where = (holder.pool, holder.where(), str(holder.line or ""))
            held_ns = perf_counter_ns() - holder.since_ns
            if held_ns >= self._held_ns:
                seconds[where] = max(seconds.get(where, 0.0), held_ns / 1e9)
        words = "How long somebody has kept a connection that is kept too long: the longest by pool, route and line."
        for (name, route, line), held in list(seconds.items())[:_SHOWN_HOLDERS]:
            labels = {"pool": name, "route": route, "line": line}
            yield Gauge("database_connection_held_seconds", words, "s", round(held, 3), labels)
