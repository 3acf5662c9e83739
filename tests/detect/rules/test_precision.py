"""A back-test is judged by incidents, by what people did, and by what they called false."""

from __future__ import annotations

from typing import Any

from tocsin.detect.rules.precision import SLACK_MS, Mark, Precision, precision
from tocsin.detect.rules.replay import Period, Replayed
from tocsin.detect.rules.rule import Rule
from tocsin.query.promql.source import Grid

HOUR = 3_600_000


def fired(hour: float, until: float | None, **labels: str) -> Period:
    end = None if until is None else round(until * HOUR)
    return Period(labels, round(hour * HOUR), fired_at_ms=round(hour * HOUR), ended_at_ms=end)


def judged(periods: list[Period], *marks: Mark, severity: str = "warning") -> Precision:
    found = Replayed(
        Rule(alert="Slow", expr="x", labels={"severity": severity}), Grid(0, 24 * HOUR, 60_000), [], periods
    )
    return precision(found, marks, 24 * HOUR)


def mark(kind: str, hour: float, until: float | None = None, **more: Any) -> Mark:
    return Mark(kind, round(hour * HOUR), round((until or hour) * HOUR), **more)  # type: ignore[arg-type]  # a kind


def test_fires_in_an_incident_or_acted_upon_are_real_and_those_called_false_are_noise() -> None:
    found = judged(
        [fired(1, 2), fired(5, 5.1), fired(9, 9.1), fired(13, 13.2)],
        mark("incident", 1.5, 3),
        mark("acted", 5.05, name="Slow"),
        mark("noise", 9.2, name="Slow"),
    )
    assert (found.real, found.noise, found.unjudged, found.missed) == (2, 1, 1, 0)
    assert found.ratio == 2 / 3


def test_nothing_said_is_no_precision() -> None:
    assert judged([fired(1, 2)]).ratio is None
    assert judged([]).ratio is None


def test_what_people_did_about_another_alert_or_tenant_says_nothing() -> None:
    found = judged(
        [fired(1, 2, tenant="acme")],
        mark("noise", 1.5, name="Other"),
        mark("acted", 1.5, name="Slow", tenant="globex"),
    )
    assert (found.real, found.noise, found.unjudged) == (0, 0, 1)
    assert judged([fired(1, 2, tenant="acme")], mark("acted", 1.5, name="Slow", tenant="acme")).real == 1


def test_incident_without_a_fire_was_missed_and_one_called_false_stays_noise() -> None:
    found = judged([fired(1, 2)], mark("incident", 1), mark("noise", 1), mark("incident", 8, 9))
    assert (found.real, found.noise, found.missed) == (0, 1, 1)


def test_a_quarter_of_an_hour_belongs_to_an_incident_and_to_a_deploy() -> None:
    slack = SLACK_MS / HOUR
    assert judged([fired(2, 2.1)], mark("incident", 2.1 + slack)).real == 1
    assert judged([fired(2, 2.1)], mark("incident", 2.2 + slack)).real == 0
    assert judged([fired(2, 2.1)], mark("deploy", 2 - slack)).after_deploys == 1
    assert judged([fired(2, 2.1)], mark("deploy", 2.05)).after_deploys == 0


def test_one_that_still_fires_lasts_until_now() -> None:
    assert judged([fired(1, None)], mark("incident", 20)).real == 1


def test_what_was_said_of_one_series_is_not_said_of_another() -> None:
    labels = {"alertname": "Slow", "severity": "warning", "route": "/a"}
    said = mark("noise", 1, name="Slow", labels=labels)

    assert judged(
        [fired(1, 1.1, route="/a", severity="warning"), fired(1, 1.1, route="/b", severity="warning")], said
    ) == (Precision(noise=1, unjudged=1))


def test_rules_of_one_name_are_judged_apart_and_a_rule_keeps_its_marks_when_its_severity_changes() -> None:
    def said(kind: str, **labels: str) -> Mark:
        return mark(kind, 1, name="Slow", labels={"alertname": "Slow", "route": "/a", **labels})

    marks = said("noise", severity="warning"), said("acted", severity="high", demoted_from="critical")
    fire = fired(1, 1.1, route="/a")

    assert judged([fire], *marks, severity="critical") == Precision(real=1)
    assert judged([fire], *marks, severity="warning") == Precision(noise=1)
    assert judged([fire], marks[0], severity="info") == Precision(noise=1)
