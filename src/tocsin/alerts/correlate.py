"""Correlation: alerts that belong together become one cluster with the likely root first.

What brings two together: they began within a few minutes of each other, and they are of the same name, service,
instance or tenant, or one's service calls the other's. What makes one the root: others' services call its service, and
it calls none that is in trouble; then, that it began first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from tocsin.model.alert import Alert
from tocsin.model.severity import Severity

SERVICE_LABELS = ("service", "service_name", "service.name", "tocsin_service")
INSTANCE_LABELS = ("instance", "host", "node")
WINDOW = timedelta(minutes=5)
CLEARLY = timedelta(seconds=2)
"""What began less before another did not begin first: rules are looked at one after the other."""

Topology = Mapping[str, frozenset[str]]
"""The services that a service calls."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Alerts that belong together, the likely root first. tenants: alerts by tenant, the most hurt first."""

    alerts: tuple[Alert, ...]
    cause: str

    @property
    def root(self) -> Alert:
        return self.alerts[0]

    @property
    def severity(self) -> Severity:
        return min(alert.severity for alert in self.alerts)

    @property
    def since(self) -> datetime:
        return min(alert.starts_at for alert in self.alerts)

    @property
    def tenants(self) -> dict[str, int]:
        counted = Counter(alert.tenant for alert in self.alerts if alert.tenant)
        return dict(sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])))


def correlate(alerts: Sequence[Alert], topology: Topology, window: timedelta = WINDOW) -> list[Cluster]:
    """Every alert in exactly one cluster; the worst cluster first, of equals the oldest."""
    joined = _Joined(len(alerts))
    times = [alert.starts_at for alert in alerts]
    by_key: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place in sorted(range(len(alerts)), key=times.__getitem__):
        for key in _keys(alerts[place]):
            by_key[key].append(place)
    for places in by_key.values():
        for one, other in pairwise(places):
            if times[other] - times[one] <= window:
                joined.join(one, other)
    for caller, callees in topology.items():
        for callee in callees:
            _join_near(joined, by_key.get(("service", caller), ()), by_key.get(("service", callee), ()), times, window)
    clusters = [_cluster([alerts[place] for place in places], topology) for places in joined.sets()]
    return sorted(clusters, key=lambda cluster: (cluster.severity, cluster.since))


def compression(clusters: Iterable[Cluster]) -> float:
    """The part of the alerts that need no look of their own, 0 to 1."""
    sizes = [len(cluster.alerts) for cluster in clusters]
    return 1 - len(sizes) / sum(sizes) if sizes else 0.0


def cause_of(alerts: Sequence[Alert], topology: Topology) -> str:
    """The likely root of alerts that are told together, in a sentence; '' for one alone."""
    return _cluster(alerts, topology).cause if len(alerts) > 1 else ""


def service_of(alert: Alert) -> str:
    return next((alert.labels[name] for name in SERVICE_LABELS if alert.labels.get(name)), "")


def _keys(alert: Alert) -> Iterable[tuple[str, str]]:
    yield "name", alert.name
    if service := service_of(alert):
        yield "service", service
    if tenant := alert.tenant:
        yield "tenant", tenant
    for name in INSTANCE_LABELS:
        if alert.labels.get(name):
            yield "instance", alert.labels[name].partition(":")[0]


def _join_near(
    joined: _Joined, ones: Sequence[int], others: Sequence[int], times: Sequence[datetime], window: timedelta
) -> None:
    """Both in the order of time: each with its nearest of the other side."""
    start = 0
    for one in ones:
        while start < len(others) and times[others[start]] < times[one] - window:
            start += 1
        if start < len(others) and times[others[start]] <= times[one] + window:
            joined.join(one, others[start])


def _cluster(alerts: Sequence[Alert], topology: Topology) -> Cluster:
    services = {service for alert in alerts if (service := service_of(alert))}
    callers = {
        service: sorted(other for other in services if other != service and service in topology.get(other, ()))
        for service in services
    }

    def rank(alert: Alert) -> tuple[object, ...]:
        service = service_of(alert)
        calls = len((topology.get(service, frozenset()) & services) - {service})
        return (-1 if callers.get(service) and not calls else 0, calls, alert.starts_at, alert.severity, alert.name)

    ordered = sorted(alerts, key=rank)
    return Cluster(tuple(ordered), _cause(ordered, callers) if len(ordered) > 1 else "")


def _cause(ordered: Sequence[Alert], callers: Mapping[str, list[str]]) -> str:
    root = ordered[0]
    service = service_of(root)
    named = f"{root.name} of {service}" if service else root.name
    reasons = []
    if calling := callers.get(service):
        more = f" and {len(calling) - 2} more" if len(calling) > 2 else ""
        reasons.append(f"{' and '.join(calling[:2])}{more} {'calls' if len(calling) == 1 else 'call'} it")
    if all(root.starts_at + CLEARLY < other.starts_at for other in ordered[1:]):
        reasons.append("it began first")
    if not reasons:
        return ""
    return f"Likely root: {named}, because {' and '.join(reasons)}."


class _Joined:
    """Disjoint sets of places."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def join(self, one: int, other: int) -> None:
        self._parent[self._find(one)] = self._find(other)

    def sets(self) -> list[list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        for place in range(len(self._parent)):
            found[self._find(place)].append(place)
        return list(found.values())

    def _find(self, place: int) -> int:
        while self._parent[place] != place:
            self._parent[place] = self._parent[self._parent[place]]
            place = self._parent[place]
        return place
