"""Python itself watched from inside: a loop that stands still is named, pauses and counts are what Python says."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import time
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import tocsin
from tocsin.sdk.agents import current_agent
from tocsin.testing import capture_spans
from waiting import eventually

ACME = {"X-Tenant-ID": "acme"}


def product(**settings: Any) -> FastAPI:
    app = FastAPI()
    tocsin.instrument(app, tenant="header:X-Tenant-ID", **settings)
    app.include_router(tocsin.metrics_router)

    @app.get("/quick")
    async def quick() -> int:
        return 1

    @app.get("/block")
    async def block() -> int:
        time.sleep(0.3)  # noqa: ASYNC251  the fault that is looked for
        return 1

    @app.get("/wait")
    async def wait() -> int:
        await asyncio.sleep(0.3)
        return 1

    return app


def value_of(text: str, start: str) -> float:
    return next(float(row.rpartition(" ")[2]) for row in text.splitlines() if row.startswith(start))


def test_a_call_that_blocks_the_loop_is_named_on_its_request() -> None:
    app = product(loop_lag_seconds=0.05)
    with TestClient(app) as client, capture_spans() as captured:
        client.get("/quick")
        client.get("/block", headers=ACME)
        request = captured.find("GET /block")
        line, first = inspect.getsourcelines(product)
        number = first + next(n for n, row in enumerate(line) if "time.sleep(0.3)" in row)
        assert f"test_runtime.py:{number} in block" in request.attributes["tocsin.blocking.line"]
        [event] = [event for event in request.events if event.name == "tocsin.event_loop_blocked"]
        assert event.attributes["code.stacktrace"].splitlines()[0].endswith(f"test_runtime.py:{number} in block")
        assert event.attributes["tocsin.blocked_ms"] >= 50

        def shown() -> str:
            return client.get("/metrics").text

        assert f"test_runtime.py:{number} in block" in eventually(
            lambda: next((row for row in shown().splitlines() if row.startswith("python_event_loop_blocked")), ""),
            "the blocking line is shown",
        )
        late = eventually(lambda: value_of(shown(), "python_event_loop_lag_seconds_sum") > 0.15, "the lag is counted")
        assert late


def test_a_request_that_only_waits_blocks_nobody() -> None:
    app = product(loop_lag_seconds=0.2)
    with TestClient(app) as client, capture_spans() as captured:
        client.get("/quick")
        client.get("/wait")
        assert "tocsin.blocking.line" not in captured.find("GET /wait").attributes


def test_pauses_of_the_collector_are_counted_by_generation() -> None:
    client = TestClient(product())
    client.get("/quick")
    before = gc.get_stats()[2]["collections"]
    gc.collect()
    gc.collect()
    shown = client.get("/metrics").text
    assert value_of(shown, 'python_gc_pause_seconds_count{generation="2"}') >= 2
    assert value_of(shown, 'python_gc_collections_total{generation="2"}') >= before + 2


def test_threads_tasks_and_memory_are_told() -> None:
    with TestClient(product()) as client:
        client.get("/quick")
        stop = threading.Event()
        before = value_of(client.get("/metrics").text, "python_threads ")
        others = [threading.Thread(target=stop.wait) for _ in range(5)]
        for other in others:
            other.start()
        shown = client.get("/metrics").text
        assert value_of(shown, "python_threads ") >= before + 4
        stop.set()
        assert value_of(shown, "process_resident_memory_bytes ") > 1e7
        assert eventually(lambda: "python_asyncio_tasks " in client.get("/metrics").text, "tasks are counted")
        assert eventually(
            lambda: 'python_threadpool_threads{state="limit"} 40' in client.get("/metrics").text, "the limit is told"
        )


def test_the_same_goes_out_over_otlp() -> None:
    client = TestClient(product())
    client.get("/quick")
    agent = current_agent()
    assert agent is not None
    names = {figure.name for figure in agent.figures.all()}
    assert {"python_threads", "process_resident_memory_bytes", "python_gc_collections_total"} <= names


def test_no_family_is_shown_twice() -> None:
    client = TestClient(product())
    client.get("/quick")
    heads = [row for row in client.get("/metrics").text.splitlines() if row.startswith("# TYPE")]
    assert len(heads) == len(set(heads))


def test_nothing_is_left_behind() -> None:
    from tocsin.sdk import instrument

    callbacks = len(gc.callbacks)
    with TestClient(product()) as client:
        client.get("/quick")
        assert len(gc.callbacks) == callbacks + 1
        instrument.switch_all_off()
        assert len(gc.callbacks) == callbacks
        eventually(
            lambda: {thread.name for thread in threading.enumerate()},
            "the watch ends",
            is_it=lambda names: "tocsin-loop-watch" not in names,
        )


@pytest.mark.parametrize("limit", [0.0])
def test_the_loop_is_not_watched_without_a_limit(limit: float) -> None:
    with TestClient(product(loop_lag_seconds=limit)) as client:
        client.get("/quick")
        assert "tocsin-loop-watch" not in {thread.name for thread in threading.enumerate()}
