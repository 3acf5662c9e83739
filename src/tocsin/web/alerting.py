"""What routes and pages of alerting share: the pipeline behind a request, and which alerts its reader may see."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import HTTPConnection

from tocsin.alerts.dispatch import Pipeline
from tocsin.alerts.past import PastExplanation, explain_at
from tocsin.model.alert_state import KnownAlert
from tocsin.model.path_check import is_check
from tocsin.model.tenant import Scope
from tocsin.storage.control import NotFound


def pipeline_of(request: HTTPConnection) -> Pipeline:
    pipeline: Pipeline = request.app.state.tocsin.alerts
    return pipeline


def firing_count(request: HTTPConnection, scope: Scope) -> int:
    """Alerts that fire, are not held back and that nobody has acknowledged."""
    pipeline: Pipeline | None = getattr(request.app.state.tocsin, "alerts", None)
    if pipeline is None:
        return 0  # a site of the access routes alone
    return unhandled_count(pipeline, scope)


def unhandled_count(pipeline: Pipeline, scope: Scope) -> int:
    """The same, where nobody asked by a request."""
    now = pipeline.clock()
    return sum(
        1
        for known in pipeline.known().values()
        if known.is_firing(now)
        and may_see(scope, known)
        and not known.suppressed_by
        and not is_check(known.alert.labels)
        and not known.handling.acknowledged_by
    )


def may_see(scope: Scope, known: KnownAlert) -> bool:
    """An alert without a tenant is the platform's."""
    return scope.allows(known.alert.tenant)


def alert_for(request: HTTPConnection, scope: Scope, fingerprint: str) -> KnownAlert:
    """The alert of that fingerprint, open or over. Raises NotFound, also for one of another tenant."""
    pipeline = pipeline_of(request)
    known = pipeline.known().get(fingerprint) or pipeline.control.alerts.find(fingerprint)
    if known is None or not may_see(scope, known):
        raise NotFound(f"cannot find alert '{fingerprint[:40]}': there is none, or it is not yours to see")
    return known


def past(request: HTTPConnection, scope: Scope, known: KnownAlert, at: datetime) -> PastExplanation:
    """Why who was told of the alert at an instant; without a zone it is meant in UTC."""
    pipeline = pipeline_of(request)
    history = pipeline.control.alerts.history(scope, fingerprint=known.fingerprint, limit=5000)
    moment = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    return explain_at(known.alert.labels, history, pipeline.config, moment, pipeline.control.notifications.found)
