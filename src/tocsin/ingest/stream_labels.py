"""Labels of a log stream, in Loki's sense, as what OpenTelemetry calls the origin of a record.

A service, environment, release, tenant or level has its place in a record; every other label becomes a resource
attribute under its own name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from tocsin.model.log_line import TENANT
from tocsin.model.log_severity import severity_of_word

# The first of these that a stream has names its service, in Loki's own order.
SERVICES = (
    "service_name", "service", "app", "application", "app_name", "app_kubernetes_io_name", "container",
    "container_name", "component", "workload", "job",
)  # fmt: skip
OTHER_NAMES = ("service_name", "service", "app", "job")  # by which a query finds the service, too
LEVELS = ("level", "detected_level", "severity", "severity_text", "lvl")
NAMES = {
    "environment": "deployment.environment.name", "env": "deployment.environment.name",
    "deployment_environment": "deployment.environment.name",
    "deployment_environment_name": "deployment.environment.name",
    "release": "service.version", "service_version": "service.version",
    "tenant": TENANT,
}  # fmt: skip
_PAIR = re.compile(r'\s*([a-zA-Z_:][\w:.]*)\s*=\s*("(?:[^"\\\n]|\\.)*"|`[^`]*`)\s*(,|$)')
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class StreamLabelsError(ValueError):
    """The text is no set of labels."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the records of a stream come from. severity 0: the labels do not say."""

    resource: Mapping[str, str]
    severity: int
    severity_text: str
    has_labels: bool


@lru_cache(maxsize=4096)
def origin_of_text(labels: str, tenant: str = "") -> Origin:
    """Of labels as LogQL writes them, such as {job="shop", level="info"}. Raises StreamLabelsError."""
    return origin_of(read_labels(labels), tenant)


def origin_of(labels: Iterable[tuple[str, str]], tenant: str = "") -> Origin:
    """`tenant` counts for streams whose labels name none."""
    given = dict(labels)
    resource: dict[str, str] = {}
    service = next((given[name] for name in SERVICES if given.get(name)), "")
    if service:
        resource["service.name"] = service
    level = next((given[name] for name in LEVELS if given.get(name)), "")
    for name, value in given.items():
        if name in LEVELS or (name in OTHER_NAMES and value == service):
            continue
        resource.setdefault(NAMES.get(name, name), value)
    if tenant:
        resource.setdefault(TENANT, tenant)
    return Origin(resource, severity_of_word(level), level, bool(given))


def read_labels(text: str) -> list[tuple[str, str]]:
    """Raises StreamLabelsError with what cannot be read."""
    inside = text.strip()
    if not (inside.startswith("{") and inside.endswith("}")):
        raise StreamLabelsError(f"cannot read labels {text[:80]!r}: they are not within braces")
    inside = inside[1:-1].strip().removesuffix(",")
    found, position = [], 0
    while position < len(inside):
        pair = _PAIR.match(inside, position)
        if pair is None:
            raise StreamLabelsError(f'cannot read labels {text[:80]!r}: no name="value" at {inside[position:][:40]!r}')
        found.append((pair[1], _unquoted(pair[2])))
        position = pair.end()
    return found


def _unquoted(text: str) -> str:
    if text[0] == "`" or "\\" not in text:
        return text[1:-1]
    return _ESCAPE.sub(_unescaped, text[1:-1])


def _unescaped(found: re.Match[str]) -> str:
    escape = found[1]
    if escape[0] in "xuU" and len(escape) > 1:
        number = int(escape[1:], 16)
        return chr(number) if number < 0xD800 or 0xDFFF < number <= 0x10FFFF else "\ufffd"
    if len(escape) == 3:
        return chr(int(escape, 8))
    return _PLAIN.get(escape, escape)
