"""What becomes of an alerting rule's alerts at one evaluation: pending, firing, resolved. Plain values, no clock.

Source: Prometheus' alerting rules; the same times make the same states.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from tocsin.detect.rules.rule import Rule
from tocsin.model.alert import ALERT_NAME, Alert, fingerprint_of
from tocsin.model.labels import METRIC_NAME

State = Literal["pending", "firing", "inactive"]
Series = tuple[dict[str, str], float]
"""Labels, `__name__` among them, and a value."""

RESOLVED_KEPT_MS = 15 * 60_000
"""How long a resolved alert is told again, should its end have been missed."""


class RuleError(Exception):
    """A rule cannot be evaluated; the message is Prometheus' where it has one."""


@dataclass(frozen=True, slots=True)
class Active:
    """One alert of a rule. Times in unix milliseconds; inactive ones are resolved and soon forgotten."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    value: float
    state: State
    active_at_ms: int
    fired_at_ms: int | None = None
    resolved_at_ms: int | None = None
    keep_firing_since_ms: int | None = None
    last_sent_ms: int | None = None

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.labels)

    @property
    def is_active(self) -> bool:
        return self.state != "inactive"


@dataclass(frozen=True, slots=True)
class Found:
    """What the rule's expression gave for one label set, with its words."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    value: float


Alerts = dict[str, Active]
"""By fingerprint."""


def stepped(rule: Rule, before: Alerts, found: Iterable[Found], at_ms: int, limit: int = 0) -> Alerts:
    """The alerts after this evaluation. Raises RuleError; the alerts then stay, but for the limit, see `over_limit`."""
    now: Alerts = {}
    seen: set[str] = set()
    for one in found:
        key = fingerprint_of(one.labels)
        if key in seen:
            raise RuleError("vector contains metrics with the same labelset after applying alert labels")
        seen.add(key)
        held = before.get(key)
        if held is not None and held.is_active:
            now[key] = replace(held, value=one.value, annotations=one.annotations, keep_firing_since_ms=None)
        else:
            now[key] = Active(one.labels, one.annotations, one.value, "pending", at_ms)
    for key, held in before.items():
        if key not in seen and (left := _left(rule, held, at_ms)) is not None:
            now[key] = left
    now = {key: _matured(rule, one, at_ms) for key, one in now.items()}
    active = sum(1 for one in now.values() if one.is_active)
    if limit and active > limit:
        raise LimitExceeded(f"exceeded limit of {limit} with {active} alerts")
    return now


class LimitExceeded(RuleError):
    """More alerts or series than the group allows; none of them counts."""


def _left(rule: Rule, held: Active, at_ms: int) -> Active | None:
    """An alert whose condition no longer holds; None when it is forgotten."""
    if held.state == "firing" and rule.keep_firing_for_seconds:
        since = held.keep_firing_since_ms if held.keep_firing_since_ms is not None else at_ms
        if at_ms - since < rule.keep_firing_for_seconds * 1000:
            return replace(held, keep_firing_since_ms=since)
    if held.state == "pending":
        return None
    if held.resolved_at_ms is not None:
        return held if at_ms - held.resolved_at_ms < RESOLVED_KEPT_MS else None
    return replace(held, state="inactive", resolved_at_ms=at_ms)


def _matured(rule: Rule, one: Active, at_ms: int) -> Active:
    if one.state == "pending" and at_ms - one.active_at_ms >= rule.for_seconds * 1000:
        return replace(one, state="firing", fired_at_ms=at_ms)
    return one


def ended(alerts: Alerts, at_ms: int) -> Alerts:
    """All of them resolved: their rule is gone or switched off."""
    firing = {key: one for key, one in alerts.items() if one.state != "pending"}
    return {
        key: replace(one, state="inactive", resolved_at_ms=at_ms) if one.is_active else one
        for key, one in firing.items()
    }


