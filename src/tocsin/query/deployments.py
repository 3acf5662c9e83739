"""Releases of services, and when they were deployed: said by whoever deploys, by the process, or seen in its requests.

What release runs is a fact of the product and no tenant's: whoever may read anything of it may know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tocsin.model.tenant import PLATFORM, Scope
from tocsin.query.events import EventRecord, events
from tocsin.query.filters import Filter
from tocsin.storage.telemetry.store import TelemetryStore

DEPLOY = "tocsin.deploy"
MARKED = "tocsin.deploy.marked"
MOST = 500


@dataclass(frozen=True, slots=True)
class Deployment:
    """One release of a service in an environment; what nobody has told is ''. at_ns: when it began to run.

    is_announced: its process or whoever deployed it has told of it; else it is known from its requests alone.
    """

    service: str
    environment: str
    release: str
    at_ns: int
    last_seen_ns: int = 0
    commit: str = ""
    author: str = ""
    url: str = ""
    is_marked: bool = False
    is_announced: bool = False


def commit_range(before: Deployment | None, after: Deployment | None) -> str:
    """The commits between two releases as `git log` takes them: 'a..b'; '' when one of them does not tell its own."""
    if before is None or after is None or not before.commit or not after.commit or before.commit == after.commit:
        return ""
    return f"{before.commit[:12]}..{after.commit[:12]}"


def releases(
    store: TelemetryStore, service: str | None = None, environment: str | None = None, reader: Scope = PLATFORM
) -> list[Deployment]:
    """Every release that was ever seen or told of, the newest first; of those that answered the reader's tenants."""
    conditions, parameters = "1", {}
    for name, value in (("service", service), ("environment", environment)):
        if value is not None:
            conditions += f" AND {name} = {{{name}:String}}"
            parameters[name] = value
    seen = (
        f"SELECT service, environment, release, toUnixTimestamp64Milli(min(r.first)) AS first, "
        f"toUnixTimestamp64Milli(max(r.last)) AS last FROM releases AS r WHERE {conditions} "
        f"GROUP BY service, environment, release ORDER BY first DESC LIMIT {MOST}"
    )
    told = (
        f"SELECT service, environment, release, toUnixTimestamp64Milli(min(e.time)) AS first, "
        f"toUnixTimestamp64Milli(max(e.time)) AS last, "
        f"argMinIf(e.attributes, (e.attributes['{MARKED}'] != 'true', e.time), 1) AS said, "
        f"max(e.attributes['{MARKED}'] = 'true') AS marked FROM events AS e "
        f"WHERE e.name = '{DEPLOY}' AND release != '' AND {conditions} "
        f"GROUP BY service, environment, release ORDER BY first DESC LIMIT {MOST}"
    )
    found: dict[tuple[str, str, str], Deployment] = {}
    for row in (*store.read(PLATFORM, seen, **parameters).dicts(), *store.read(PLATFORM, told, **parameters).dicts()):
        key = row["service"], row["environment"], row["release"]
        found[key] = _joined(found.get(key), _deployment(row))
    met = None if reader.is_platform else _met(store, reader)
    mine = [one for one in found.values() if met is None or (one.service, one.environment, one.release) in met]
    return sorted(mine, key=lambda one: one.at_ns, reverse=True)


def _met(store: TelemetryStore, reader: Scope) -> set[tuple[str, str, str]]:
    """(service, environment, release) that answered requests of the reader's tenants."""
    rows = store.read(reader, "SELECT DISTINCT service, environment, release FROM red_1h").rows
    return {(service, environment, release) for service, environment, release in rows}


def deployments(store: TelemetryStore, filter: Filter, limit: int = 100) -> list[Deployment]:
    """The deploys in the filter's window, newest first; tenant, method and route are not looked at.

    A mark is one wherever it stands. Without marks it is the first moment of a release that was announced by its
    process or that followed another one: the first release ever seen may have run for long.
    """
    window = filter.window
    every = releases(store, filter.service, filter.environment)
    found = [
        one
        for one in every
        if window.start_ns <= one.at_ns < window.end_ns
        and not one.is_marked
        and (one.is_announced or predecessor(every, one) is not None)
    ]
    asked = replace(filter, tenant=None)
    marks = [_of_mark(event) for event in events(store, PLATFORM, asked, [DEPLOY], MOST) if is_mark(event)]
    return sorted([*found, *marks], key=lambda one: one.at_ns, reverse=True)[:limit]


def predecessor(every: Sequence[Deployment], one: Deployment) -> Deployment | None:
    """The release that ran in the same place before: of those that began earlier the one heard of last."""
    earlier = [
        other
        for other in every
        if (other.service, other.environment) == (one.service, one.environment)
        and other.release != one.release
        and other.at_ns < one.at_ns
    ]
    return max(earlier, key=lambda other: (min(other.last_seen_ns, one.at_ns), other.at_ns), default=None)


def is_mark(event: EventRecord) -> bool:
    return str(event.attributes.get(MARKED, "")).lower() == "true"


def _of_mark(event: EventRecord) -> Deployment:
    said = event.attributes
    return Deployment(
        event.service, event.environment, event.release, event.time_ns, event.time_ns,
        str(said.get("vcs.ref.head.revision", "")), str(said.get("tocsin.author", "")), str(said.get("url.full", "")),
        is_marked=True, is_announced=True,
    )  # fmt: skip


def _deployment(row: dict[str, Any]) -> Deployment:
    said = row.get("said") or {}
    return Deployment(
        row["service"], row["environment"], row["release"], int(row["first"]) * 10**6, int(row["last"]) * 10**6,
        said.get("vcs.ref.head.revision", ""), said.get("tocsin.author", ""), said.get("url.full", ""),
        bool(row.get("marked")), "marked" in row,
    )  # fmt: skip


def _joined(one: Deployment | None, other: Deployment) -> Deployment:
    if one is None:
        return other
    return replace(other, at_ns=min(one.at_ns, other.at_ns), last_seen_ns=max(one.last_seen_ns, other.last_seen_ns))
