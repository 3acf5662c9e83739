"""Answers about series are kept as long as they are true."""

from __future__ import annotations

from typing import Any

from otlp import span, trace_request
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.storage.telemetry.decode import Signal
from tocsin.storage.telemetry.engine import Rows
from tocsin.storage.telemetry.kept_answers import KeptAnswers
from tocsin.storage.telemetry.store import TelemetryStore


class Asked:
    """Counts how often it was asked."""

    def __init__(self, rows: int = 1) -> None:
        self.times = 0
        self._rows = rows

    def __call__(self) -> Rows:
        self.times += 1
        return Rows(["n"], [[n] for n in range(self._rows)])


def test_an_answer_is_kept_until_the_version_changes() -> None:
    kept, asked = KeptAnswers(), Asked()
    for version in (1, 1, 1, 2, 2):
        kept.ask("question", version, asked)
    assert asked.times == 2


def test_nothing_is_kept_where_others_write() -> None:
    kept, asked = KeptAnswers(), Asked()
    for _ in range(3):
        kept.ask("question", None, asked)
    assert asked.times == 3


def test_the_answer_asked_for_longest_ago_goes_first() -> None:
    kept, large, small = KeptAnswers(most_rows=100), Asked(80), Asked(10)
    kept.ask("large", 1, large)
    kept.ask("small", 1, small)
    kept.ask("large", 1, large)
    kept.ask("another", 1, Asked(10))
    kept.ask("large", 1, large)
    kept.ask("small", 1, small)
    assert (large.times, small.times) == (1, 2)


def test_an_answer_read_while_series_were_written_is_not_kept() -> None:
    kept, asked = KeptAnswers(), Asked()

    def read_slowly() -> Rows:
        kept.ask("another", 2, Asked())
        return asked()

    kept.ask("question", 1, read_slowly)
    kept.ask("question", 2, asked)
    assert asked.times == 2


def test_scopes_do_not_share_answers(store: TelemetryStore, put: Any) -> None:
    sql = "SELECT count() FROM series"
    assert store.read_kept(Signal.SERIES, PLATFORM, sql).rows == [[0]]
    store.engine.execute(
        "INSERT INTO series (day, name, tenant, id) VALUES (today(), 'up', 'acme', 1), (today(), 'up', 'globex', 2)"
    )
    assert store.read_kept(Signal.SERIES, PLATFORM, sql).rows == [[2]]
    assert store.read_kept(Signal.SERIES, Scope(frozenset({"acme"})), sql).rows == [[1]]


def test_answers_outlive_what_other_signals_write(store: TelemetryStore, put: Any) -> None:
    sql = "SELECT count() FROM series"
    series, traces = (store.engine.version(signal) for signal in (Signal.SERIES, Signal.TRACES))
    first = store.read_kept(Signal.SERIES, PLATFORM, sql)
    put(trace_request([span("GET /")]))
    assert store.engine.version(Signal.TRACES) != traces
    assert store.engine.version(Signal.SERIES) == series
    assert store.read_kept(Signal.SERIES, PLATFORM, sql) is first
