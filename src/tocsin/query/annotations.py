"""What happened beside the figures: deploys, flags that changed, migrations; for the markers of charts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from tocsin.model.tenant import PLATFORM, Scope
from tocsin.query.deployments import deployments
from tocsin.query.events import EventRecord, events
from tocsin.query.filters import Filter
from tocsin.storage.telemetry.store import TelemetryStore

FLIP, MIGRATION = "tocsin.flag.flip", "tocsin.migration"
SAME_NS = 600 * 10**9
KINDS = ("deploy", "flag", "migration")
_EVENTS = {FLIP: "flag", MIGRATION: "migration"}


@dataclass(frozen=True, slots=True)
class Annotation:
    """One thing that happened. kind: deploy, flag or migration; `title` is short, `text` says it in a sentence."""

    kind: str
    time_ns: int
    title: str
    text: str
    service: str
    environment: str
    tenant: str = ""
    release: str = ""
    url: str = ""


def happened(
    store: TelemetryStore, scope: Scope, filter: Filter, kinds: Collection[str] = KINDS, limit: int = 100
) -> list[Annotation]:
    """Those in the filter's window, oldest first, at most so many, the newest.

    Of flags only what changed for tenants of the scope, or for everybody; deploys and migrations are everybody's.
    """
    found: list[Annotation] = []
    if "deploy" in kinds:
        for one in deployments(store, filter, limit):
            by = f" by {one.author}" if one.author else ""
            commit = f" ({one.commit[:12]})" if one.commit and not one.commit.startswith(one.release) else ""
            text = f"{one.service} {one.release}{commit} deployed{by}"
            place = one.service, one.environment
            found.append(Annotation("deploy", one.at_ns, one.release, text, *place, "", one.release, one.url))
    names = [name for name, kind in _EVENTS.items() if kind in kinds]
    if names:
        found += [_of_event(event) for event in told(store, scope, filter, names, limit)]
    return sorted(found, key=lambda one: one.time_ns)[-limit:]


def told(store: TelemetryStore, scope: Scope, filter: Filter, names: list[str], limit: int = 100) -> list[EventRecord]:
    """Events of the scope's tenants, and those that are nobody's, newest first."""
    found = events(store, scope, filter, names, limit)
    if not filter.narrowed(scope).is_platform:
        found += events(store, PLATFORM, replace(filter, tenant=""), names, limit)
    return sorted(_told_once(found), key=lambda event: event.time_ns, reverse=True)[:limit]


def _told_once(found: list[EventRecord]) -> list[EventRecord]:
    """Every worker tells of the same thing when it meets it: the first of those that say the same in a short time."""
    kept: dict[tuple[str, ...], EventRecord] = {}
    single = []
    for event in sorted(found, key=lambda event: event.time_ns):
        key = (event.name, event.body, event.tenant, event.service, event.environment)
        first = kept.get(key)
        if first is None or event.time_ns - first.time_ns > SAME_NS:
            kept[key] = event
            single.append(event)
    return single


def _of_event(event: EventRecord) -> Annotation:
    kind = _EVENTS[event.name]
    said = event.attributes
    title = str(said.get("feature_flag.key", "flag")) if kind == "flag" else "migration"
    if kind == "flag" and said.get("feature_flag.result.variant"):
        title += f" {said['feature_flag.result.variant']}"
    return Annotation(
        kind, event.time_ns, title, event.body, event.service, event.environment, event.tenant, event.release
    )
