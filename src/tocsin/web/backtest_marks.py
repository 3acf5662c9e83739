"""What a back-test is judged by: what people did about alerts, incidents that were marked, and deploys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.requests import HTTPConnection

from tocsin.detect.rules.precision import Kind, Mark
from tocsin.model.access import Principal
from tocsin.model.alert_state import Change
from tocsin.model.window import Window
from tocsin.query.annotations import happened, told
from tocsin.query.filters import Filter
from tocsin.web.alerting import pipeline_of

INCIDENT = "tocsin.incident"
"""The event by which an incident is marked, with `seconds` for how long it lasted; its time is its beginning."""

MOST = 1000
_KINDS: dict[Change, Kind] = {
    Change.FALSE_POSITIVE: "noise",
    Change.ACKNOWLEDGED: "acted",
    Change.ASSIGNED: "acted",
    Change.DECLARED: "acted",
}


def marks_of(request: HTTPConnection, principal: Principal, start: datetime, end: datetime) -> list[Mark]:
    """Everything that is known of this time, within what the reader may see."""
    kept = pipeline_of(request).control.alerts
    history = kept.history(principal.scope, start=start, end=end, limit=100_000)
    said = [(kind, one) for one in history if (kind := _kind(one.change, one.actor)) is not None]
    alerts = kept.found({one.fingerprint for _, one in said})
    labels = {key: known.alert.labels for key, known in alerts.items()}
    found = [
        Mark(kind, _ms(one.at), _ms(one.at), one.name, one.tenant, f"{one.change} by {one.actor}",
             labels.get(one.fingerprint, {}))
        for kind, one in said
    ]  # fmt: skip
    store: Any = request.app.state.tocsin.store
    asked = Filter(Window(int(start.timestamp() * 1e9), int(end.timestamp() * 1e9)))
    for event in told(store, principal.scope, asked, [INCIDENT], MOST):
        began = event.time_ns // 1_000_000
        lasted = event.attributes.get("seconds", 0)
        until = began + round(float(lasted) * 1000) if isinstance(lasted, int | float) else began
        found.append(Mark("incident", began, until, "", event.tenant, event.body))
    for deploy in happened(store, principal.scope, asked, ("deploy",), MOST):
        at_ms = deploy.time_ns // 1_000_000
        found.append(Mark("deploy", at_ms, at_ms, "", "", deploy.text))
    return found


def _kind(change: Change, actor: str) -> Kind | None:
    if change is Change.RESOLVED and actor:
        return "acted"  # by hand
    return _KINDS.get(change)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
