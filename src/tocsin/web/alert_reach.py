"""The blast radius of alerts: which tenants each of them reaches, as far as its labels and the requests tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tocsin.model.alert import Alert
from tocsin.query import red
from tocsin.query.red import TenantsOf
from tocsin.web.alert_board import AlertBoard
from tocsin.web.view import View

SERVICE_LABELS = ("service", "service_name", "job")


@dataclass(frozen=True, slots=True)
class Reach:
    """`tenants`: who is hurt, at most five by name. `users` counts those that use what the alert is about."""

    tenants: Sequence[str] = ()
    more: int = 0
    users: int = 0


def reaches(board: AlertBoard, view: View) -> Mapping[str, Reach]:
    """By fingerprint, of what fires."""
    if not board.firing:
        return {}
    asked = red.tenants_of(view.store, view.scope, view.filter)
    by_cluster = {
        known.fingerprint: sorted(cluster.tenants) for cluster in board.clusters for known in board.of(cluster)
    }
    return {
        known.fingerprint: reach_of(known.alert, by_cluster.get(known.fingerprint, []), asked) for known in board.firing
    }


def reach_of(alert: Alert, together: Sequence[str], asked: Sequence[TenantsOf]) -> Reach:
    """Its own tenant; else those of the alerts it belongs together with; else those whose requests failed at what it is
    about; else how many use that."""
    if alert.tenant:
        return Reach((alert.tenant,))
    if together:
        return Reach(together[:5], max(0, len(together) - 5))
    service = next((alert.labels[name] for name in SERVICE_LABELS if alert.labels.get(name)), "")
    route, method = alert.labels.get("route", ""), alert.labels.get("method", "")
    about = [one for one in asked if one.service == service and route in ("", one.route) and method in ("", one.method)]
    hurt = sorted({tenant for one in about for tenant in one.failed})
    users = {tenant for one in about for tenant in one.tenants}
    return Reach(hurt[:5], max(0, len(hurt) - 5), len(users))
