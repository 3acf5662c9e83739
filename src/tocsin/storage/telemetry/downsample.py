"""Folds finished hours of samples into a row per five minutes and per hour, for questions about weeks.

An hour is done once, some minutes after it is over, and again when samples for it come late: its rows replace the
former ones. So samples may arrive in any order and twice, and nothing is counted twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from tocsin.storage.telemetry.engine import Engine, EngineError

log = structlog.get_logger("tocsin.downsample")

HOUR = 3600
GRAINS = {"5m": 300, "1h": HOUR}
SETTLE_SECONDS = 600  # after the end of an hour, for samples under way
AGAIN_HOURS = 3  # after a start: samples may have come late without anybody noticing
ROWS_AT_ONCE = 5_000_000  # of samples, which bounds the memory
MAX_HOURS = 24 * 31  # to catch up at once
CHECK_SECONDS = 60.0

# NaN is no number, and Prometheus' mark of a series' end is one.
ROWS = """
INSERT INTO samples_{grain} (name, series, tenant, time, last_time, first, last, min, max, sum, count, increase)
SELECT name, series, any(of_tenant), at, max(t), argMin(v, t), argMax(v, t), min(v), max(v), sum(v), count(),
    arraySum(arrayMap((d, i) -> if(i = 1, 0, if(d < 0, ordered[i], d)), arrayDifference(
        arrayMap(p -> p.2, arraySort(groupArray((t, v)))) AS ordered), arrayEnumerate(ordered))) AS increase
FROM (
    SELECT name, series, tenant AS of_tenant, toStartOfInterval(time, INTERVAL {seconds} SECOND) AS at, time AS t,
        value AS v
    FROM samples FINAL
    WHERE time >= fromUnixTimestamp({start}) AND time < fromUnixTimestamp({end}) AND NOT isNaN(value)
        AND series % {parts} = {part}
)
GROUP BY name, series, at
SETTINGS max_threads = 1, do_not_merge_across_partitions_select_final = 1
"""


class Downsampler:
    """One thread. `late_hours` takes the hours (since 1970) for which samples came late and empties it."""

    def __init__(
        self,
        engine: Engine,
        late_hours: Callable[[], set[int]] = set,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._late_hours = late_hours
        self._clock = clock
        self._is_first = True
        self._late: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tocsin-downsample", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop after the hour in hand."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def step(self) -> list[int]:
        """Do every hour that is due; the hours done. Raises EngineError."""
        newest = int(self._clock() - SETTLE_SECONDS) // HOUR  # the first hour that is not over
        done_until = self._done_until() or self._oldest() or newest
        first = max(newest - MAX_HOURS, done_until - AGAIN_HOURS if self._is_first else done_until)
        self._late |= self._late_hours()
        due = {hour for hour in self._late if hour < done_until} | set(range(first, newest))
        for hour in sorted(due):
            if self._stop.is_set():
                return []
            self._fold(hour)
            self._late.discard(hour)
            if hour >= done_until:
                self._note(hour + 1)
        if done_until < newest and not due:
            self._note(newest)
        self._is_first = False
        return sorted(due)

    def _run(self) -> None:
        while not self._stop.wait(CHECK_SECONDS):
            try:
                self.step()
            except EngineError as error:
                log.warning("downsample.put_off", error=str(error))

    def _fold(self, hour: int) -> None:
        start, end = hour * HOUR, (hour + 1) * HOUR
        sql = (
            f"SELECT count() FROM samples WHERE time >= fromUnixTimestamp({start}) AND time < fromUnixTimestamp({end})"
        )
        parts = 1 + int(self._engine.query(sql, {}, {}, 60).rows[0][0]) // ROWS_AT_ONCE
        for part in range(parts):
            for grain, seconds in GRAINS.items():
                sql = ROWS.format(grain=grain, seconds=seconds, start=start, end=end, part=part, parts=parts)
                self._engine.execute_aside(sql)

    def _note(self, hour: int) -> None:
        values = ", ".join(f"('{grain}', fromUnixTimestamp({hour * HOUR}))" for grain in GRAINS)
        self._engine.execute(f"INSERT INTO downsampled VALUES {values}")

    def _done_until(self) -> int:
        newest = "SELECT max(until) AS newest FROM downsampled GROUP BY grain"
        return self._hour(f"SELECT toInt64(toUnixTimestamp(min(newest))) FROM ({newest})")

    def _oldest(self) -> int:
        return self._hour("SELECT toInt64(toUnixTimestamp(toDateTime(min(time)))) FROM samples")

    def _hour(self, sql: str) -> int:
        rows = self._engine.query(sql, {}, {}, 30).rows
        return int(rows[0][0] or 0) // HOUR if rows else 0