def series_of(alerts: Alerts) -> list[Series]:
    """ALERTS and ALERTS_FOR_STATE of what is pending or firing."""
    made: list[Series] = []
    for one in alerts.values():
        if one.is_active:
            made.append(({**one.labels, METRIC_NAME: "ALERTS", "alertstate": one.state}, 1.0))
            made.append(({**one.labels, METRIC_NAME: "ALERTS_FOR_STATE"}, float(one.active_at_ms // 1000)))
    return made


def due(alerts: Alerts, at_ms: int, resend_ms: int) -> list[str]:
    """The fingerprints that have to be told: newly firing, newly resolved, or not told for a while."""

    def is_due(one: Active) -> bool:
        if one.state == "pending":
            return False
        if one.last_sent_ms is None:
            return True
        if one.resolved_at_ms is not None and one.resolved_at_ms > one.last_sent_ms:
            return True
        return one.last_sent_ms + resend_ms <= at_ms

    return [key for key, one in alerts.items() if is_due(one)]


def sent(alerts: Alerts, keys: Iterable[str], at_ms: int) -> Alerts:
    return {**alerts, **{key: replace(alerts[key], last_sent_ms=at_ms) for key in keys}}


def told(one: Active, generator_url: str, ends_ms: int) -> Alert:
    """The alert as who routes it takes it. ends_ms: when one that fires is over, unless it is told again."""
    starts_ms = one.fired_at_ms if one.fired_at_ms is not None else one.active_at_ms
    return Alert(
        dict(one.labels),
        dict(one.annotations),
        starts_at=moment(starts_ms),
        ends_at=moment(ends_ms if one.resolved_at_ms is None else one.resolved_at_ms),
        is_until_told=one.resolved_at_ms is None,
        generator_url=generator_url,
    )


def moment(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)


def restored(rule: Rule, kept: Mapping[str, Any], now_ms: int) -> Alerts:
    """Alerts as `plain` kept them. Time in which nobody looked does not count as pending."""
    gap_ms = max(0, now_ms - int(kept.get("evaluated_at_ms", now_ms)))
    found: Alerts = {}
    for said in kept.get("alerts", []):
        one = Active(**said)
        if one.state == "pending":
            one = replace(one, active_at_ms=one.active_at_ms + gap_ms)
        found[one.fingerprint] = one
    return found if rule.is_alerting else {}


def plain(alerts: Alerts, at_ms: int) -> dict[str, Any]:
    """As JSON takes it; `restored` reads it."""
    names = Active.__dataclass_fields__
    rows = [{name: _plain_value(getattr(one, name)) for name in names} for one in alerts.values()]
    return {"evaluated_at_ms": at_ms, "alerts": rows}


def _plain_value(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def with_alert_name(rule: Rule, labels: Mapping[str, str]) -> dict[str, str]:
    """Labels of an alert: those that are empty are none."""
    named = {**labels, ALERT_NAME: rule.alert}
    return {name: value for name, value in named.items() if value}


@dataclass(slots=True)
class RuleState:
    """What is known of one rule between evaluations."""

    key: str
    rule: Rule
    labels: Mapping[str, str]
    """Its own and its group's."""
    is_on: bool = True
    alerts: Alerts = field(default_factory=dict)
    written: dict[tuple[tuple[str, str], ...], None] = field(default_factory=dict)
    """The series written last, which get a stale marker once they are gone."""
    error: str = ""
    evaluated_at_ms: int = 0
    seconds: float = 0.0
    samples: int = 0
    template_errors: int = 0
    words_error: str = ""
    """Why a label or an annotation could not be filled at the last evaluation."""

    @property
    def state(self) -> str:
        """firing, pending or inactive; off for one that is not evaluated."""
        if not self.is_on:
            return "off"
        states = {one.state for one in self.alerts.values()}
        return next((state for state in ("firing", "pending") if state in states), "inactive")

    @property
    def health(self) -> str:
        return "unknown" if not self.evaluated_at_ms else "err" if self.error else "ok"
