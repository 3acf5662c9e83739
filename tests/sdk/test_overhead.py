from __future__ import annotations

import logging
from time import perf_counter, perf_counter_ns

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import tocsin
from tocsin.sdk import agents, overhead
from tocsin.sdk.exchange import MeteredExchange
from tocsin.sdk.hook_ways import Way, Ways, _HookedDriver, _Library
from tocsin.sdk.instrument._http import Client
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
    monkeypatch.setattr(overhead.ways, "quick_seconds", lambda: 1e-6)
    monkeypatch.setattr(overhead.ways, "waited_seconds", lambda inside: inside / 2)
    meter = OverheadMeter(100)
    for _ in range(16):
        meter.add("db", 10e-6, hooks=5, waits=2)
        meter.add("cache", 10e-6, hooks=5, waits=5)
        meter.add("request", 10e-6)
    # A hook has made the app's own code slower, too.
    after_wait = 1 + overhead.DISPLACED_AFTER_WAIT
    mixed = 1 + 0.6 * overhead.DISPLACED + 0.4 * overhead.DISPLACED_AFTER_WAIT
    # Their hooks take 2 µs inside; three quick ways and two after waits, and five of these.
    assert meter.costs() == pytest.approx({"db": 15e-6 * mixed, "cache": 15e-6 * after_wait, "request": 10e-6})


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


def test_what_a_client_does_before_its_request_is_part_of_its_cost() -> None:
    app = FastAPI()
    tocsin.instrument(app)
    with capture_spans():
        TestClient(app).get("/")
        [agent] = agents.all_agents()
        exchange = MeteredExchange(agent, {}, None, None)  # type: ignore[arg-type]  # asked for nothing
        client, entered_ns = Client("test"), perf_counter_ns() - 5_000_000
        sent = client.begin(entered_ns, True, {}.__setitem__)
        assert sent is not None
        assert sent.began_ns - entered_ns >= 5_000_000
        sent.span = exchange
        client.end(sent, perf_counter_ns(), "GET", ("http", "shop", 80, "/"), 200, None)
        spent_ns, hooks, _ = exchange.__dict__["hooks"]["http"]
    assert hooks == 1
    assert 5_000_000 <= spent_ns < 1_000_000_000


def test_the_ways_are_looked_at_again_when_the_machine_may_run_at_another_speed() -> None:
    now = [0.0]
    ways = Ways(lambda: now[0])
    looks: list[Way] = []
    for way in (ways._quick, ways._waited):
        way.look = lambda way=way: (looks.append(way), Way.look(way))  # type: ignore[method-assign, misc, assignment]
    assert 0 < ways.quick_seconds() < 1e-4
    assert ways.quick_seconds() <= ways.waited_seconds(2e-6) < 1e-4
    assert looks == [ways._quick, ways._waited]
    now[0] = 4.0
    ways.waited_seconds(2e-6)
    assert len(looks) == 2
    now[0] = 5.0
    ways.quick_seconds()
    assert looks[2:] == [ways._quick]


def test_a_way_follows_the_machine() -> None:
    way = Way(_Slow(50e-6), lambda: None, first=10, later=10, kept=10)
    way.look()
    assert 50e-6 <= way.seconds() < 500e-6
    way._libraries[1].seconds = 2e-3  # type: ignore[attr-defined]  # it is the slow one
    way.look()
    assert 2e-3 <= way.seconds() < 20e-3


def test_a_way_after_a_wait_grows_with_what_a_clock_inside_sees_up_to_a_cold_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ways = Ways(lambda: 0.0)
    for way, seconds in ((ways._quick, 0.5e-6), (ways._waited, 2e-6)):
        monkeypatch.setattr(way, "look", lambda: None)
        monkeypatch.setattr(way, "seconds", lambda seconds=seconds: seconds)
    ways._waited._inside.append(1_000)
    # The hook we measure takes twice as long as its inside.
    assert [ways.waited_seconds(inside) for inside in (0.1e-6, 1e-6, 2e-6, 15e-6)] == pytest.approx(
        [0.5e-6, 1e-6, 2e-6, 3e-6]
    )


def test_what_a_way_notes_to_measure_itself_is_let_go_of() -> None:
    ways = Ways()
    ways.waited_seconds(1e-6)
    assert ways._waited.ratio() > 1
    hooked = ways._waited._libraries[1]
    assert isinstance(hooked, _HookedDriver)
    assert hooked._root.calls is not None
    assert [len(group) for group in hooked._root.calls.groups.values()] == [0]


class _Slow(_Library):
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def run(self, *_: object, **__: object) -> None:
        until = perf_counter() + self.seconds
        while perf_counter() < until:
            pass
