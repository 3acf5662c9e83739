"""The routing tree: which routes an alert takes, and thereby its receivers, groups and times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tocsin.alerts.matcher_text import all_match, matchers_text
from tocsin.query.promql.literals import quote
from tocsin.query.promql.matchers import Matcher


@dataclass(frozen=True, slots=True)
class Route:
    """A node of the tree with everything it inherited. group_by None: '...', every label.

    key: its place in Alertmanager's notation, such as `{}/{severity="page"}`; id is unique also among equal siblings.
    """

    id: str
    key: str
    receiver: str
    matchers: tuple[Matcher, ...] = ()
    group_by: frozenset[str] | None = frozenset()
    group_wait_seconds: float = 30.0
    group_interval_seconds: float = 300.0
    repeat_interval_seconds: float = 14_400.0
    continues: bool = False
    mute_times: tuple[str, ...] = ()
    active_times: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    line: int = 0


def route_alert(tree: Route, labels: Mapping[str, str]) -> list[Route]:
    """The routes an alert takes: the deepest that match, in order; more than one where a route says `continue`."""
    if not all_match(tree.matchers, labels):
        return []
    taken: list[Route] = []
    for child in tree.routes:
        found = route_alert(child, labels)
        taken += found
        if found and not child.continues:
            break
    return taken or [tree]


def all_routes(tree: Route) -> Iterator[Route]:
    yield tree
    for child in tree.routes:
        yield from all_routes(child)


def group_labels(route: Route, labels: Mapping[str, str]) -> dict[str, str]:
    """Those labels of an alert that say which group of the route it belongs to."""
    return {name: value for name, value in labels.items() if route.group_by is None or name in route.group_by}


def group_key(route: Route, labels: Mapping[str, str]) -> str:
    """As Alertmanager writes it, such as `{}/{severity="page"}:{alertname="Down"}`."""
    said = ", ".join(f"{name}={quote(value)}" for name, value in sorted(labels.items()))
    return f"{route.key}:{{{said}}}"


def child_key(parent_key: str, matchers: tuple[Matcher, ...]) -> str:
    return f"{parent_key}/{matchers_text(matchers)}"
