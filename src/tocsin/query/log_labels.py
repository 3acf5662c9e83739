"""Labels of log lines as SQL over `logs`, and what a matcher or condition on them means there.

A stream's labels are `service_name`, `tenant`, `environment`, `level` and `release` and the attributes of its resource;
a dot in an attribute's name reads as `_`. Attributes of the record itself, its trace and its span are structured
metadata: conditions in a pipeline see them, selectors do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tocsin.model.tenant import Scope
from tocsin.query.logql.names import attribute_names, label_name
from tocsin.query.promql.matchers import Matcher
from tocsin.storage.telemetry.engine import Value
from tocsin.storage.telemetry.store import TelemetryStore

# label -> column
COLUMNS = {
    "service_name": "service",
    "tenant": "tenant",
    "environment": "environment",
    "level": "level",
    "release": "release",
}
# Other names that people know them by; an attribute of the resource under that name comes first.
ALIASES = {
    "service": "service_name",
    "job": "service_name",
    "app": "service_name",
    "env": "environment",
    "severity": "level",
    "detected_level": "level",
    "service_version": "release",
    "deployment_environment": "environment",
    "deployment_environment_name": "environment",
}
# Attributes that are columns already.
IN_COLUMNS = frozenset(
    (
        "service.name", "service.version", "deployment.environment.name", "deployment.environment", "tocsin.tenant",
        "tenant.id", "tenant_id", "tenant",
    )
)  # fmt: skip
LEVELS: dict[str, tuple[str, ...]] = {
    "trace": ("trace",),
    "debug": ("debug",),
    "info": ("info", "information", "informational", "notice"),
    "warn": ("warn", "warning"),
    "error": ("error", "err"),
    "fatal": ("fatal", "critical", "crit", "emergency"),
    "": ("", "unknown"),
}
METADATA_COLUMNS = ("trace_id", "span_id", "scope_name", "event_name")
MOST_RESOURCE_KEYS = 2_000


@dataclass(slots=True)
class Parameters:
    """Values that a statement refers to, each under a name of its own."""

    values: dict[str, Value] = field(default_factory=dict)

    def text(self, value: str) -> str:
        return self._named(value, "String")

    def texts(self, value: Sequence[str]) -> str:
        return self._named(list(value), "Array(String)")

    def integer(self, value: int) -> str:
        return self._named(value, "Int64")

    def _named(self, value: Value, kind: str) -> str:
        name = f"p{len(self.values)}"
        self.values[name] = value
        return f"{{{name}:{kind}}}"


@dataclass(frozen=True, slots=True)
class LogLabels:
    """Which labels there are: `resource` has the keys of resources by the label they read as."""

    resource: Mapping[str, tuple[str, ...]]

    @classmethod
    def of_keys(cls, keys: Iterable[str]) -> LogLabels:
        found: dict[str, tuple[str, ...]] = {}
        for key in sorted(set(keys) - IN_COLUMNS):
            label = label_name(key)
            if label not in COLUMNS:
                found[label] = (*found.get(label, ()), key)
        return cls(found)

    def is_of_stream(self, name: str) -> bool:
        return name in COLUMNS or name in self.resource or name in ALIASES

    def resource_labels(self, resource: Mapping[str, str]) -> dict[str, str]:
        """The labels of one resource, beside those that are columns."""
        return {
            label: value
            for key, value in resource.items()
            if value and key not in IN_COLUMNS and (label := label_name(key)) not in COLUMNS
        }

    def stream_sql(self, name: str, parameters: Parameters) -> str:
        """The value of a stream's label; '' for one that no stream has."""
        parts = [f"resource[{parameters.text(key)}]" for key in self.resource.get(name, ())]
        column = COLUMNS.get(name) or COLUMNS.get(ALIASES.get(name, ""))
        return first_filled([*parts, *([f"toString({column})"] if column else [])])

    def value_sql(self, name: str, parameters: Parameters) -> str:
        """The same for conditions in a pipeline, which see structured metadata, too: it comes first."""
        if name in ("trace_id", "span_id"):
            return f"if({name} = unhex(repeat('00', length({name}))), '', lower(hex({name})))"
        if name in ("scope_name", "event_name"):
            return f"toString({name})"
        if name in COLUMNS:
            return self.stream_sql(name, parameters)
        parts = [f"attributes[{parameters.text(key)}]" for key in attribute_names(name) if key not in IN_COLUMNS]
        stream = [self.stream_sql(name, parameters)] if self.is_of_stream(name) else []
        return first_filled([*parts, *stream])

    def matcher_sql(self, matcher: Matcher, parameters: Parameters) -> str:
        """A matcher of a selector."""
        if not self.is_of_stream(matcher.name):
            return "1" if matcher.matches("") else "0"
        if self._is_level(matcher.name):
            return level_sql(matcher, parameters)
        return compared(self.stream_sql(matcher.name, parameters), matcher, parameters)

    def condition_sql(self, matcher: Matcher, parameters: Parameters) -> str:
        """A condition of a pipeline on a text."""
        if self._is_level(matcher.name) and (matcher.name == "level" or not attribute_names(matcher.name)):
            return level_sql(matcher, parameters)
        exact = compared(self.value_sql(matcher.name, parameters), matcher, parameters)
        if matcher.operator != "=" or not matcher.value:
            return exact
        found = self._indexed(matcher, parameters)
        return f"({' OR '.join(found)}) AND {exact}" if found else exact

    def _indexed(self, matcher: Matcher, parameters: Parameters) -> list[str]:
        """Conditions that an index answers, one of which holds wherever the label has the value."""
        if matcher.name in ("trace_id", "span_id"):
            digits = 32 if matcher.name == "trace_id" else 16
            is_id = len(matcher.value) == digits and all(one in "0123456789abcdef" for one in matcher.value)
            return [f"{matcher.name} = unhex({parameters.text(matcher.value)})"] if is_id else ["0"]
        if matcher.name in COLUMNS or matcher.name in METADATA_COLUMNS or self.is_of_stream(matcher.name):
            return []
        keys = [key for key in attribute_names(matcher.name) if key not in IN_COLUMNS]
        return [f"attributes[{parameters.text(key)}] = {parameters.text(matcher.value)}" for key in keys]

    def _is_level(self, name: str) -> bool:
        return name == "level" or (ALIASES.get(name) == "level" and name not in self.resource)


