"""Alertmanager's API v2, alerts: what Prometheus sends to, and what amtool and Grafana read."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from tocsin.alerts.decide import OF_THE_ALERT, Hold, holds_on_alert
from tocsin.alerts.dispatch import Pipeline
from tocsin.alerts.intake import Refused
from tocsin.alerts.matcher_text import MatcherError, all_match, read_matchers
from tocsin.alerts.mute import muted_by
from tocsin.alerts.route import route_alert
from tocsin.ingest import gate
from tocsin.model.access import Principal, Role
from tocsin.model.alert import Alert
from tocsin.model.alert_state import KnownAlert
from tocsin.query.promql.matchers import Matcher, PatternError, compile_pattern
from tocsin.storage.control import ControlError
from tocsin.web.alerting import may_see, pipeline_of
from tocsin.web.api.contract import BEARER
from tocsin.web.auth import Anybody, Operator, Viewer, principal_of
from tocsin.web.csrf import bearer_of, refuse_forged
from tocsin.web.refusals import STATUS

PREFIX = "/alertmanager"
SPOKEN_VERSION = "0.28.1"
"""The Alertmanager whose API this is."""


class AlertmanagerRoute(APIRoute):
    """A route whose refusals are what Alertmanager answers: the message as a JSON string."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except HTTPException as error:
                return _refusal(error.status_code, str(error.detail), error.headers)
            except ControlError as error:
                status = STATUS.get(type(error), 503)
                return _refusal(400 if status == 422 else status, str(error))
            except RequestValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                return _refusal(400, f"cannot read this request: {where}: {first['msg']}; see Alertmanager's API v2")

        return answered


def _refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(message), status, media_type="application/json", headers=dict(headers or {}))


