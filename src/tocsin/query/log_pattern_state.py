"""What the miner of patterns asks the store: lines of which shapes came, what is known, and what came how often."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.tenant import PLATFORM
from tocsin.storage.telemetry.store import TelemetryStore

MOST_SHAPES = 20_000
MOST_PATTERNS = 100_000

EXPLODING_MINUTES, USUAL_MINUTES = 5, 60


@dataclass(frozen=True, slots=True)
class ShapeSeen:
    """A shape of which lines were stored. tenants: a few of those that have it; times of the lines themselves."""

    service: str
    shape: int
    example: str
    level: str
    environment: str
    release: str  # of the first line
    tenants: tuple[str, ...]
    first_ns: int
    stored_ms: int


@dataclass(frozen=True, slots=True)
class KnownPattern:
    """A pattern as it was kept; into is 0 unless another one absorbed it."""

    service: str
    id: int
    template: str
    into: int
    made_ms: int


@dataclass(frozen=True, slots=True)
class Burst:
    """Lines of a shape in the last five minutes and in the hour before. tenants: those with most of the recent ones."""

    service: str
    shape: int
    recent: int
    usual: int
    level: str
    environment: str
    release: str
    tenants: tuple[str, ...]


def shapes_since(store: TelemetryStore, stored_ms: int, *, unknown_only: bool = False) -> list[ShapeSeen]:
    """The shapes with lines stored after that time, MOST_SHAPES at most; all of them or those without a pattern."""
    unknown = "AND (service, shape) NOT IN (SELECT service, shape FROM log_shape_patterns)" if unknown_only else ""
    sql = (
        "SELECT service, shape, anyLast(s.example) AS example, anyLast(s.level) AS level, "
        "any(environment) AS environment, argMinMerge(first_release) AS release, groupUniqArray(3)(tenant) AS tenants, "
        "toUnixTimestamp64Nano(min(s.first)) AS first_ns, toUnixTimestamp64Milli(max(s.stored)) AS stored_ms "
        "FROM log_shapes AS s WHERE s.stored > fromUnixTimestamp64Milli({since:Int64}) "
        f"{unknown} GROUP BY service, shape LIMIT {MOST_SHAPES}"
    )
    rows = store.read(PLATFORM, sql, since=stored_ms).dicts()
    return [ShapeSeen(**{**row, "tenants": tuple(row["tenants"])}) for row in rows]


def known_patterns(store: TelemetryStore) -> list[KnownPattern]:
    """Those used last, the longest unused first."""
    sql = (
        "SELECT service, id, template, into, toUnixTimestamp64Milli(made) AS made_ms FROM log_patterns FINAL "
        f"ORDER BY stored DESC LIMIT {MOST_PATTERNS}"
    )
    return [KnownPattern(**row) for row in reversed(store.read(PLATFORM, sql).dicts())]


def bursts(store: TelemetryStore, now_ms: int, least_lines: int) -> list[Burst]:
    """The shapes with lines in the last whole minutes, with the hour before; those with very few lines are left out."""
    end = now_ms // 60_000 * 60
    start = end - EXPLODING_MINUTES * 60
    sql = (
        "SELECT service, shape, sumIf(lines, time >= {start:DateTime}) AS recent, "
        "sumIf(lines, time < {start:DateTime}) AS usual, anyLast(c.level) AS level, any(environment) AS environment, "
        "anyLast(c.release) AS release, topKWeightedIf(3)(tenant, lines, time >= {start:DateTime}) AS tenants "
        "FROM log_shapes_1m AS c WHERE time >= {before:DateTime} AND time < {end:DateTime} "
        f"GROUP BY service, shape HAVING recent * 10 >= {{least:UInt64}} LIMIT {MOST_SHAPES}"
    )
    asked = {"start": start, "end": end, "before": start - USUAL_MINUTES * 60, "least": least_lines}
    rows = store.read(PLATFORM, sql, **asked).dicts()
    return [Burst(**{**row, "tenants": tuple(row["tenants"])}) for row in rows]
