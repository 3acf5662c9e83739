"""The embedded engine keeps the contract of `engine.Engine`."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine_slot import EngineSlot
from otlp import span, trace_request
from tocsin.storage.telemetry.chdb import ChdbEngine, ChdbSettings
from tocsin.storage.telemetry.decode import Signal
from tocsin.storage.telemetry.engine import EngineError, QueryTimeoutError
from tocsin.storage.telemetry.migrate import migrate
from tocsin.storage.telemetry.spool import write_messages

NASTY = "it's \\ \"quoted\"\t\n\r\0\b `x` -- ; {name:String} \\N \\' NULL 🜁"


@pytest.fixture(scope="module")
def shared(engine_slot: EngineSlot) -> ChdbEngine:
    return engine_slot.occupied()


@settings(max_examples=150, deadline=None)
@given(text=st.text(), texts=st.lists(st.text(), max_size=4))
@example(text=NASTY, texts=[NASTY, "", "'", "\\"])
def test_any_text_passes_as_a_parameter(shared: ChdbEngine, text: str, texts: list[str]) -> None:
    sql = "SELECT {text:String} AS one, {texts:Array(String)} AS many, length({text:String}) AS bytes"
    (row,) = shared.query(sql, {"text": text, "texts": texts}, {}, 10).rows
    assert row == [text, texts, len(text.encode())]


@settings(max_examples=50, deadline=None)
@given(number=st.integers(-(2**63), 2**63 - 1), ratio=st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_passes_as_a_parameter(shared: ChdbEngine, number: int, ratio: float) -> None:
    sql = "SELECT {number:Int64}, {ratio:Float64}, {numbers:Array(Int64)}"
    parameters = {"number": number, "ratio": ratio, "numbers": [number, 0]}
    ((whole, part, listed),) = shared.query(sql, parameters, {}, 10).rows
    assert (whole, float(part), listed) == (number, ratio, [number, 0])


@settings(max_examples=50, deadline=None)
@given(text=st.text())
@example(text=NASTY)
def test_any_text_passes_as_a_setting(shared: ChdbEngine, text: str) -> None:
    assert shared.query("SELECT getSetting('log_comment')", {}, {"log_comment": text}, 10).rows == [[text]]


def test_query_past_its_time_is_stopped(shared: ChdbEngine) -> None:
    with pytest.raises(QueryTimeoutError) as caught:
        shared.query("SELECT count() FROM numbers(1e12) WHERE sipHash64(number) = 1", {}, {}, 0.2)
    assert caught.value.code == 159
    assert caught.value.retryable


def test_fault_in_the_statement_carries_its_code_and_is_final(shared: ChdbEngine) -> None:
    with pytest.raises(EngineError, match="nowhere") as caught:
        shared.query("SELECT 1 FROM nowhere", {}, {}, 5)
    assert caught.value.code == 60
    assert not caught.value.retryable
    assert not str(caught.value).startswith("Code:")


def test_query_beyond_its_memory_may_be_tried_again(shared: ChdbEngine) -> None:
    sql = "SELECT length(groupArray(toString(number))) FROM numbers(20000000)"
    with pytest.raises(EngineError) as caught:
        shared.query(sql, {}, {"max_memory_usage": 30_000_000}, 20)
    assert caught.value.code == 241
    assert caught.value.retryable


def test_read_only_query_cannot_write(shared: ChdbEngine) -> None:
    with pytest.raises(EngineError):
        shared.query("INSERT INTO migrations VALUES ('x', now())", {}, {"readonly": 2}, 5)


def test_answer_names_columns_and_cost(shared: ChdbEngine) -> None:
    rows = shared.query("SELECT number AS n, toString(number) AS s FROM numbers(3)", {}, {}, 5)
    assert rows.dicts() == [{"n": 0, "s": "0"}, {"n": 1, "s": "1"}, {"n": 2, "s": "2"}]
    assert rows.rows_read == 3


def test_queries_run_side_by_side(shared: ChdbEngine) -> None:
    answers: list[int] = []

    def ask(index: int) -> None:
        answers.append(shared.query("SELECT {index:Int64}", {"index": index}, {}, 10).rows[0][0])

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == list(range(20))


def test_second_process_is_told_that_the_folder_is_taken(shared: ChdbEngine, engine_slot: EngineSlot) -> None:
    script = (
        "import sys; from pathlib import Path; from tocsin.storage.telemetry.chdb import ChdbEngine\n"
        "from tocsin.storage.telemetry.engine import EngineError\n"
        "try: ChdbEngine(Path(sys.argv[1]))\n"
        "except EngineError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(engine_slot.folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert "another tocsin serve using this data folder" in done.stdout


def test_data_outlives_the_engine(no_engine: EngineSlot, tmp_path: Path) -> None:
    folder = tmp_path / "it's (a) folder & more"
    one = ChdbEngine(folder, ChdbSettings(query_connections=1))
    migrate(one)
    segment = tmp_path / "it's a \\ segment"
    write_messages(segment, [trace_request([span("kept")]).SerializeToString()])
    one.insert_segment(Signal.TRACES, segment, "token")
    one.close()
    two = ChdbEngine(folder, ChdbSettings(query_connections=1))
    migrate(two)
    two.insert_segment(Signal.TRACES, segment, "token")  # a retry after the restart
    assert two.query("SELECT name FROM spans", {}, {}, 5).rows == [["kept"]]
    two.close()


def test_engine_leaves_nothing_in_the_working_directory(
    no_engine: EngineSlot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    engine = ChdbEngine(tmp_path / "data", ChdbSettings(query_connections=1))
    migrate(engine)
    segment = tmp_path / "segment"
    write_messages(segment, [trace_request([span()]).SerializeToString()])
    engine.insert_segment(Signal.TRACES, segment, "token")
    engine.close()
    assert list(here.iterdir()) == []


def test_closed_engine_answers_with_an_error_at_once(no_engine: EngineSlot, tmp_path: Path) -> None:
    engine = ChdbEngine(tmp_path, ChdbSettings(query_connections=1))
    engine.close()
    engine.close()
    started = time.monotonic()
    for ask in (lambda: engine.query("SELECT 1", {}, {}, 5), lambda: engine.execute("SELECT 1")):
        with pytest.raises(EngineError, match="closed"):
            ask()
    assert time.monotonic() - started < 2


def test_failed_query_leaves_nothing_to_the_next_on_its_connection(no_engine: EngineSlot, tmp_path: Path) -> None:
    engine = ChdbEngine(tmp_path, ChdbSettings(query_connections=1))
    with pytest.raises(EngineError):
        engine.query("SELECT 'globex' AS tenant, throwIf(number = 300000) FROM numbers(1000000)", {}, {}, 10)
    answer = engine.query("SELECT 'acme' AS tenant", {}, {}, 10)
    assert (answer.columns, answer.rows) == (["tenant"], [["acme"]])
    engine.close()


def test_blocks_stream_and_a_reader_may_stop_early(engine: ChdbEngine) -> None:
    sql = "SELECT number AS value FROM numbers(1000000)"
    read = sum(len(block["value"]) for block in engine.stream_arrays(sql, {}, {}, 10))
    assert read == 1_000_000
    blocks = engine.stream_arrays(sql, {}, {}, 10)
    assert next(blocks)["value"][0] == 0
    blocks.close()
    assert engine.query("SELECT 7", {}, {}, 10).rows == [[7]]


def test_streaming_tells_errors_as_every_query_does(engine: ChdbEngine) -> None:
    with pytest.raises(EngineError, match="no_such_table"):
        list(engine.stream_arrays("SELECT 1 AS one FROM no_such_table", {}, {}, 10))
    with pytest.raises(QueryTimeoutError):
        list(
            engine.stream_arrays(
                "SELECT toUInt64(sleepEachRow(0.01)) AS x FROM numbers(1000)", {}, {"max_block_size": 10}, 0.2
            )
        )
    assert engine.query("SELECT 7", {}, {}, 10).rows == [[7]]