def labels_in(store: TelemetryStore, scope: Scope, start_ns: int, end_ns: int) -> LogLabels:
    """The labels of the streams that had lines on the days of a window."""
    sql = (
        "SELECT DISTINCT arrayJoin(mapKeys(resource)) AS key FROM log_streams "
        "WHERE day BETWEEN toDate({first:Int32}) AND toDate({last:Int32}) LIMIT {most:UInt32}"
    )
    rows = store.read(scope, sql, **days(start_ns, end_ns), most=MOST_RESOURCE_KEYS).rows
    return LogLabels.of_keys(row[0] for row in rows)


def days(start_ns: int, end_ns: int) -> dict[str, Value]:
    """The first and last day of a window, as days since 1970."""
    last_day = 65_535  # where the engine's dates end
    day_ns = 86_400 * 10**9
    return {
        "first": min(last_day, max(0, start_ns // day_ns)),
        "last": min(last_day, max(0, end_ns // day_ns)),
    }


def first_filled(parts: Sequence[str]) -> str:
    """The first of the texts that is not empty."""
    if not parts:
        return "''"
    *before, text = parts
    for part in reversed(before):
        text = f"if({part} != '', {part}, {text})"
    return text


def compared(text: str, matcher: Matcher, parameters: Parameters) -> str:
    if matcher.operator in ("=", "!="):
        return f"{text} {matcher.operator} {parameters.text(matcher.value)}"
    pattern = parameters.text(f"^(?s:{matcher.value})$")
    return f"{'NOT ' if matcher.operator == '!~' else ''}match({text}, {pattern})"


def level_sql(matcher: Matcher, parameters: Parameters) -> str:
    """Levels have several names: `warning` is `warn`."""
    positive = Matcher(matcher.name, "=" if matcher.operator in ("=", "!=") else "=~", matcher.value)
    found = [
        level
        for level, names in LEVELS.items()
        if any(positive.matches(name) or positive.matches(name.upper()) for name in names)
    ]
    negation = "" if matcher.operator in ("=", "=~") else "NOT "
    return (
        f"level {negation}IN ({', '.join(parameters.text(level) for level in found)})"
        if found
        else ("1" if negation else "0")
    )