def answer(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


router = APIRouter(
    prefix=f"{PREFIX}/api/v2", tags=["alertmanager"], dependencies=[Depends(BEARER)], route_class=AlertmanagerRoute
)
health = APIRouter(prefix=PREFIX, tags=["alertmanager"])
Texts = Annotated[list[str] | None, Query()]


class PostableAlert(BaseModel):
    """An alert as Prometheus sends it. Unknown fields are let through, as Alertmanager does."""

    model_config = ConfigDict(extra="ignore")
    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    startsAt: datetime | None = None
    endsAt: datetime | None = None
    generatorURL: str = ""


async def sender(request: Request) -> None:
    """Dependency: an operator, or an application with an ingest key; without one where none is required."""
    await refuse_forged(request)
    bearer = bearer_of(request) or ""
    state = request.app.state.tocsin
    if not bearer or bearer.startswith("tcs_key_"):
        try:
            state.gate.authenticate(bearer)
            return
        except gate.Refused as error:
            if bearer:
                raise HTTPException(401, error.message) from error
    principal = _principal(request)
    if principal is None or not principal.has(Role.OPERATOR):
        status = 401 if principal is None else 403
        message = "cannot take alerts: send an ingest key or an operator's API token as a bearer token"
        raise HTTPException(status, message)


def _principal(request: Request) -> Principal | None:
    return principal_of(request)


@router.post("/alerts", dependencies=[Depends(sender)], operation_id="alertmanager_post_alerts")
def post_alerts(request: Request, alerts: list[PostableAlert]) -> Response:
    """Takes alerts; those that cannot be kept are answered with 400 and the others kept."""
    pipeline = pipeline_of(request)
    now = pipeline.clock()
    try:
        pipeline.accept([_alert(one, now) for one in alerts])
    except Refused as error:
        return _refusal(400, str(error))
    return Response(status_code=200)


@router.get("/alerts", operation_id="alertmanager_alerts")
def get_alerts(
    request: Request,
    principal: Anybody,
    active: bool = True,
    silenced: bool = True,
    inhibited: bool = True,
    unprocessed: bool = True,
    filter: Texts = None,
    receiver: str = "",
) -> Response:
    """What fires now, by fingerprint."""
    shown = Shown(pipeline_of(request))
    chosen = _chosen(shown, principal, filter, receiver, active, silenced, inhibited)
    return answer([shown.plain(known) for known in sorted(chosen, key=lambda each: each.fingerprint)])


@router.get("/alerts/groups", operation_id="alertmanager_groups")
def get_groups(
    request: Request,
    principal: Anybody,
    active: bool = True,
    silenced: bool = True,
    inhibited: bool = True,
    muted: bool = True,
    filter: Texts = None,
    receiver: str = "",
) -> Response:
    """What fires now, in the groups it is told in. muted: also those whose route is silent at this time."""
    pipeline = pipeline_of(request)
    shown = Shown(pipeline)
    chosen = {known.fingerprint: known for known in _chosen(shown, principal, filter, "", active, silenced, inhibited)}
    pattern = _pattern(receiver)
    found: list[dict[str, Any]] = []
    for group in pipeline.groups():
        if pattern is not None and not pattern.search(group.route.receiver):
            continue
        members = sorted(group.members & chosen.keys())
        by = muted_by(group.route.mute_times, group.route.active_times, pipeline.config.intervals, shown.now)
        if members and (muted or not by):
            alerts = [shown.plain(chosen[key], by) for key in members]
            found.append({"alerts": alerts, "labels": dict(group.labels), "receiver": {"name": group.route.receiver}})
    if pattern is not None:
        # What other receivers get is left out of the alerts, too.
        for alert in (alert for one in found for alert in one["alerts"]):
            alert["receivers"] = [one for one in alert["receivers"] if pattern.search(one["name"])]
    return answer(sorted(found, key=_order))


def _order(group: Mapping[str, Any]) -> tuple[Any, ...]:
    """Alertmanager's: those with fewer labels first."""
    labels = group["labels"]
    return len(labels), sorted(labels.items()), group["receiver"]["name"]


@router.get("/receivers", operation_id="alertmanager_receivers")
def receivers(request: Request, principal: Viewer) -> Response:
    return answer([{"name": one.name} for one in pipeline_of(request).config.receivers])


@router.get("/status", operation_id="alertmanager_status")
def status(request: Request, principal: Viewer) -> Response:
    """The configuration in force, without its secrets."""
    pipeline = pipeline_of(request)
    vitals = getattr(request.app.state.tocsin, "vitals", None)
    version = {
        "version": SPOKEN_VERSION,
        "revision": f"tocsin {vitals.version if vitals else ''}".strip(),
        "branch": "tocsin",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }
    return answer(
        {
            "cluster": {"name": "tocsin", "status": "ready", "peers": []},
            "config": {"original": without_secrets(pipeline.config.text)},
            "uptime": stamp(pipeline.started_at),
            "versionInfo": version,
        }
    )


@health.get("/-/healthy", operation_id="alertmanager_healthy")
@health.get("/-/ready", operation_id="alertmanager_ready")
async def healthy() -> Response:
    return Response("OK", media_type="text/plain")


@health.post("/-/reload", dependencies=[Depends(BEARER)], operation_id="alertmanager_reload")
def reload(request: Request, operator: Operator) -> Response:
    """Reads the alertmanager.yml anew; 500 with the reason when it cannot be used and the former goes on."""
    if problem := request.app.state.tocsin.alert_config.reload():
        return Response(f"failed to reload config: {problem}\n", 500, media_type="text/plain")
    return Response(status_code=200)


class Shown:
    """Alerts in Alertmanager's JSON, all by the same circumstances."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.now = pipeline.clock()
        self.known = pipeline.known()
        self._around = pipeline.circumstances()
        self._holds: dict[str, list[Hold]] = {}

    def holds(self, known: KnownAlert) -> list[Hold]:
        key = known.fingerprint
        if key not in self._holds:
            self._holds[key] = holds_on_alert(known, self._around, self.now)
        return self._holds[key]

    def ids(self, known: KnownAlert, *stages: str) -> list[str]:
        return [id for hold in self.holds(known) if hold.by in stages for id in hold.ids or (hold.by,)]

    def plain(self, known: KnownAlert, muted_by: Sequence[str] = ()) -> dict[str, Any]:
        """muted_by: the time intervals that keep the group silent in which it is shown."""
        alert = known.alert
        held = any(hold.by in OF_THE_ALERT for hold in self.holds(known))
        return {
            "annotations": dict(alert.annotations),
            "endsAt": stamp(alert.ends_at or self.now),
            "fingerprint": known.fingerprint,
            "receivers": [{"name": name} for name in self.receivers(known)],
            "startsAt": stamp(alert.starts_at),
            "status": {
                "inhibitedBy": self.ids(known, "inhibition"),
                "mutedBy": list(muted_by),
                "silencedBy": self.ids(known, "silence", "maintenance", "snooze"),
                "state": "suppressed" if held or muted_by else "active",
            },
            "updatedAt": stamp(known.updated_at),
            "generatorURL": alert.generator_url,
            "labels": dict(alert.labels),
        }

    def receivers(self, known: KnownAlert) -> list[str]:
        routes = route_alert(self.pipeline.config.route, known.alert.labels)
        return list(dict.fromkeys(route.receiver for route in routes))


def _chosen(
    shown: Shown,
    principal: Principal,
    filter: Sequence[str] | None,
    receiver: str,
    active: bool,
    silenced: bool,
    inhibited: bool,
) -> Iterable[KnownAlert]:
    matchers, pattern = matchers_of(filter), _pattern(receiver)
    for known in shown.known.values():
        if not known.is_firing(shown.now) or not may_see(principal.scope, known):
            continue
        if not all_match(matchers, known.alert.labels):
            continue
        if pattern is not None and not any(pattern.search(name) for name in shown.receivers(known)):
            continue
        is_silenced = bool(shown.ids(known, "silence", "maintenance", "snooze"))
        is_inhibited = bool(shown.ids(known, "inhibition"))
        if (is_silenced and not silenced) or (is_inhibited and not inhibited):
            continue
        if not active and not is_silenced and not is_inhibited:
            continue
        yield known


def matchers_of(filter: Sequence[str] | None) -> list[Matcher]:
    """Raises HTTPException 400."""
    try:
        return [matcher for text in filter or () for matcher in read_matchers(text)]
    except MatcherError as error:
        raise HTTPException(400, str(error)) from error


def _pattern(text: str) -> Any:
    try:
        return compile_pattern(f"(?:{text})") if text else None
    except PatternError as error:
        raise HTTPException(400, f"cannot use receiver {text[:100]!r}: {error}; correct the pattern") from error


def _alert(given: PostableAlert, now: datetime) -> Alert:
    starts, ends = _utc(given.startsAt), _utc(given.endsAt)
    starts = starts or (ends if ends is not None else now)
    if ends is None and starts > now + timedelta(days=1):
        starts = now  # a clock that runs ahead must not make an alert that never ends
    labels = {name: value for name, value in given.labels.items() if value}
    return Alert(labels, given.annotations, starts_at=starts, ends_at=ends, generator_url=given.generatorURL)


def _utc(given: datetime | None) -> datetime | None:
    """Go's zero time means that none was said."""
    if given is None or given.year == 1:
        return None
    return given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


_SECRET = re.compile(
    r"^(\s*(?:- )?(?:\w*(?:password|secret|token|api_key|routing_key|service_key|user_key|credentials|api_url|"
    r"webhook_url|integration_key))\s*:\s*)\S.*$",
    re.MULTILINE,
)


def without_secrets(text: str) -> str:
    """A configuration as it may be shown; addresses of webhooks are secrets too."""
    return re.sub(r"(://[^\s/'\"]*?:)[^\s@/'\"]+@", r"\1<secret>@", _SECRET.sub(r"\1<secret>", text))
