"""Deploys: marked, announced by a process, or seen in requests; and the annotations of charts within a scope."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from otlp import NOW_NS, SECOND_NS, log_record, log_request, span, trace_request
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query.annotations import happened
from tocsin.query.deployments import Deployment, commit_range, deployments, predecessor, releases
from tocsin.query.filters import Filter
from tocsin.storage.telemetry.store import TelemetryStore

MINUTE_NS = 60 * SECOND_NS
HOUR = Filter(Window(NOW_NS - 60 * MINUTE_NS, NOW_NS + MINUTE_NS))


def deploy(release: str, time_ns: int, service: str = "shop", **attrs: Any) -> Any:
    resource = {"service.name": service, "service.version": release, "deployment.environment.name": "production"}
    return log_request([log_record(release, time_ns=time_ns, event_name="tocsin.deploy", attrs=attrs)], resource)


def traffic(release: str, *times_ns: int) -> Any:
    resource = {"service.name": "shop", "service.version": release, "deployment.environment.name": "production"}
    return trace_request([span(start_ns=time_ns) for time_ns in times_ns], resource)


def test_every_worker_announces_and_a_release_is_deployed_once(store: TelemetryStore, put: Any) -> None:
    commit = {"vcs.ref.head.revision": "4f0a1b2c3d4e"}
    for worker in range(3):
        put(deploy("1.1", NOW_NS - 5 * MINUTE_NS + worker * SECOND_NS, **commit))
    (one,) = deployments(store, HOUR)
    assert (one.release, one.at_ns, one.commit, one.is_marked) == (
        "1.1", NOW_NS - 5 * MINUTE_NS, "4f0a1b2c3d4e", False,
    )  # fmt: skip


def test_requests_show_a_deploy_only_when_another_release_ran_before(store: TelemetryStore, put: Any) -> None:
    put(traffic("1.0", NOW_NS - 30 * MINUTE_NS, NOW_NS - 10 * MINUTE_NS))
    assert deployments(store, HOUR) == []
    put(traffic("1.1", NOW_NS - 10 * MINUTE_NS, NOW_NS))
    assert [one.release for one in deployments(store, HOUR)] == ["1.1"]
    every = releases(store, "shop", "production")
    assert [one.release for one in every] == ["1.1", "1.0"]
    before = predecessor(every, every[0])
    assert before is not None
    assert before.release == "1.0"
    assert predecessor(every, every[1]) is None


def test_a_mark_stands_where_it_was_made_and_a_roll_back_is_one(store: TelemetryStore, put: Any) -> None:
    marked = {"tocsin.deploy.marked": True, "tocsin.author": "ada", "url.full": "https://ci.example/7"}
    for release, minutes in (("1.0", 40), ("1.1", 20), ("1.0", 10)):
        put(deploy(release, NOW_NS - minutes * MINUTE_NS, **marked))
    found = deployments(store, HOUR)
    assert [one.release for one in found] == ["1.0", "1.1", "1.0"]
    assert (found[0].author, found[0].url) == ("ada", "https://ci.example/7")


def test_service_environment_and_time_are_obeyed(store: TelemetryStore, put: Any) -> None:
    commit = {"vcs.ref.head.revision": "4f0a1b2c3d4e"}
    put(deploy("1.1", NOW_NS, **commit), deploy("7", NOW_NS, "mail", **commit))
    assert [one.service for one in deployments(store, Filter(HOUR.window, service="mail"))] == ["mail"]
    assert deployments(store, Filter(HOUR.window, environment="staging")) == []
    assert deployments(store, Filter(Window(NOW_NS - 60 * MINUTE_NS, NOW_NS - MINUTE_NS))) == []


def test_annotations_of_flags_keep_to_the_scope_and_everybodys_are_seen(store: TelemetryStore, put: Any) -> None:
    for tenant in ("acme", "globex", ""):
        said = {"feature_flag.key": "fast-lists", "feature_flag.result.variant": "on"}
        record = log_record(
            f"fast-lists for {tenant}", time_ns=NOW_NS, event_name="tocsin.flag.flip",
            attrs=said | ({"tocsin.tenant": tenant} if tenant else {}),
        )  # fmt: skip
        put(log_request([record]))
    step = {"tocsin.migration.revision": "17"}
    put(log_request([log_record("migrated to 17", time_ns=NOW_NS + 1, event_name="tocsin.migration", attrs=step)]))
    put(deploy("1.1", NOW_NS + SECOND_NS, **{"vcs.ref.head.revision": "4f0a1b2c3d4e"}))
    everything = happened(store, PLATFORM, HOUR)
    assert [one.kind for one in everything] == ["flag", "flag", "flag", "migration", "deploy"]
    for scope, asked in (
        (Scope(frozenset({"acme"})), HOUR),
        (PLATFORM, Filter(HOUR.window, tenant="acme")),
    ):
        found = happened(store, scope, asked)
        assert [one.kind for one in found] == ["flag", "flag", "migration", "deploy"]
        assert {one.tenant for one in found} == {"acme", ""}
    others = happened(store, Scope(frozenset({"globex"})), Filter(HOUR.window, tenant="acme"), kinds=["flag"])
    assert [one.tenant for one in others] == [""]


def test_what_every_worker_tells_happened_once(store: TelemetryStore, put: Any) -> None:
    said = {"feature_flag.key": "fast-lists", "tocsin.tenant": "acme"}
    for minutes in (40, 39, 38, 5):
        when = NOW_NS - minutes * MINUTE_NS
        put(log_request([log_record("off → on", time_ns=when, event_name="tocsin.flag.flip", attrs=said)]))
    found = happened(store, PLATFORM, HOUR, kinds=["flag"])
    assert [(NOW_NS - one.time_ns) // MINUTE_NS for one in found] == [40, 5]


def test_the_commits_between_two_releases_are_named_when_both_tell_theirs() -> None:
    old = Deployment("shop", "production", "1.0", 0, commit="4f0a1b2c3d4e5f60718293a4")
    new = replace(old, release="1.1", commit="5e6f7081")
    assert commit_range(old, new) == "4f0a1b2c3d4e..5e6f7081"
    assert commit_range(None, new) == commit_range(replace(old, commit=""), new) == commit_range(new, new) == ""
