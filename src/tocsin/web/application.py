"""The site: every page, the REST routes and the guards as one FastAPI application."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from tocsin.storage.telemetry.engine import EngineError
from tocsin.web import alert_actions, push_actions
from tocsin.web.access import add_access
from tocsin.web.api import (
    alert_webhook,
    alertmanager,
    alertmanager_silences,
    alerts,
    calls,
    collectors,
    dashboards,
    data,
    deployments,
    doctor,
    errors,
    figures,
    flags,
    isolation,
    jobs,
    keeping,
    log_patterns,
    log_report,
    logs,
    loki,
    loki_drilldown,
    loki_series,
    loki_tail,
    map,
    monitoring,
    monitoring_alerts,
    monitoring_metrics,
    notify,
    operations,
    prometheus,
    prometheus_federate,
    prometheus_rules,
    prometheus_series,
    prometheus_status,
    provider_events,
    push,
    releases,
    rule_backtest,
    rule_tune,
    rules,
    runtime,
    services,
    slack_actions,
    tenants,
    traces,
)
from tocsin.web.api.asked import answer_engine_error
from tocsin.web.routes import add_routes
from tocsin.web.site import add_pages

DESCRIPTION = (
    "Everything the pages show, for programs. Send an API token as `Authorization: Bearer tcs_api_…`; a token of a "
    "tenant viewer sees the telemetry of its tenants only."
)
LOKI = (loki, loki_drilldown, loki_series, loki_tail)
PROMETHEUS = (prometheus, prometheus_federate, prometheus_rules, prometheus_series, prometheus_status)


def build_site(state: Any) -> FastAPI:
    """The application over `state`, which routes find as `request.app.state.tocsin`."""
    # The documentation pages of FastAPI load scripts from a CDN, which an air-gapped product cannot.
    app = FastAPI(
        title="Tocsin",
        version=version("tocsin"),
        description=DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.tocsin = state
    for module in (
        services,
        figures,
        calls,
        isolation,
        jobs,
        errors,
        log_patterns,
        log_report,
        collectors,
        map,
        traces,
        logs,
        tenants,
        dashboards,
        rule_backtest,
        rule_tune,
        rules,
        data,
        keeping,
        deployments,
        operations,
        releases,
        flags,
        runtime,
        monitoring,
        monitoring_metrics,
        notify,
        push,
        provider_events,
        slack_actions,
        doctor,
        alert_webhook,
        alertmanager,
        alertmanager_silences,
        alerts,
        monitoring_alerts,
        *PROMETHEUS,
        *LOKI,
    ):
        add_routes(app, module.router)
    add_routes(app, alertmanager.health)
    add_routes(app, alert_actions.router)
    add_routes(app, push_actions.router)
    app.add_exception_handler(EngineError, answer_engine_error)
    add_access(app)
    add_pages(app)
    return app
