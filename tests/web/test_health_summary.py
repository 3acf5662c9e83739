"""What the health summary says of a filled store, of a quiet one, and of one that never got anything."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.alerts.pipeline_world import World
from tests.notify.providers import notification

from otlp import HOUR_NS, MINUTE_NS, NOW_NS, SECOND_NS, counter, exception, metric_request, number, span
from otlp import trace_request as traces
from tocsin.alerts.handling import Handler
from tocsin.model.control import SYSTEM
from tocsin.model.notification import Report
from tocsin.model.path_check import CHECK, CHECK_LABEL
from tocsin.model.tenant import Scope
from tocsin.model.window import Window
from tocsin.notify.deliver import Deliverer
from tocsin.notify.path import PathResult, PathWatch
from tocsin.notify.receivers import Receivers
from tocsin.notify.settings import NotifySettings
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.store_reader import StoreReader
from tocsin.storage.telemetry.store import TelemetryStore
from tocsin.web import health_summary

DAY = Window(NOW_NS - 23 * HOUR_NS, NOW_NS + HOUR_NS)
STACK = 'Traceback\n  File "/srv/app/export.py", line 88, in export\nValueError: 1'


class Source:
    """A server's stores and pipeline, without the server."""

    def __init__(self, store: TelemetryStore, folder: Path, location: str = "UTC") -> None:
        self.store = store
        self.world = World(folder, now=datetime.fromtimestamp(DAY.start_ns // 10**9, UTC) - timedelta(hours=1))
        self.control, self.alerts = self.world.control, self.world.pipeline
        notify = NotifySettings(summary_location=location)
        self.path = PathWatch(Deliverer(self.control.deliveries, Receivers({}), notify))
        self.settings: Any = {NotifySettings: notify, QuerySettings: QuerySettings()}

    def metrics(self, scope: Scope) -> StoreReader:
        return StoreReader(self.store, scope)

    def report(self) -> Report:
        self.world.now = datetime.fromtimestamp(DAY.end_ns // 10**9, UTC)
        return health_summary.health_report(self, DAY)


@pytest.fixture
def source(store: TelemetryStore, tmp_path: Path) -> Iterator[Source]:
    made = Source(store, tmp_path)
    yield made
    made.control.close()


def asked(tenant: str, route: str, count: int, failing: int = 0, back_ns: int = 0, **more: Any) -> list[Any]:
    """Requests over half an hour before the end, as much earlier as back_ns says."""
    return [
        span(
            start_ns=NOW_NS + 30 * MINUTE_NS - back_ns + place * SECOND_NS,
            tenant=tenant,
            method="POST",
            route=route,
            status_code=500 if place < failing else 200,
            **more,
        )
        for place in range(count)
    ]


def fault(tenant: str, kind: str, back_ns: int = 0) -> Any:
    at = NOW_NS + 20 * MINUTE_NS - back_ns
    attrs = {"tocsin.error.fingerprint": kind.lower()}
    events = [exception(kind, f"{kind} of {tenant}", STACK, at, **attrs)]
    return span(start_ns=at, tenant=tenant, method="POST", route="/export", status_code=500, events=events)


def test_summary_of_a_day_compares_it_with_the_day_before(source: Source, put: Any) -> None:
    put(
        traces(
            [
                *asked("acme", "/export", 18, failing=5, seconds=0.4),
                *asked("globex", "/orders", 80),
                fault("acme", "ValueError"),
                fault("acme", "KeyError"),
                *asked("acme", "/orders", 50, failing=1, back_ns=24 * HOUR_NS),
                fault("globex", "KeyError", back_ns=24 * HOUR_NS),
            ]
        )
    )
    made = source.report()
    facts = dict(made.facts)
    assert made.title.endswith(": 7 % of the requests failed in the last 24 hours, most at POST /export.")
    assert made.state == "bad"
    assert ": 100 requests from 2 tenants, 7 % failed, p95 " in made.summary
    assert facts["Requests"] == "100, +96 % vs the 24 hours before"
    assert facts["Failed"] == "7 % (7), 3.9 % in the 24 hours before"
    assert facts["p95"].endswith(" ms in the 24 hours before")
    endpoint = facts["Worst endpoints"].splitlines()[0]
    assert endpoint.startswith("POST /export of shop: 35 % of 20 requests failed, p95 ")
    assert endpoint.endswith(", for acme")
    assert facts["Worst tenants"].startswith("acme: 35 % of 20 requests failed, p95 ")
    assert "globex" not in facts["Worst tenants"]
    assert facts["New errors"] == "ValueError at POST /export, 1 time, for acme"
    assert dict(made.links)["Overview"] == f"/?start={DAY.start_ns // 10**9}&end={DAY.end_ns // 10**9}"
    assert "\u202f" not in repr(made)


def test_alerts_are_counted_by_severity_with_who_took_them(source: Source) -> None:
    world = source.world
    world.fire("Before", severity="critical")
    world.now += timedelta(hours=2)
    taken = world.fire("ExportsFail", severity="critical", tenant="acme")
    over = world.fire("DiskFills", severity="critical")
    world.fire("Slow", severity="warning", tenant="globex")
    world.fire(CHECK, severity="info", **{CHECK_LABEL: "1"})
    world.now += timedelta(minutes=5)
    Handler(world.pipeline).acknowledge(SYSTEM, world.pipeline.known()[taken.fingerprint])
    world.resolve(over)
    end = datetime.fromtimestamp(DAY.end_ns // 10**9, UTC)
    world.now = end - timedelta(minutes=1)
    for name, labels in (("ExportsFail", {"tenant": "acme"}), ("Slow", {"tenant": "globex"})):
        world.fire(name, severity="critical" if labels["tenant"] == "acme" else "warning", **labels)
    lines = dict(source.report().facts)["Alerts"].splitlines()
    assert lines == [
        "P1: 3 fired, 1 acknowledged, 1 still fires",
        "P3: 2 fired, 0 acknowledged, 1 still fires",
        "nobody has acknowledged ExportsFail (acme) and Slow (globex)",
        "1 fired in the 24 hours before",
    ]


def test_quiet_day_says_so_in_few_words(source: Source, put: Any) -> None:
    put(traces([*asked("acme", "/orders", 10), *asked("globex", "/orders", 10)]))
    made = source.report()
    facts = dict(made.facts)
    assert (made.title.partition(": ")[2], made.state) == ("All is well.", "ok")
    assert facts["Failed"] == "0 % (0)"
    assert facts["Worst tenants"] == "none of 2 tenants had a failed request"
    assert facts["Alerts"] == "none fired; none in the 24 hours before"
    assert facts["New errors"] == "none"
    assert facts["Paging path"].startswith("not tried; set notify.test_interval_seconds")
    assert "Messages" not in facts


def test_requests_that_stopped_are_said(source: Source, put: Any) -> None:
    put(traces(asked("acme", "/orders", 10, back_ns=24 * HOUR_NS)))
    made = source.report()
    assert (made.title.partition(": ")[2], made.state) == ("No requests in the last 24 hours.", "quiet")
    assert made.facts[0] == ("Requests", "none; 10 in the 24 hours before")
    assert {"p95", "Failed"} & {heading for heading, _ in made.facts} == set()


def test_store_that_never_got_anything_says_so(source: Source) -> None:
    made = source.report()
    assert (made.title.partition(": ")[2], made.state) == ("Nothing has arrived yet.", "quiet")
    assert made.summary.endswith(": no requests.")
    assert {"Requests", "Worst endpoints", "Worst tenants"} & {heading for heading, _ in made.facts} == set()


def checks(arrived: float, lost: float, time_ns: int) -> Any:
    points = [
        number(of, time_ns=time_ns, attrs={"outcome": name}) for name, of in (("arrived", arrived), ("lost", lost))
    ]
    return metric_request([counter("tocsin_paging_path_checks_total", points)], {"service.name": "tocsin"})


@pytest.mark.parametrize(
    ("lost", "said"), [(0, "well: 100 synthetic alerts arrived"), (2, "2 of 102 synthetic alerts got no receipt")]
)
def test_paging_path_is_told_by_its_synthetic_alerts(source: Source, put: Any, lost: int, said: str) -> None:
    # The ends of the window, so that nothing is extrapolated.
    put(checks(0, 0, DAY.start_ns + SECOND_NS), checks(100, lost, DAY.end_ns - SECOND_NS))
    assert dict(source.report().facts)["Paging path"] == said


def test_path_that_is_broken_now_is_said_first(source: Source) -> None:
    source.path.results.append(PathResult("1", source.world.now, False, (), "there was no receipt within 30 s"))
    assert dict(source.report().facts)["Paging path"] == "broken: there was no receipt within 30 s"


def test_messages_that_could_not_be_delivered_are_counted(source: Source) -> None:
    source.world.now = datetime.fromtimestamp(NOW_NS // 10**9, UTC)
    for key in ("n-1", "n-2"):
        row = source.control.deliveries.begin(notification(key=key), "oncall", "sms[0]", "sms", "title")
        source.control.deliveries.give_up(row.id, "it answered 404")
    assert dict(source.report().facts)["Messages"] == "2 could not be delivered, to oncall"


def test_times_are_those_of_the_configured_place(store: TelemetryStore, tmp_path: Path) -> None:
    source = Source(store, tmp_path, "Asia/Kolkata")
    assert " IST: no requests." in source.report().summary
    source.control.close()
