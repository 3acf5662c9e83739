"""A selector that is read some series at a time answers as one that is read at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from otlp import NOW_NS, counter, metric_request, number
from prometheus import NOW_MS, series, write_request
from tocsin.ingest.gate import Gate
from tocsin.ingest.remote_write_parse import read_1
from tocsin.model.tenant import PLATFORM
from tocsin.query import series as stored
from tocsin.query.promql import range_query
from tocsin.query.promql.errors import EvaluationError, LimitError
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.promql.source import Hints, Matcher, Series
from tocsin.query.series import StoreSource
from tocsin.storage.telemetry.chdb import ChdbEngine
from tocsin.storage.telemetry.spool import Spool
from tocsin.storage.telemetry.store import TelemetryStore
from tocsin.storage.telemetry.writer import Writer
from waiting import PATIENCE_SECONDS

FIRST_MS, STEP_MS, STEPS = NOW_MS - 600_000, 15_000, 40
SOME = 3 * STEPS
"""Samples a portion: three series or so."""


@pytest.fixture
def shop(store: TelemetryStore, engine: ChdbEngine, put: Any, tmp_path: Path) -> StoreSource:
    """Twelve counters, a gauge that is there now and then, and one counter that was sent in two ways."""
    times = [FIRST_MS + step * STEP_MS for step in range(STEPS)]
    entries = [
        series("hits_total", [(at, float(step * (n + 1) % 90)) for step, at in enumerate(times)], n=f"{n:02}")
        for n in range(12)
    ]
    entries += [series("depth", [(at, float(n)) for at in times[n :: n + 1]], n=f"{n:02}") for n in range(5)]
    entries.append(series("orders_total", [(at, 1.0) for at in times[:20]], job="shop", kind="paid"))
    spool = Spool(tmp_path / "spool")
    written, _ = Gate(spool, lambda secret: None).admit_samples(read_1, write_request(entries), None)
    written.result(PATIENCE_SECONDS)
    Writer(spool, engine, tmp_path / "rejected").drain()
    spool.close()
    point = number(5.0, time_ns=NOW_NS - 10**9, attrs={"kind": "paid"})
    put(metric_request([counter("orders", [point], temporality=1)], {"service.name": "shop"}))
    return StoreSource(store, PLATFORM)


def asked(source: StoreSource, text: str, **settings: Any) -> Any:
    found = range_query(source, text, FIRST_MS, NOW_MS, 30_000, QuerySettings(**settings))
    assert isinstance(found.data, list)
    samples = [(one.labels, one.times.tolist(), one.values.tolist()) for one in found.data]
    return samples, found.warnings, found.infos, found.statistics.samples, found.statistics.series


@pytest.mark.parametrize(
    "text",
    [
        '{__name__=~"hits_total|depth|orders_total"}',
        "rate(hits_total[2m])",
        "sum(rate(hits_total[2m]))",
        "sum by (n) (hits_total)",
        "topk(2, hits_total)",
        'last_over_time({__name__=~"hits_total|depth"}[1m])',
        "quantile_over_time(2, depth[5m])",
        "rate(depth[5m])",
        "absent_over_time(depth[15s])",
        "absent_over_time(nothing[5m])",
        "max_over_time(sum(hits_total)[2m:30s])",
        "increase(hits_total[2m] @ end())",
        "timestamp(depth)",
        "hits_total * on (n) group_left () hits_total",
        "increase(orders_total[10m])",
    ],
)
def test_portions_change_no_answer(shop: StoreSource, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = asked(shop, text)
    monkeypatch.setattr(stored, "PORTION_SAMPLES", SOME)
    assert asked(shop, text) == whole


def portions_of(source: StoreSource, pattern: str) -> list[list[dict[str, str]]]:
    matcher = Matcher("__name__", "=~", pattern)
    found = source.portions([matcher], FIRST_MS - 1, NOW_MS, Hints(0, 0, 0, 0))
    return [[one.labels for one in portion] for portion in found]


def test_a_portion_holds_about_as_many_samples_as_asked(shop: StoreSource, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [len(portion) for portion in portions_of(shop, "hits_total|depth")] == [17]
    monkeypatch.setattr(stored, "PORTION_SAMPLES", SOME)
    portions = portions_of(shop, "hits_total|depth")
    assert all(portion == sorted(portion, key=lambda labels: sorted(labels.items())) for portion in portions)
    assert sum(map(len, portions)) == 17
    # Fewer samples than usual were found in those of the gauge, so more series came with the next.
    assert len(portions[0]) == 3
    assert max(map(len, portions)) > 3


def test_series_of_one_label_set_stay_together(shop: StoreSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "PORTION_SAMPLES", 1)
    assert portions_of(shop, "orders_total") == [[{"__name__": "orders_total", "job": "shop", "kind": "paid"}]]


def test_bounds_hold_over_all_portions(shop: StoreSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "PORTION_SAMPLES", SOME)
    with pytest.raises(LimitError, match="too many samples"):
        asked(shop, "sum(hits_total)", max_samples=6 * STEPS)
    with pytest.raises(LimitError, match="series, more than 7; narrow"):
        asked(shop, "sum(hits_total)", max_series=7)
    with pytest.raises(EvaluationError, match="same labelset"):
        asked(shop, 'rate({__name__=~"hits_total|depth"}[2m])')


def test_portions_are_read_under_what_the_query_has_set(shop: StoreSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "PORTION_SAMPLES", SOME)
    heard = set()
    original = StoreSource._series

    def noting(self: StoreSource, *given: Any) -> Any:
        heard.add((threading.current_thread() is threading.main_thread(), np.geterr()["invalid"]))
        return original(self, *given)

    monkeypatch.setattr(StoreSource, "_series", noting)
    asked(shop, "hits_total")
    assert heard == {(False, "ignore")}


def test_nothing_is_read_any_more_when_the_query_has_ended(shop: StoreSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "PORTION_SAMPLES", 1)
    read: list[Sequence[Series]] = []
    original = StoreSource._series

    def noting(self: StoreSource, *given: Any) -> Any:
        read.append(given[0])
        return original(self, *given)

    monkeypatch.setattr(StoreSource, "_series", noting)
    before = set(threading.enumerate())
    portions = shop.portions([Matcher("__name__", "=", "hits_total")], FIRST_MS, NOW_MS, Hints(0, 0, 0, 0))
    next(portions)
    portions.close()  # type: ignore[attr-defined]  # a generator, as every iterator here
    assert len(read) <= 2
    assert set(threading.enumerate()) <= before
