"""Releases compared from the rollups: before and after, side by side, per tenant and within the scope."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from otlp import NOW_NS, SECOND_NS, exception, log_record, log_request, span, trace_request
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query.deployments import Deployment, predecessor, releases
from tocsin.query.filters import Filter
from tocsin.query.release_compare import changes, compare, new_faults, sides_around, sides_of
from tocsin.query.releases import flag_changes
from tocsin.query.significance import Lot, Verdict
from tocsin.storage.telemetry.store import TelemetryStore

MINUTE_NS = 60 * SECOND_NS
SHOP = {"service.name": "shop", "deployment.environment.name": "production"}
GENERATOR = np.random.default_rng(5)


def traffic(
    release: str, from_ns: int, route: str, tenant: str, count: int, factor: float = 1.0, failed: int = 0
) -> Any:
    """One request every two seconds."""
    attrs = {"http.request.method": "GET", "http.route": route, "tocsin.tenant": tenant}
    spans = []
    for place, seconds in enumerate(GENERATOR.lognormal(math.log(0.05), 0.4, count) * factor):
        status = 500 if place < failed else 200
        spans.append(
            span(
                f"GET {route}", start_ns=from_ns + place * 2 * SECOND_NS, seconds=float(seconds),
                attrs=attrs | {"http.response.status_code": status},
            )
        )  # fmt: skip
    return trace_request(spans, SHOP | {"service.version": release})


@pytest.fixture
def deployed(store: TelemetryStore, put: Any) -> TelemetryStore:
    """1.1 follows 1.0 half an hour ago: slower for acme at /export, /orders fails for everybody, /items as before."""
    deploy_ns = NOW_NS - 30 * MINUTE_NS
    for release, from_ns, slower, failed in (("1.0", deploy_ns - 20 * MINUTE_NS, 1.0, 0), ("1.1", deploy_ns, 1.8, 60)):
        put(traffic(release, from_ns, "/export", "acme", 200, slower))
        put(traffic(release, from_ns, "/export", "globex", 400))
        put(traffic(release, from_ns, "/items", "acme", 300), traffic(release, from_ns, "/items", "globex", 300))
        put(traffic(release, from_ns, "/orders", "globex", 300, failed=failed))
        put(traffic(release, from_ns, "/rare", "globex", 5))
    return store


def pair(store: TelemetryStore) -> tuple[Deployment, Deployment]:
    every = releases(store, "shop", "production")
    before = predecessor(every, every[0])
    assert before is not None
    return before, every[0]


ASKED = Filter(sides_around(NOW_NS, NOW_NS)[0].window, environment="production", service="shop")


def test_what_got_worse_for_whom_is_found_and_nothing_else(deployed: TelemetryStore) -> None:
    before, after = pair(deployed)
    assert (before.release, after.release) == ("1.0", "1.1")
    found = compare(deployed, PLATFORM, ASKED, *sides_of(before, after, NOW_NS))
    by_route = {change.route: change for change in found.endpoints}
    assert by_route["/orders"].errors is Verdict.WORSE
    assert by_route["/orders"].latency is Verdict.SAME
    assert by_route["/items"].verdict is Verdict.SAME
    assert by_route["/rare"].verdict is Verdict.UNKNOWN
    assert by_route["/export"].verdict is Verdict.WORSE
    assert [change.tenant for change in found.tenants_worse(by_route["/export"])] == ["acme"]
    assert {change.route for change in found.worse} == {"/export", "/orders"}
    assert found.verdict is Verdict.WORSE
    assert by_route["/export"].latency_q < 0.001


def test_a_scope_compares_its_own_requests_only(deployed: TelemetryStore) -> None:
    sides = sides_of(*pair(deployed), NOW_NS)
    found = compare(deployed, Scope(frozenset({"globex"})), ASKED, *sides)
    assert {change.route for change in found.worse} == {"/orders"}
    assert {change.tenant for change in found.tenants} == {"globex"}
    narrowed = compare(deployed, PLATFORM, Filter(ASKED.window, tenant="acme", service="shop"), *sides)
    assert {change.route for change in narrowed.worse} == {"/export"}


def test_releases_that_run_at_once_are_told_apart(store: TelemetryStore, put: Any) -> None:
    start_ns = NOW_NS - 20 * MINUTE_NS
    put(traffic("1.0", start_ns - MINUTE_NS, "/items", "acme", 500))
    put(traffic("1.1", start_ns, "/items", "acme", 500, factor=1.6))
    before, after = pair(store)
    sides = sides_of(before, after, NOW_NS)
    # What the older one answered beside the newer one counts for it.
    assert sides[0].window.end_ns > after.at_ns + 10 * MINUTE_NS
    (change,) = compare(store, PLATFORM, ASKED, *sides).endpoints
    assert change.latency is Verdict.WORSE
    assert change.before.requests == 500
    assert change.shift.largest_ratio == pytest.approx(1.6, rel=0.15)


def test_a_release_compared_with_itself_shows_no_difference(deployed: TelemetryStore) -> None:
    before, _ = pair(deployed)
    side = sides_of(*pair(deployed), NOW_NS)[0]
    assert side.release == before.release
    found = compare(deployed, PLATFORM, ASKED, side, side)
    assert found.verdict is Verdict.SAME
    assert found.worse == found.better == []


def test_many_endpoints_share_what_may_be_called_different() -> None:
    lots = {("GET", f"/{place}", ""): Lot(100, 0, {-200 + place % 3: 100}) for place in range(50)}
    assert {change.verdict for change in changes(lots, lots)} == {Verdict.SAME}
    assert {change.verdict for change in changes(lots, {})} == {Verdict.UNKNOWN}


def test_new_faults_are_those_no_other_release_had(store: TelemetryStore, put: Any) -> None:
    for release, kinds in (("1.0", ["KeyError"]), ("1.1", ["KeyError", "RateError"])):
        spans = []
        for kind in kinds:
            stack = f'File "/srv/app/{kind}.py", line 8, in run'
            events = [exception(kind, "no rate", stack, **{"tocsin.error.fingerprint": kind})]
            spans.append(span(events=events, attrs={"tocsin.tenant": "acme", "http.response.status_code": 500}))
        put(trace_request(spans, SHOP | {"service.version": release}))
    one = Deployment("shop", "production", "1.1", NOW_NS)
    (fault,) = new_faults(store, PLATFORM, one)
    assert (fault.type, fault.count, fault.tenants) == ("RateError", 1, ["acme"])
    assert new_faults(store, Scope(frozenset({"globex"})), one) == []


def test_a_deploy_beside_a_flag_keeps_what_it_did() -> None:
    minute = 60 * SECOND_NS
    deploys = [NOW_NS - 5 * minute, NOW_NS + 10 * minute]
    before, after = sides_around(NOW_NS, NOW_NS + 60 * minute, 1800, deploys)
    assert before.window.start_ns == NOW_NS - 5 * minute + 30 * SECOND_NS
    assert after.window.end_ns == NOW_NS + 10 * minute
    alone = sides_around(NOW_NS, NOW_NS + 60 * minute, 1800)
    assert (alone[0].window.seconds, alone[1].window.seconds) == (1800, 1800)


def test_a_flag_that_slowed_its_tenant_is_found(store: TelemetryStore, put: Any) -> None:
    flip_ns = NOW_NS - 10 * MINUTE_NS
    for from_ns, slower in ((flip_ns - 10 * MINUTE_NS, 1.0), (flip_ns, 1.4)):
        put(traffic("1.0", from_ns, "/items", "acme", 280, slower), traffic("1.0", from_ns, "/items", "globex", 280))
    said = {"feature_flag.key": "fast-lists", "feature_flag.result.variant": "on", "tocsin.tenant": "acme"}
    put(log_request([log_record("off → on", time_ns=flip_ns, event_name="tocsin.flag.flip", attrs=said)], SHOP))
    asked = Filter(Window(flip_ns - 60 * MINUTE_NS, NOW_NS), environment="production", service="shop")
    (found,) = flag_changes(store, PLATFORM, asked, NOW_NS)
    (change,) = found.comparison.worse
    assert (found.flag, found.variant, found.tenant, change.route) == ("fast-lists", "on", "acme", "/items")
    assert change.shift.largest_ratio == pytest.approx(1.4, rel=0.15)
    assert flag_changes(store, Scope(frozenset({"globex"})), asked, NOW_NS) == []
