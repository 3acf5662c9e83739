from __future__ import annotations

import logging

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import tocsin
from tocsin.sdk import agent as agents
from tocsin.sdk import overhead
from tocsin.sdk.exchange import MeteredExchange
from tocsin.sdk.overhead import LEVELS, OverheadMeter
from tocsin.testing import capture_spans


def fill(meter: OverheadMeter, microseconds: float) -> None:
    for _ in range(64):
        meter.add("request", microseconds / 1e6)


def test_the_cost_of_a_request_is_measured_and_reported() -> None:
    app = FastAPI()
    app.get("/")(lambda: "ok")
    tocsin.instrument(app)
    with capture_spans() as captured:
        client = TestClient(app)
        for _ in range(130):
            client.get("/")
        assert captured.requests[0].count == 130
    (agent,) = agents.all_agents()
    figures = {
        f.attributes["instrument"]: f.value for f in agent.figures.all() if f.name == "tocsin.sdk.overhead.duration"
    }
    assert 0 < figures["request"] < 0.01


def test_parts_are_left_out_one_by_one_past_the_budget_and_come_back(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    meter = OverheadMeter(100, lambda: now[0])
    levels = []
    with caplog.at_level(logging.WARNING, "tocsin"):
        for _ in range(5):
            now[0] += 6
            fill(meter, 150)
            meter.review()
            levels.append(meter.level)
        for _ in range(4):
            now[0] += 31
            fill(meter, 10)
            meter.review()
            levels.append(meter.level)
    assert levels == [1, 2, 3, 3, 3, 2, 1, 0, 0]
    assert f"now leaving out {LEVELS[1]}" in caplog.text


def test_a_cost_near_the_budget_changes_nothing() -> None:
    now = [100.0]
    meter = OverheadMeter(100, lambda: now[0])
    for _ in range(10):
        now[0] += 60
        fill(meter, 80)
        assert not meter.review()


def test_no_budget_never_sheds() -> None:
    now = [0.0]
    meter = OverheadMeter(0, lambda: now[0])
    now[0] = 100.0
    fill(meter, 1e6)
    assert not meter.review()


def test_one_slow_measurement_is_not_believed() -> None:
    meter = OverheadMeter(100)
    fill(meter, 10)
    meter.add("request", 5.0)
    assert meter.costs()["request"] == pytest.approx(10e-6)


def test_shedding_leaves_the_numbers_exact() -> None:
    app = FastAPI()

    @app.get("/")
    def read() -> None:
        with tocsin.span("inner"):
            pass

    tocsin.instrument(app, sample_minimum_per_second=0)
    (agent,) = agents.all_agents()
    agent.sheds_children = agent.sheds_traces = True
    with capture_spans() as captured:
        client = TestClient(app)
        for _ in range(20):
            client.get("/")
        assert captured.requests[0].count == 20
        assert not captured.spans
    assert agent.exporter.dropped["traces", "shed"] == 20


def test_the_way_into_a_hook_counts_and_more_so_after_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overhead, "way_seconds", lambda: 1e-6)
    monkeypatch.setattr(overhead, "way_after_wait_seconds", lambda: 3e-6)
    meter = OverheadMeter(100)
    for _ in range(16):
        meter.add("db", 10e-6, hooks=5, waits=2)
        meter.add("request", 10e-6)
    assert meter.costs() == pytest.approx({"db": 19e-6, "request": 10e-6})


def test_a_call_that_waited_is_told_from_one_that_did_not() -> None:
    app = FastAPI()
    tocsin.instrument(app)
    with capture_spans():
        TestClient(app).get("/")
        [agent] = agents.all_agents()
        exchange = MeteredExchange(agent, {}, None, None)  # type: ignore[arg-type]  # asked for nothing
        exchange.note_hook("db", 1_000, 15_000)
        exchange.note_hook("db", 2_000, 40_000)
        exchange.note_hook("isolation", 500)
        assert exchange.__dict__["hooks"] == {"db": (3_000, 2, 1), "isolation": (500, 1, 0)}


def test_the_ways_are_measured_in_less_than_a_tenth_of_a_millisecond_a_call() -> None:
    assert 0 < overhead.way_seconds() < 1e-4
    assert overhead.way_seconds() <= overhead.way_after_wait_seconds() < 1e-4
