"""Segments reach the engine once each; what it refuses is set aside with the reason."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from otlp import NOW_NS, log_record, log_request, span, trace_request
from tocsin.model.tenant import PLATFORM
from tocsin.storage.telemetry.chdb import ChdbEngine
from tocsin.storage.telemetry.decode import Signal
from tocsin.storage.telemetry.engine import EngineError, Rows
from tocsin.storage.telemetry.spool import Spool, SpoolSettings, read_messages
from tocsin.storage.telemetry.store import TelemetryStore
from tocsin.storage.telemetry.writer import Writer, WriterSettings
from waiting import PATIENCE_SECONDS, eventually

QUICK = WriterSettings(busy_seconds=0.0, idle_seconds=0.0, max_backoff_seconds=0.02)
GARBAGE = b"\x0a\x05\xff\xff\xff\xff\xff"
TRACES = Signal.TRACES


class FaultyEngine:
    """Passes everything on to a real engine, or fails first when it is told to."""

    def __init__(self, engine: ChdbEngine) -> None:
        self._engine = engine
        self.inserts: list[str] = []
        self.fault: Callable[[str], None] = lambda token: None
        self.fault_after: Callable[[str], None] = lambda token: None
        self.is_answering = True

    def query(self, sql: str, parameters: Mapping[str, Any], settings: Mapping[str, Any], max_seconds: float) -> Rows:
        if not self.is_answering:
            raise EngineError("gone")
        return self._engine.query(sql, parameters, settings, max_seconds)

    def execute(self, sql: str) -> None:
        self._engine.execute(sql)

    def insert_segment(self, signal: Signal, segment: Path, token: str) -> None:
        self.inserts.append(token)
        self.fault(token)
        self._engine.insert_segment(signal, segment, token)
        self.fault_after(token)

    def close(self) -> None:
        pass


@pytest.fixture
def faulty(engine: ChdbEngine) -> FaultyEngine:
    return FaultyEngine(engine)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(tmp_path / "spool", SpoolSettings(min_free_bytes=0))
    yield opened
    opened.close()


@pytest.fixture
def rejected(tmp_path: Path) -> Path:
    return tmp_path / "rejected"


@pytest.fixture
def writer(spool: Spool, faulty: FaultyEngine, rejected: Path) -> Writer:
    return Writer(spool, faulty, rejected, QUICK)


def names(store: TelemetryStore) -> list[str]:
    return sorted(row[0] for row in store.read(PLATFORM, "SELECT name FROM spans").rows)


def put_in(spool: Spool, *span_names: str) -> None:
    for name in span_names:
        spool.append(TRACES, trace_request([span(name)]).SerializeToString()).result(PATIENCE_SECONDS)


def raise_error(error: Exception) -> Callable[[str], None]:
    def fault(token: str) -> None:
        raise error

    return fault


def test_spooled_messages_reach_the_tables_and_leave_the_spool(
    spool: Spool, writer: Writer, store: TelemetryStore
) -> None:
    put_in(spool, "one", "two")
    spool.append(Signal.LOGS, log_request([log_record()]).SerializeToString()).result(PATIENCE_SECONDS)
    writer.drain()
    assert names(store) == ["one", "two"]
    assert store.read(PLATFORM, "SELECT count() FROM logs").rows == [[1]]
    assert spool.finished(TRACES) == []
    assert spool.waiting_bytes == 0


def test_running_writer_tells_of_each_commit(
    spool: Spool, faulty: FaultyEngine, rejected: Path, store: TelemetryStore
) -> None:
    committed: list[Signal] = []
    seen = threading.Event()
    writer = Writer(spool, faulty, rejected, QUICK, on_commit=lambda signal: (committed.append(signal), seen.set())[0])
    writer.start()
    put_in(spool, "one")
    assert seen.wait(PATIENCE_SECONDS)
    writer.close()
    assert committed == [TRACES]
    assert names(store) == ["one"]


def test_what_somebody_waits_for_is_inserted_as_early_as_under_load(
    spool: Spool, faulty: FaultyEngine, rejected: Path
) -> None:
    slow = WriterSettings(busy_seconds=0.0, idle_seconds=3600.0)
    committed: list[Signal] = []
    writer = Writer(spool, faulty, rejected, slow, committed.append, lambda signal: signal is Signal.LOGS)
    writer.start()
    put_in(spool, "nobody waits")
    spool.append(Signal.LOGS, log_request([log_record()]).SerializeToString()).result(60)
    eventually(lambda: committed, "what somebody waits for is inserted")
    writer.close()
    assert committed == [Signal.LOGS]


def test_engine_that_is_down_is_tried_again_until_it_is_up(
    spool: Spool, faulty: FaultyEngine, writer: Writer, store: TelemetryStore
) -> None:
    faulty.fault = raise_error(EngineError("no memory", code=241, retryable=True))
    put_in(spool, "patient")
    writer.start()
    eventually(lambda: len(faulty.inserts) >= 3, "it tries three times")
    assert writer.last_error == "no memory"
    faulty.fault = lambda token: None
    eventually(lambda: spool.waiting_bytes == 0, "the spool is empty")
    eventually(lambda: writer.last_error == "", "the error is over")
    writer.close()
    assert names(store) == ["patient"]
    assert len(set(faulty.inserts)) == 1  # always under the same token


def test_refusal_by_an_engine_that_answers_nothing_else_is_no_fault_of_the_segment(
    spool: Spool, faulty: FaultyEngine, writer: Writer, rejected: Path
) -> None:
    faulty.fault = raise_error(EngineError("strange", code=1))
    faulty.is_answering = False
    put_in(spool, "innocent")
    with pytest.raises(EngineError, match="strange"):
        writer.drain()
    assert len(spool.finished(TRACES)) == 1
    assert not rejected.exists()


def test_bad_message_is_set_aside_with_its_reason_and_the_others_stored(
    spool: Spool, writer: Writer, store: TelemetryStore, rejected: Path
) -> None:
    put_in(spool, "a", "b", "c")
    spool.append(TRACES, GARBAGE).result(PATIENCE_SECONDS)
    put_in(spool, "d", "e")
    writer.drain()
    assert names(store) == ["a", "b", "c", "d", "e"]
    (kept,) = (rejected / "traces").glob("*.bin")
    assert kept.read_bytes() == GARBAGE
    reason = json.loads(kept.with_suffix(".json").read_text())
    assert reason["signal"] == "traces"
    assert reason["bytes"] == len(GARBAGE)
    assert len(reason["reason"]) > 10
    assert spool.waiting_bytes == 0


def test_segment_of_bad_messages_only_is_set_aside_whole(spool: Spool, writer: Writer, rejected: Path) -> None:
    for index in range(5):
        spool.append(TRACES, GARBAGE + bytes([index])).result(PATIENCE_SECONDS)
    writer.drain()
    assert len(list((rejected / "traces").glob("*.bin"))) == 5
    assert spool.finished(TRACES) == []


def test_crash_while_bisecting_neither_loses_nor_doubles(
    spool: Spool, faulty: FaultyEngine, writer: Writer, store: TelemetryStore, rejected: Path
) -> None:
    put_in(spool, "a", "b")
    spool.append(TRACES, GARBAGE).result(PATIENCE_SECONDS)
    put_in(spool, "c")

    def crash_after_first_half(token: str) -> None:
        if token.endswith(".0"):
            raise EngineError("killed", retryable=True)

    faulty.fault_after = crash_after_first_half
    with pytest.raises(EngineError, match="killed"):
        writer.drain()
    faulty.fault_after = lambda token: None
    writer.drain()
    assert names(store) == ["a", "b", "c"]
    assert store.read(PLATFORM, "SELECT sum(requests) FROM red_10s").rows == [[3]]
    assert len(list((rejected / "traces").glob("*.bin"))) == 1
    assert list((spool.folder / "traces").iterdir()) == []


def test_crash_between_insert_and_retirement_doubles_nothing(
    spool: Spool, faulty: FaultyEngine, writer: Writer, store: TelemetryStore
) -> None:
    put_in(spool, "once")

    def crash(token: str) -> None:
        raise EngineError("killed", retryable=True)

    faulty.fault_after = crash
    with pytest.raises(EngineError, match="killed"):
        writer.drain()
    assert names(store) == ["once"]
    faulty.fault_after = lambda token: None
    writer.drain()
    assert faulty.inserts[0] == faulty.inserts[1]
    assert names(store) == ["once"]
    for table in ("red_10s", "red_1m", "red_1h"):
        assert store.read(PLATFORM, f"SELECT sum(requests) FROM {table}").rows == [[1]], table


def test_equal_segments_under_different_tokens_are_both_counted(
    spool: Spool, engine: ChdbEngine, store: TelemetryStore
) -> None:
    request = trace_request([span(trace_id=b"t" * 16, span_id=b"s" * 8)]).SerializeToString()
    spool.append(TRACES, request).result(PATIENCE_SECONDS)
    spool.roll(TRACES)
    (segment,) = spool.finished(TRACES)
    for token in ("first", "first", "second"):
        engine.insert_segment(TRACES, segment.path, f"{segment.id}-{token}")
    assert len(names(store)) == 2
    for table in ("red_10s", "red_1m", "red_1h"):
        assert store.read(PLATFORM, f"SELECT sum(requests) FROM {table}").rows == [[2]], table


def test_one_token_stands_for_a_segment_over_several_days(
    spool: Spool, engine: ChdbEngine, store: TelemetryStore
) -> None:
    day = 86_400 * 10**9
    request = trace_request([span(start_ns=NOW_NS - back * day) for back in range(5)])
    spool.append(TRACES, request.SerializeToString()).result(PATIENCE_SECONDS)
    spool.roll(TRACES)
    (segment,) = spool.finished(TRACES)
    for _ in range(3):
        engine.insert_segment(TRACES, segment.path, segment.id)
    assert store.read(PLATFORM, "SELECT count() FROM spans").rows == [[5]]
    assert store.read(PLATFORM, "SELECT sum(requests) FROM red_1h").rows == [[5]]


def test_segment_damaged_on_disk_gives_what_is_whole_and_keeps_the_rest(
    spool: Spool, writer: Writer, store: TelemetryStore, rejected: Path
) -> None:
    put_in(spool, "whole")
    spool.roll(TRACES)
    (segment,) = spool.finished(TRACES)
    with segment.path.open("ab") as file:
        file.write(b"\x7ftorn")
    writer.drain()
    assert names(store) == ["whole"]
    assert [path.read_bytes() for path in (rejected / "traces").glob("*.bin")] == [b"\x7ftorn"]
    assert spool.finished(TRACES) == []


def test_segment_damaged_from_its_first_byte_is_set_aside(spool: Spool, writer: Writer, rejected: Path) -> None:
    put_in(spool, "never seen")
    spool.roll(TRACES)
    (segment,) = spool.finished(TRACES)
    segment.path.write_bytes(b"\xff\xff\x03garbage")
    writer.drain()
    assert [path.read_bytes() for path in (rejected / "traces").glob("*.bin")] == [b"\xff\xff\x03garbage"]


def test_one_signal_that_cannot_be_stored_does_not_hold_up_the_others(
    spool: Spool, faulty: FaultyEngine, writer: Writer, store: TelemetryStore
) -> None:
    put_in(spool, "stuck")
    spool.append(Signal.LOGS, log_request([log_record()]).SerializeToString()).result(PATIENCE_SECONDS)
    spool.roll(TRACES)
    stuck = spool.finished(TRACES)[0].id

    def fault(token: str) -> None:
        if token == stuck:
            raise EngineError("not now", retryable=True)

    faulty.fault = fault
    writer.start()
    eventually(lambda: store.read(PLATFORM, "SELECT count() FROM logs").rows == [[1]], "the line is stored")
    writer.close()
    assert writer.last_error == "not now"
    assert [list(read_messages(segment.path)) for segment in spool.finished(TRACES)]


def test_closing_stops_a_writer_that_waits_to_try_again(spool: Spool, faulty: FaultyEngine, rejected: Path) -> None:
    writer = Writer(spool, faulty, rejected, WriterSettings(idle_seconds=0, max_backoff_seconds=3600))
    faulty.fault = raise_error(EngineError("down", retryable=True))
    put_in(spool, "waits")
    writer.start()
    eventually(lambda: faulty.inserts, "it tries", pause_seconds=0.02)
    started = time.monotonic()
    writer.close()
    assert time.monotonic() - started < 5
    assert len(spool.finished(TRACES)) == 1
