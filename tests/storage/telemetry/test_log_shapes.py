"""The engine gives lines the shapes that Python gives them, counts them, and keeps their patterns."""

from __future__ import annotations

from typing import Any

import pytest
from log_samples import SYSTEMS, lines_of

from otlp import NOW_NS, log_record, log_request
from tocsin.model.log_shape import LONGEST, shape_of
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.storage.telemetry.chdb import ChdbEngine
from tocsin.storage.telemetry.log_patterns import PatternRow, ShapeRow, keep_patterns, keep_shapes
from tocsin.storage.telemetry.store import TelemetryStore

ODD = [
    "it's 5 o'clock\nand a second line", "naïve café 12,5 €", "日本 42", "a" * (LONGEST - 1) + "12", "-1 --2 +3",
    "00:1a:2b:3c:4d:5e up", "fe80:0:0:0:204:61ff:fe9d:f156", "0xdeadBEEF!", "deadbeef", "Sun Jun 14 15:16:01 2005 x",
    "May I 5 KB <1 sec 3.5MB", "1.2.3.4:80/7", "{\"a\": 1}", "tab\t1\tr\r", "Mon, Jan 5", "x" * 5000 + "1",
]  # fmt: skip


@pytest.mark.parametrize("lines", [ODD, *([line for line, _ in lines_of(system, 60)] for system in SYSTEMS)])
def test_engine_and_python_make_the_same_shapes(store: TelemetryStore, put: Any, lines: list[str]) -> None:
    put(log_request([log_record(line) for line in lines]))
    hashes = store.read(PLATFORM, "SELECT body, shape FROM logs").rows
    of_text = "SELECT cityHash64({text:String})"
    assert len(hashes) == len(lines)
    for body, shape in hashes:
        assert store.read(PLATFORM, of_text, text=shape_of(body)).rows == [[shape]], body


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"level":"info","msg":"low stock"}', "low stock"),
        (' {"event":"by structlog","message":"by logging"}', "by logging"),
        ('{"message":"","msg":null,"event":"third"}', "third"),
        ('{"event":{"kind":"alert"},"body":"fourth"}', "fourth"),
        ('{"message":["a"],"event":"[worker] up"}', "[worker] up"),
        ('{"message":"\\u00e4\\nsecond \\"line\\""}', 'ä\nsecond "line"'),
        ('{"log":{"message":"deep"}}', '{"log":{"message":"deep"}}'),
        ('{"message":"cut', '{"message":"cut'),
        ('["message"]', '["message"]'),
        ("plain {", "plain {"),
    ],
)
def test_message_of_a_line_is_its_readable_part(store: TelemetryStore, put: Any, line: str, message: str) -> None:
    put(log_request([log_record(line), log_record(message)]))
    rows = store.read(PLATFORM, "SELECT message, shape FROM logs").rows
    assert [found for found, _ in rows] == [message, message]
    assert len({shape for _, shape in rows}) == 1
    assert store.read(PLATFORM, "SELECT DISTINCT example FROM log_shapes").rows == [[message]]


def test_lines_are_counted_by_shape_and_events_are_not(store: TelemetryStore, put: Any) -> None:
    records = [log_record(f"order {number} placed", severity_number=9) for number in range(5)]
    put(log_request([*records, log_record("order 5 placed", event_name="order.placed"), log_record({"a": 1})]))
    for table in ("log_shapes_1m", "log_shapes_1h", "log_shapes"):
        assert store.read(PLATFORM, f"SELECT sum(lines), uniqExact(shape) FROM {table}").rows == [[5, 1]], table
        assert store.read(Scope.of("globex"), f"SELECT count() FROM {table}").rows == [[0]], table
    found = store.read(
        PLATFORM, "SELECT shape, example, level, argMinMerge(first_release) FROM log_shapes GROUP BY ALL"
    )
    [[shape, example, level, release]] = found.rows
    assert shape
    assert shape_of(example) == "order # placed"
    assert (level, release) == ("info", "")


def test_patterns_and_their_shapes_are_kept_once(engine: ChdbEngine) -> None:
    now_ms = NOW_NS // 1_000_000
    for template in ("a 'b' \\ 1", "a <*>"):
        now_ms += 1
        keep_patterns(engine, [PatternRow("shop", 2**63 - 7, template, 5_500)], now_ms)
        keep_shapes(engine, [ShapeRow("shop", 2**64 - 1, 2**63 - 7)], now_ms)
    rows = engine.query("SELECT id, template, toUnixTimestamp64Milli(made) FROM log_patterns FINAL", {}, {}, 10).rows
    assert rows == [[2**63 - 7, "a <*>", 5_500]]
    shapes = engine.query("SELECT service, shape, pattern FROM log_shape_patterns FINAL", {}, {}, 10).rows
    assert shapes == [["shop", 2**64 - 1, 2**63 - 7]]
