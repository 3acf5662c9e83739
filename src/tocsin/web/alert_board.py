"""What fires, as lists and pages show it: one look at the pipeline, with what holds each alert back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from starlette.requests import HTTPConnection

from tocsin.alerts.correlate import Cluster, Topology, correlate
from tocsin.alerts.decide import Circumstances, Hold, holds_on_alert
from tocsin.alerts.dispatch import Pipeline
from tocsin.alerts.inhibit import cycles
from tocsin.alerts.route import all_routes, group_key, group_labels, route_alert
from tocsin.model.access import Principal, Role
from tocsin.model.alert import Alert
from tocsin.model.alert_state import AlertChange, Change, KnownAlert
from tocsin.model.notification import Notification
from tocsin.model.path_check import is_check
from tocsin.model.silence import Maintenance
from tocsin.model.tenant import Scope
from tocsin.web.alert_problems import faults, untold
from tocsin.web.alerting import may_see, pipeline_of

ENVIRONMENT_LABELS = ("environment", "env", "deployment_environment_name", "deployment_environment")
State = Literal["active", "suppressed", "resolved"]


@dataclass(slots=True)
class AlertBoard:
    """alerts: those the reader may see, the worst first. clusters: of those that fire."""

    pipeline: Pipeline
    scope: Scope
    may_act: bool  # whether the reader may acknowledge and silence
    now: datetime
    alerts: Sequence[KnownAlert]
    clusters: Sequence[Cluster]
    around: Circumstances
    faults: Sequence[str] = ()  # of files, rules and templates
    _holds: dict[str, tuple[Hold, ...]] = field(default_factory=dict)
    _by_key: dict[str, KnownAlert] = field(default_factory=dict)

    def holds(self, known: KnownAlert) -> tuple[Hold, ...]:
        if known.fingerprint not in self._holds:
            self._holds[known.fingerprint] = tuple(holds_on_alert(known, self.around, self.now))
        return self._holds[known.fingerprint]

    def state(self, known: KnownAlert) -> State:
        if not known.is_firing(self.now):
            return "resolved"
        return "suppressed" if self.holds(known) else "active"

    @property
    def firing(self) -> list[KnownAlert]:
        return [known for known in self.alerts if known.is_firing(self.now)]

    @property
    def active(self) -> list[KnownAlert]:
        return [known for known in self.alerts if self.state(known) == "active"]

    @property
    def suppressed(self) -> list[KnownAlert]:
        return [known for known in self.alerts if self.state(known) == "suppressed"]

    def of(self, cluster: Cluster) -> list[KnownAlert]:
        if not self._by_key:
            self._by_key = {known.fingerprint: known for known in self.alerts}
        return [self._by_key[alert.fingerprint] for alert in cluster.alerts if alert.fingerprint in self._by_key]

    def receivers(self, known: KnownAlert) -> list[str]:
        routes = route_alert(self.pipeline.config.route, known.alert.labels)
        return list(dict.fromkeys(route.receiver for route in routes))

    @property
    def storms(self) -> Mapping[str, Sequence[Notification]]:
        """Held notifications by receiver; the platform's alone to see."""
        return self.pipeline.held() if self.scope.is_platform else {}

    def held_by(self, maintenance: Maintenance) -> list[AlertChange]:
        """The alerts that a maintenance kept from being told, the newest first."""
        found = self.pipeline.control.alerts.history(
            self.scope, start=maintenance.starts_at, change=Change.SUPPRESSED, limit=1000
        )
        return [change for change in found if change.detail.get("by") == f"maintenance:{maintenance.id}"]

    @property
    def problems(self) -> list[str]:
        """What is wrong with alerting itself."""
        found = [self.pipeline.problem] if self.pipeline.problem else []
        if self.scope.is_platform:
            found += self.faults
            alerts = {known.fingerprint: known.alert for known in self.firing}
            found += [
                f"{alerts[one].name} and {alerts[other].name} inhibit each other, so nobody is told of either; "
                "change one of the inhibit_rules"
                for one, other in cycles(alerts, self.around.inhibitor, self.now)[:5]
            ]
            named = {route.receiver for route in all_routes(self.pipeline.config.route)}
            failures = self.pipeline.control.notifications.failures()
            found += untold((receiver, reason) for receiver, reason in failures if receiver in named)
        return found


def in_environment(board: AlertBoard, environment: str | None) -> AlertBoard:
    """Without alerts that say they are of another environment."""
    if environment is None:
        return board

    def belongs(alert: Alert) -> bool:
        said = next((alert.labels[name] for name in ENVIRONMENT_LABELS if alert.labels.get(name)), environment)
        return said == environment

    kept = [known for known in board.alerts if belongs(known.alert)]
    clusters = [each for each in board.clusters if any(belongs(alert) for alert in each.alerts)]
    return replace(board, alerts=kept, clusters=clusters, _by_key={})


def of_group(board: AlertBoard, key: str) -> list[KnownAlert]:
    """The alerts of a group, by the key that messages about it have; what fires first."""
    tree = board.pipeline.config.route

    def keys(known: KnownAlert) -> set[str]:
        labels = known.alert.labels
        return {group_key(route, group_labels(route, labels)) for route in route_alert(tree, labels)}

    return [known for known in board.alerts if key in keys(known)]


def alert_board(request: HTTPConnection, scope: Scope, *, tenant: str = "", with_resolved: bool = False) -> AlertBoard:
    pipeline = pipeline_of(request)
    narrowed = scope.narrowed_to(tenant or None)
    known = dict(pipeline.known())
    if with_resolved:
        stored = pipeline.control.alerts.listed(narrowed, limit=2000)
        known = {each.fingerprint: each for each in stored} | known
    now = pipeline.clock()
    mine = [each for each in known.values() if may_see(narrowed, each) and not is_check(each.alert.labels)]
    seen = [each for each in mine if with_resolved or each.is_firing(now)]
    seen.sort(key=lambda each: (not each.is_firing(now), each.alert.severity, each.alert.starts_at, each.fingerprint))
    principal: Principal | None = getattr(request.state, "principal", None)
    may_act = principal is not None and principal.has(Role.OPERATOR)
    clusters = correlate([each.alert for each in seen if each.is_firing(now)], topology_of(request, scope))
    return AlertBoard(pipeline, narrowed, may_act, now, seen, clusters, pipeline.circumstances(), faults(request))


def topology_of(request: HTTPConnection, scope: Scope) -> Topology:
    """Who calls whom is the platform's to know."""
    known = getattr(request.app.state.tocsin, "topology", None)
    found: Topology = known() if known is not None and scope.is_platform else {}
    return found
