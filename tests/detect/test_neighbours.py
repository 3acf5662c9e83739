"""Noisy Neighbour over telemetry as the SDK sends it and the store keeps it: who waits, and who makes it wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from calls import RESOURCE, call, sent
from otlp import MINUTE_NS, NOW_NS, SECOND_NS, span
from otlp import trace_request as traced
from tocsin.detect.rules.evaluation import Surroundings
from tocsin.detect.rules.library import packs
from tocsin.detect.rules.replay import Replayed, backtest
from tocsin.model.tenant import PLATFORM
from tocsin.model.threshold_profiles import DEFAULT_PROFILE
from tocsin.query.series import StoreSource
from tocsin.sdk.call_digest import CallTable
from tocsin.sdk.calls import Operation
from tocsin.sdk.instrument._pool import wait_operation
from tocsin.sdk.instrument._statements import Statements
from tocsin.storage.telemetry.store import TelemetryStore

MINUTES, NOISY_FROM = 90, 75
A_MINUTE = {"acme": 10, "globex": 5, "initech": 10}
"""Requests of each tenant."""
STATEMENT: Operation = Statements({"db.system.name": "postgresql", "db.namespace": "shop"}).find("SELECT * FROM orders")
WAIT = wait_operation("postgresql/shop", "db1:5432")
Milliseconds = Callable[[str, bool], float]


def minute(at: int, query: Milliseconds, wait: Milliseconds, service: str = "shop", requests: bool = True) -> list[Any]:
    """What one minute of a service sends: for each request a statement and a connection; it takes as long as both."""
    is_noisy, table, now_ns = at >= NOISY_FROM, CallTable(), NOW_NS + at * MINUTE_NS
    spans = []
    for tenant, number in A_MINUTE.items():
        in_query, in_wait = query(tenant, is_noisy), wait(tenant, is_noisy)
        if not in_query:
            continue
        caller = "GET /orders" if requests else "job export"
        table.record(STATEMENT, tenant, [call(in_query, amount=1)] * number, caller)
        table.record(WAIT, tenant, [call(in_wait)] * number, caller)
        spans += [
            span(start_ns=now_ns + place * SECOND_NS, seconds=(in_query + in_wait + 20) / 1e3, tenant=tenant,
                 method="GET", route="/orders", status_code=200)
            for place in range(number if requests else 0)
        ]  # fmt: skip
    told = [sent(table, now_ns + 59 * SECOND_NS, RESOURCE | {"service.name": service, "service.namespace": "eu"})]
    return [*told, traced(spans, {"service.name": service, "deployment.environment.name": "test"})] if spans else told


def sends(query: Milliseconds, wait: Milliseconds, service: str = "shop", requests: bool = True) -> list[Any]:
    return [told for at in range(MINUTES) for told in minute(at, query, wait, service, requests)]


def judged(store: TelemetryStore) -> tuple[Replayed, list[Replayed]]:
    """The alert, and the rules before it, over all of it."""
    [file] = [loaded.file for loaded in packs(DEFAULT_PROFILE) if loaded.file.name == "packs/neighbours"]
    first = NOW_NS // 1_000_000
    done = backtest(file, Surroundings(StoreSource(store, PLATFORM)), first, first + MINUTES * 60_000, 60)
    assert [one.error for one in done] == [""] * len(done)
    return done[-1], done[:-1]


def test_who_waits_for_a_pool_that_another_tenant_uses_up_is_the_victim(store: TelemetryStore, put: Any) -> None:
    """globex' orders take a second each once its data has grown; acme and initech wait for a connection."""
    put(
        *sends(
            lambda tenant, is_noisy: 1000.0 if is_noisy and tenant == "globex" else 30.0,
            lambda tenant, is_noisy: 250.0 if is_noisy and tenant == "acme" else 1.0,
        )
    )
    alert, _ = judged(store)
    [period] = alert.periods
    assert "tenant" not in period.labels
    assert {name: period.labels[name] for name in ("victim", "job", "database")} == {
        "victim": "acme", "job": "shop", "database": "db1:5432/postgresql/shop"
    }  # fmt: skip
    assert period.fired_at_ms is not None
    minutes = (period.fired_at_ms * 1_000_000 - NOW_NS) / MINUTE_NS
    assert NOISY_FROM + 3 <= minutes <= NOISY_FROM + 10


def test_a_worker_that_uses_the_same_database_is_a_neighbour(store: TelemetryStore, put: Any) -> None:
    """globex' export runs in a service of its own, without any request; acme's statements take longer meanwhile."""

    def exported(tenant: str, is_noisy: bool) -> float:
        return 6000.0 if is_noisy and tenant == "globex" else 0.0

    put(
        *sends(lambda tenant, is_noisy: 200.0 if is_noisy and tenant == "acme" else 30.0, lambda *_: 1.0),
        *sends(exported, lambda *_: 1.0, service="exporter", requests=False),
    )
    alert, _ = judged(store)
    [fire] = alert.fires
    assert (fire.labels["victim"], fire.labels["job"]) == ("acme", "shop")


@pytest.mark.parametrize("why", ["nobody is slower", "slow by itself"])
def test_nobody_is_accused_without_need(store: TelemetryStore, put: Any, why: str) -> None:
    def query(tenant: str, is_noisy: bool) -> float:
        if why == "slow by itself":  # acme's own statements became slow, the others take little
            return 400.0 if is_noisy and tenant == "acme" else 30.0
        return 1000.0 if is_noisy and tenant == "globex" else 30.0

    put(*sends(query, lambda tenant, is_noisy: 1.0))
    alert, _ = judged(store)
    assert alert.fires == []
