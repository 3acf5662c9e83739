"""Lines as they arrive: what a search has not answered yet, asked again and again."""

from __future__ import annotations

from tocsin.model.tenant import Scope
from tocsin.model.window import Window
from tocsin.query.log_filter import LogQuery
from tocsin.query.logs import COLUMNS, LogLine, line_of
from tocsin.storage.telemetry.store import TelemetryStore

LATE_SECONDS = 30
"""Lines that arrive later than this after their own time are found by a search, not by a tail."""
GAP_SECONDS = 600
"""So much is made up for where nobody asked for a while: a reader who was slow, or away."""
EARLY_SECONDS = 300
"""Clocks of senders may run ahead by so much."""
MOST_AT_ONCE = 200
LOOKED_AT = 1000
"""Lines looked at each time: where more than this arrive in between, the older ones are not found."""


class Tail:
    """What arrives of the lines that fit, from `since_ns` on but at most GAP_SECONDS back; the window of the query is
    not looked at.

    Lines are told by their ids, because they do not arrive in the order of their times.
    """

    def __init__(self, query: LogQuery, since_ns: int) -> None:
        self._query = query
        self._since_ns = since_ns
        self._looked_ns = since_ns
        self._seen: dict[str, int] = {}  # ids with their time, of the time in which lines may still come late
        self.left_out = 0

    def arrived(self, store: TelemetryStore, scope: Scope, now_ns: int) -> list[LogLine]:
        """The lines that were not there the last time, oldest first. At most MOST_AT_ONCE, the newest; `left_out` then
        counts those that were found beside them, as far as they were looked at. Raises LogQueryError."""
        late_ns = min(self._looked_ns, now_ns) - LATE_SECONDS * 10**9
        start_ns = max(0, self._since_ns, late_ns, now_ns - GAP_SECONDS * 10**9)
        window = Window(start_ns, max(start_ns + 1, now_ns + EARLY_SECONDS * 10**9))
        condition, values = self._query.within(window).condition()
        sql = (
            f"SELECT {COLUMNS} FROM (SELECT *, level, message FROM logs WHERE {condition} "
            f"ORDER BY time DESC LIMIT {{limit:UInt32}}) ORDER BY time DESC"
        )
        rows = store.read(self._query.narrowed(scope), sql, **values, limit=LOOKED_AT).dicts()
        self._looked_ns = now_ns
        fresh = [line for row in rows if (line := line_of(row)).id not in self._seen]
        self._seen = {id: at for id, at in self._seen.items() if at >= start_ns}
        self._seen |= {line.id: line.time_ns for line in fresh}
        shown = fresh[:MOST_AT_ONCE]
        self.left_out = len(fresh) - len(shown)
        return shown[::-1]
