"""Which requests are critical operations: routes named in the settings, and the usual ones under shipped names.

A pattern is a method (`*`, one, or several with `|`) and a route template, such as `POST /auth/login`. `{}` or
`{anything}` stands for one parameter, `*` at the beginning for any path before, `**` at the end for any path below.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from tocsin.sdk.increases import Increases
from tocsin.sdk.red import Rows
from tocsin.sdk.sums import describe

OUTCOMES, DURATION = "operation_outcomes_total", "operation_duration_seconds"
SUCCESS, FAILURE, REJECTED = "success", "failure", "rejected"
describe(OUTCOMES, "Runs of critical operations, by how they ended.")
describe(DURATION, "Seconds that critical operations took.")

# Operations that the code declares by itself (`tocsin.critical`): their routes are not counted a second time.
declared: set[str] = set()

DEFAULTS = (
    "login=POST */login, login=POST */signin, login=POST */sign-in, login=POST */token, login=* */auth0/callback, "
    "login=* */auth/callback, login=* */oauth/callback, "
    "user_create=POST */users, user_create=POST */signup, user_create=POST */sign-up, user_create=POST */register, "
    "user_update=PUT|PATCH */users/{}, user_delete=DELETE */users/{}, "
    "org_switch=* */auth/switch, org_switch=* */organisations/switch, org_switch=* */organizations/switch, "
    "org_switch=* */orgs/switch, org_switch=* */organisations/{}/switch, org_switch=* */organizations/{}/switch, "
    "org_switch=* */orgs/{}/switch, org_switch=* */tenants/{}/switch, "
    "admin_panel=* */admin, admin_panel=* */admin/**, "
    "flag_evaluation=GET|POST */flags, flag_evaluation=GET|POST */flags/evaluate, "
    "flag_evaluation=GET|POST */feature-flags, flag_evaluation=GET|POST */feature-flags/evaluate"
)
"""The shipped names and their usual routes. A name that the settings give routes of their own loses these."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PARAMETER = re.compile(r"\{[^{}]*\}")
_KNOWN = 4096


class CriticalError(ValueError):
    """A critical route that cannot be read."""


class _Pattern(NamedTuple):
    name: str
    methods: frozenset[str]  # empty: any
    route: re.Pattern[str]


class CriticalRoutes:
    """Names the operation that a request is. Raises CriticalError for a text that cannot be read."""

    def __init__(self, text: str, with_defaults: bool = True) -> None:
        own = parse(text)
        named = {pattern.name for pattern in own}
        defaults = parse(DEFAULTS) if with_defaults else []
        self._patterns = [*own, *(pattern for pattern in defaults if pattern.name not in named)]
        self._known: dict[tuple[str, str], str] = {}

    def name_of(self, method: str, route: str) -> str:
        """The operation, or '' for a request that is none."""
        name = self._known.get((method, route))
        if name is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            name = self._known[method, route] = self._find(method, route)
        return "" if name in declared else name

    def count(self, rows: Rows, increases: Increases) -> None:
        """Adds the requests of one interval that are operations; off the requests' path."""
        for (method, route, status, tenant, error_type), row in rows.items():
            name = self.name_of(method, route)
            if not name or not row.buckets:
                continue
            outcome, reason = outcome_of(status, error_type)
            labels = outcome_labels(name, outcome, reason)
            increases.count(OUTCOMES, labels, tenant, row.count)
            increases.add_buckets(DURATION, (("operation", name),), tenant, row.buckets, row.seconds)

    def _find(self, method: str, route: str) -> str:
        plain = _PARAMETER.sub("{}", route.rstrip("/") or "/")
        for pattern in self._patterns:
            if (not pattern.methods or method in pattern.methods) and pattern.route.fullmatch(plain):
                return pattern.name
        return ""


def outcome_of(status: int, error_type: str) -> tuple[str, str]:
    """(outcome, reason) of a request: what the client got wrong, a wrong password too, is rejected and no failure."""
    if error_type or status >= 500:
        return FAILURE, error_type.rpartition(".")[2] or str(status)
    if status >= 400:
        return REJECTED, str(status)
    return SUCCESS, ""


def outcome_labels(name: str, outcome: str, reason: str) -> tuple[tuple[str, str], ...]:
    """Sorted, without empty ones."""
    found = (("operation", name), ("outcome", outcome))
    return (*found, ("reason", reason)) if reason else found


def parse(text: str) -> list[_Pattern]:
    """The patterns of `name=METHOD /route, …`. Raises CriticalError."""
    return [_parse_one(part.strip()) for part in text.split(",") if part.strip()]


def as_text(critical: object) -> str:
    """A mapping of names to one route or several as the text that stands for it; a text stays as it is."""
    if not isinstance(critical, Mapping):
        return critical if isinstance(critical, str) else str(critical)
    pairs = []
    for name, routes in critical.items():
        pairs += [f"{name}={route}" for route in ([routes] if isinstance(routes, str) else routes)]
    return ", ".join(pairs)


def check_name(name: str) -> str:
    """The name of an operation, if it is one. Raises CriticalError."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise CriticalError(
            f"cannot name an operation {name!r}: not lower case letters, digits and underscores; "
            "write one such as org_switch"
        )
    return name


def _parse_one(part: str) -> _Pattern:
    name, equals, where = (each.strip() for each in part.partition("="))
    methods, _, route = where.partition(" ")
    route = route.strip()
    if not equals or not route.startswith(("/", "*/")):
        raise CriticalError(
            f"cannot read the critical route {part!r}: not name=METHOD /route; write login=POST /auth/login"
        )
    wanted = frozenset() if methods == "*" else frozenset(methods.upper().split("|"))
    return _Pattern(check_name(name), wanted, _compiled(route))


def _compiled(route: str) -> re.Pattern[str]:
    plain = _PARAMETER.sub("{}", route.rstrip("/") or "/")
    any_before, plain = plain.startswith("*/"), plain.removeprefix("*")
    any_below, plain = plain.endswith("/**"), plain.removesuffix("/**")
    return re.compile((".*" if any_before else "") + re.escape(plain) + ("/.*" if any_below else ""))
