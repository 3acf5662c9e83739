"""Writes down the patterns of log lines and which shapes belong to them. Written twice, a row replaces itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from tocsin.storage.telemetry.engine import Engine


@dataclass(frozen=True, slots=True)
class PatternRow:
    """A pattern of a service. into: the id of the one that absorbed it, 0 for none. made_ms: when it was found."""

    service: str
    id: int
    template: str
    made_ms: int
    into: int = 0


@dataclass(frozen=True, slots=True)
class ShapeRow:
    """The pattern of a shape."""

    service: str
    shape: int
    pattern: int


def keep_patterns(engine: Engine, rows: Sequence[PatternRow], now_ms: int) -> None:
    """Raises EngineError."""
    said = [
        {
            "service": row.service, "id": row.id, "template": row.template, "into": row.into,
            "made": _moment(row.made_ms), "stored": _moment(now_ms),
        }
        for row in rows
    ]  # fmt: skip
    _insert(engine, "log_patterns", said)


def keep_shapes(engine: Engine, rows: Sequence[ShapeRow], now_ms: int) -> None:
    """Raises EngineError."""
    day, stored = now_ms // 86_400_000, _moment(now_ms)
    said = [
        {"day": day, "service": row.service, "shape": row.shape, "pattern": row.pattern, "stored": stored}
        for row in rows
    ]
    _insert(engine, "log_shape_patterns", said)


def _insert(engine: Engine, table: str, rows: Sequence[dict[str, object]]) -> None:
    if rows:
        lines = b"\n".join(orjson.dumps(row) for row in rows).decode()
        engine.execute_aside(f"INSERT INTO {table} FORMAT JSONEachRow {lines}")


def _moment(time_ms: int) -> str:
    return f"{time_ms // 1000:010d}.{time_ms % 1000:03d}"  # fewer digits would be read as a year
