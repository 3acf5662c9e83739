"""Rate, errors and duration of every request, exact whatever the sampling of traces, in bounded memory."""

from __future__ import annotations

import time
from math import floor, log2
from typing import NamedTuple

# Buckets per power of two are 2**SCALE: a relative error below 0.6 %.
SCALE = 6
_PER_OCTAVE = 1 << SCALE
_SHORTEST_SECONDS = 1e-9

OTHER = "other"
# Rows that folded requests may still open past the limit, before route and status are folded, too.
_FOLDED_ROWS = 1000


class RedKey(NamedTuple):
    """What is counted apart. error_type is '' unless the request failed."""

    method: str
    route: str
    status: int
    tenant: str
    error_type: str


class RedRow:
    """The sums of one key since the last collection. buckets: exponential bucket index → requests."""

    __slots__ = (
        "background_count", "background_seconds", "buckets", "request_bytes", "request_count", "response_bytes",
        "seconds",
    )  # fmt: skip

    def __init__(self) -> None:
        self.seconds = 0.0
        self.response_bytes = 0
        self.request_count = 0
        self.request_bytes = 0
        self.background_count = 0
        self.background_seconds = 0.0
        self.buckets: dict[int, int] = {}

    @property
    def count(self) -> int:
        return sum(self.buckets.values())


# (method, route, status, tenant, error type): a plain tuple, because building a RedKey costs each request.
Key = tuple[str, str, int, str, str]
Rows = dict[Key, RedRow]


class RedCollection(NamedTuple):
    """The rows of one interval."""

    start_ns: int
    end_ns: int
    rows: Rows


class RedTable:
    """Counts requests by key. Used under the agent's digest lock, so a request lands in exactly one collection."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rows: Rows = {}
        self._start_ns = time.time_ns()
        self.folded = self._total = self._failed = 0

    def record(self, key: Key, seconds: float, request_bytes: int, response_bytes: int) -> None:
        """Counts one request. request_bytes is -1 when unknown; see RedKey for the key's parts."""
        index = floor(log2(seconds if seconds > _SHORTEST_SECONDS else _SHORTEST_SECONDS) * _PER_OCTAVE)
        row = self._rows.get(key) or self._open(key)
        row.seconds += seconds
        row.response_bytes += response_bytes
        if request_bytes >= 0:
            row.request_count += 1
            row.request_bytes += request_bytes
        buckets = row.buckets
        buckets[index] = buckets.get(index, 0) + 1

    def record_background(self, key: Key, seconds: float) -> None:
        """Adds the work after the last byte of a request that was already counted."""
        row = self._rows.get(key) or self._open(key)
        row.background_count += 1
        row.background_seconds += seconds

    def collect(self) -> RedCollection:
        """Everything since the last collection; the table begins anew."""
        now = time.time_ns()
        rows, self._rows = self._rows, {}
        start_ns, self._start_ns = self._start_ns, now
        self._total, self._failed = self._total_with(rows), self._failed_with(rows)
        return RedCollection(start_ns, now, rows)

    @property
    def rows(self) -> Rows:
        """What has been counted since the last collection."""
        return self._rows

    @property
    def total(self) -> int:
        """Requests counted since the process began."""
        return self._total_with(self._rows)

    @property
    def failed(self) -> int:
        """Of these, the failed ones."""
        return self._failed_with(self._rows)

    def _total_with(self, rows: Rows) -> int:
        return self._total + sum(row.count for row in tuple(rows.values()))

    def _failed_with(self, rows: Rows) -> int:
        return self._failed + sum(row.count for key, row in tuple(rows.items()) if key[4])

    def forget(self) -> None:
        """Empties the table without a trace; in a forked child the parent's rows are the parent's to send."""
        self._rows = {}
        self._start_ns = time.time_ns()
        self.folded = self._total = self._failed = 0

    def _open(self, key: Key) -> RedRow:
        """A row for a key that has none yet: its own, or past the limit one in which tenants are folded."""
        if len(self._rows) >= self._limit:
            self.folded += 1
            method, route, status, _, error_type = key
            key = (method, route, status, OTHER, error_type)
            if key not in self._rows and len(self._rows) >= self._limit + _FOLDED_ROWS:
                key = (method, OTHER, status // 100 * 100, OTHER, OTHER if error_type else "")
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = RedRow()
        return row
