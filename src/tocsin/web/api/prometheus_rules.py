"""Prometheus' rules and alerts: /prometheus/api/v1/rules and /alerts, and /-/reload."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from tocsin.detect.rules.alerting import Active, RuleState
from tocsin.detect.rules.group_run import GroupRun
from tocsin.query.metric_reader import Selector
from tocsin.query.promql.literals import format_number
from tocsin.web.api.contract import BEARER
from tocsin.web.api.prometheus import PREFIX
from tocsin.web.api.prometheus_answer import PrometheusError, PrometheusRoute, invalid, success
from tocsin.web.api.prometheus_asked import selector_of
from tocsin.web.auth import Anybody, Operator
from tocsin.web.ruling import engine_of, may_see_alert, visible_groups

router = APIRouter(tags=["prometheus"], dependencies=[Depends(BEARER)], route_class=PrometheusRoute)
ZERO_TIME = "0001-01-01T00:00:00Z"
TYPES = ("", "alert", "record")


@router.get(f"{PREFIX}/rules", operation_id="prometheus_rules")
def rules(request: Request, principal: Anybody) -> Response:
    """The groups with how they are doing; filters type, rule_name[], rule_group[], file[], exclude_alerts, match[]."""
    asked = request.query_params
    kind = asked.get("type", "")
    if kind not in TYPES:
        raise invalid("type", f"not supported value {kind!r}".replace("'", '"'))
    without_alerts = _truth("exclude_alerts", asked.get("exclude_alerts", ""))
    selectors = [selector_of(text) for text in asked.getlist("match[]")]
    groups = []
    for run in visible_groups(request, principal):
        if not _named(asked.getlist("rule_group[]"), run.name) or not _named(asked.getlist("file[]"), run.file):
            continue
        kept = [one for one in run.states if _is_asked(one, kind, asked.getlist("rule_name[]"), selectors)]
        if kept or not (kind or selectors or asked.getlist("rule_name[]")):
            groups.append(_group(run, kept, without_alerts))
    shown, token = _page(groups, asked.get("group_limit", ""), asked.get("group_next_token", ""))
    return success({"groups": shown} | ({"groupNextToken": token} if token else {}))


@router.get(f"{PREFIX}/alerts", operation_id="prometheus_alerts")
def alerts(request: Request, principal: Anybody) -> Response:
    """Everything pending and firing that this token may see."""
    runs = [] if (engine := engine_of(request)) is None else engine.groups
    found = [one for run in runs for state in run.states for one in list(state.alerts.values()) if one.is_active]
    return success({"alerts": [_alert(one) for one in found if may_see_alert(principal, one)]})


@router.get(f"{PREFIX}/alertmanagers", operation_id="prometheus_alertmanagers")
def alertmanagers(request: Request, principal: Anybody) -> Response:
    """Who is told what rules say, beside Tocsin's own routes; nobody for who may not see the whole platform."""
    engine = engine_of(request) if principal.scope.is_platform else None
    told = [] if engine is None else engine.alertmanagers.members
    return success({"activeAlertmanagers": [{"url": one.url} for one in told], "droppedAlertmanagers": []})


@router.api_route(
    "/-/reload", methods=["POST", "PUT"], operation_id="reload", summary="Read rule files and alertmanager.yml anew"
)
async def reload(request: Request, operator: Operator) -> Response:
    """500 with the reasons when a file cannot be used; what it said before goes on."""
    bad = await run_in_threadpool(request.app.state.tocsin.reload)
    return Response("".join(f"{one}\n" for one in bad), 500 if bad else 200, media_type="text/plain")


def _named(wanted: list[str], name: str) -> bool:
    return not wanted or name in wanted


def _truth(name: str, text: str) -> bool:
    if text.lower() not in ("", "true", "false", "1", "0", "t", "f"):
        raise invalid(name, f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return text.lower() in ("true", "1", "t")


def _is_asked(state: RuleState, kind: str, names: list[str], selectors: list[Selector]) -> bool:
    if kind and (kind == "alert") != state.rule.is_alerting:
        return False
    return _named(names, state.rule.name) and (not selectors or any(_matches(state, one) for one in selectors))


def _matches(state: RuleState, selector: Selector) -> bool:
    """Templated labels do not count, as in Prometheus."""
    labels = {name: text for name, text in state.labels.items() if "{{" not in text}
    return all(matcher.matches(labels.get(matcher.name, "")) for matcher in selector)


def _page(groups: list[dict[str, Any]], limit: str, token: str) -> tuple[list[dict[str, Any]], str]:
    if not limit:
        if token:
            raise invalid("group_limit", "group_limit needs to be set if group_next_token is set")
        return groups, ""
    if not limit.isdigit() or int(limit) < 1:
        raise invalid("group_limit", "group_limit needs to be a number greater than 0")
    names = [f"{group['file']};{group['name']}" for group in groups]
    if token and token not in names:
        raise PrometheusError("bad_data", "invalid group_next_token: the groups have changed; start again without it")
    first = names.index(token) if token else 0
    behind = first + int(limit)
    return groups[first:behind], names[behind] if behind < len(names) else ""


def _group(run: GroupRun, states: list[RuleState], without_alerts: bool) -> dict[str, Any]:
    return {
        "name": run.name,
        "file": run.file,
        "rules": [_rule(state, without_alerts) for state in states],
        "interval": run.interval_ms / 1000,
        "limit": run.group.limit,
        "evaluationTime": run.seconds,
        "lastEvaluation": time_text(run.evaluated_at_ms),
    }


def _rule(state: RuleState, without_alerts: bool) -> dict[str, Any]:
    rule = state.rule
    said: dict[str, Any] = {
        "name": rule.name,
        "query": rule.expr,
        "health": state.health,
        "evaluationTime": state.seconds,
        "lastEvaluation": time_text(state.evaluated_at_ms),
        "type": "alerting" if rule.is_alerting else "recording",
    }
    if state.error:
        said["lastError"] = state.error
    if not rule.is_alerting:
        return said | ({"labels": dict(state.labels)} if state.labels else {})
    shown = [_alert(one) for one in list(state.alerts.values()) if one.is_active]
    return said | {
        "state": "inactive" if state.state == "off" else state.state,
        "duration": rule.for_seconds,
        "keepFiringFor": rule.keep_firing_for_seconds,
        "labels": dict(state.labels),
        "annotations": dict(rule.annotations),
        "alerts": [] if without_alerts else shown,
    }


def _alert(one: Active) -> dict[str, Any]:
    said = {
        "labels": dict(one.labels),
        "annotations": dict(one.annotations),
        "state": one.state,
        "activeAt": time_text(one.active_at_ms),
        "value": _exponent(one.value),
    }
    if one.keep_firing_since_ms is not None:
        said["keepFiringSince"] = time_text(one.keep_firing_since_ms)
    return said


def _exponent(value: float) -> str:
    """As Go's strconv prints a float with 'e'."""
    if value != value or value in (float("inf"), float("-inf")):
        return format_number(value)
    mantissa, _, exponent = next(
        text for digits in range(18) if float(text := f"{value:.{digits}e}") == value or digits == 17
    ).partition("e")
    return f"{mantissa}e{exponent[0]}{int(exponent[1:]):02d}"


def time_text(time_ms: int) -> str:
    """RFC 3339; Go's zero time for never."""
    if not time_ms:
        return ZERO_TIME
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat().replace("+00:00", "Z")
