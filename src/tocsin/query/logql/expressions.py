"""The nodes of a parsed query: plain frozen values with their place in the text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from tocsin.query.promql.errors import Position
from tocsin.query.promql.expressions import Matching
from tocsin.query.promql.matchers import Matcher

NOWHERE = Position(0, 0)
LineOperator = Literal["|=", "!=", "|~", "!~", "|>", "!>"]
Comparison = Literal["==", "!=", ">", ">=", "<", "<="]
Unit = Literal["number", "duration", "bytes"]


@dataclass(frozen=True, slots=True)
class LineMatch:
    """What a line filter looks for: a text, a regular expression, a pattern, or addresses (`ip("10.0.0.0/8")`)."""

    value: str
    is_ip: bool = False


@dataclass(frozen=True, slots=True)
class LineFilter:
    """Lines with any of the matches; with `!=`, `!~` and `!>` those with none of them."""

    operator: LineOperator
    matches: tuple[LineMatch, ...]
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class TextCondition:
    """A label against a text or regular expression."""

    matcher: Matcher


@dataclass(frozen=True, slots=True)
class NumberCondition:
    """A label against a number, a duration (in seconds) or a size (in bytes)."""

    name: str
    operator: Comparison
    value: float
    unit: Unit
    text: str  # the value as written


@dataclass(frozen=True, slots=True)
class AddressCondition:
    """A label that holds an IP address within (or not) an address, range or network."""

    name: str
    is_within: bool
    addresses: str


@dataclass(frozen=True, slots=True)
class Both:
    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class Either:
    left: Condition
    right: Condition


Condition = TextCondition | NumberCondition | AddressCondition | Both | Either


@dataclass(frozen=True, slots=True)
class LabelFilter:
    condition: Condition
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Json:
    """Fields of a JSON object; with `fields` only these: label and path (keys and indexes)."""

    fields: tuple[tuple[str, str, tuple[str | int, ...]], ...] = ()
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Logfmt:
    """`key=value` pairs; with `fields` only these: label and key."""

    fields: tuple[tuple[str, str], ...] = ()
    strict: bool = False
    keep_empty: bool = False
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Pattern:
    """`<name>` captures between literal texts."""

    text: str
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Regexp:
    """Named groups become labels."""

    text: str
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Unpack:
    """What `pack` of Promtail packed: a JSON object whose `_entry` is the line."""

    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class LineFormat:
    template: str
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Relabel:
    """One part of label_format: `name=other` or `name="template"`."""

    name: str
    source: str
    is_template: bool


@dataclass(frozen=True, slots=True)
class LabelFormat:
    parts: tuple[Relabel, ...]
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Choose:
    """drop and keep: labels by name, or by name where a matcher holds."""

    keeps: bool
    names: tuple[str, ...]
    matchers: tuple[Matcher, ...]
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Decolorize:
    position: Position = field(default=NOWHERE, compare=False)


Stage = (
    LineFilter
    | LabelFilter
    | Json
    | Logfmt
    | Pattern
    | Regexp
    | Unpack
    | LineFormat
    | LabelFormat
    | Choose
    | Decolorize
)
PARSERS = (Json, Logfmt, Pattern, Regexp, Unpack)


@dataclass(frozen=True, slots=True)
class Unwrap:
    """The label whose value is the sample; filters look at it after it was taken."""

    label: str
    unit: Unit = "number"
    filters: tuple[LabelFilter, ...] = ()
    conversion: str = ""  # the function as written
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class LogQuery:
    """A stream selector and what is done to its lines."""

    matchers: tuple[Matcher, ...]
    stages: tuple[Stage, ...] = ()
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Grouping:
    labels: tuple[str, ...]
    without: bool = False


@dataclass(frozen=True, slots=True)
class RangeAggregation:
    """`rate`, `count_over_time` and kin over the lines, or the unwrapped values, of (t - range, t]."""

    operator: str
    query: LogQuery
    range_ms: int
    offset_ms: int = 0
    unwrap: Unwrap | None = None
    grouping: Grouping | None = None
    parameter: float | None = None
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class VectorAggregation:
    """`sum` and kin; sort and sort_desc have neither grouping nor parameter."""

    operator: str
    expression: Metric
    grouping: Grouping = Grouping(())
    parameter: float | None = None
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Number:
    value: float
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Vector:
    """vector(1): a series without labels."""

    value: float
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class LabelReplace:
    expression: Metric
    target: str
    replacement: str
    source: str
    pattern: str
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: Metric
    right: Metric
    returns_bool: bool = False
    matching: Matching | None = None
    position: Position = field(default=NOWHERE, compare=False)


Metric = RangeAggregation | VectorAggregation | Number | Vector | LabelReplace | Binary
Expression = LogQuery | Metric


def is_scalar(node: Metric) -> bool:
    return isinstance(node, Number) or (isinstance(node, Binary) and is_scalar(node.left) and is_scalar(node.right))


def log_queries(node: Expression) -> list[LogQuery]:
    """Every selector with its pipeline."""
    match node:
        case LogQuery():
            return [node]
        case RangeAggregation():
            return [node.query]
        case VectorAggregation() | LabelReplace():
            return log_queries(node.expression)
        case Binary():
            return [*log_queries(node.left), *log_queries(node.right)]
        case _:
            return []


def fields_of(condition: Condition) -> list[str]:
    """The labels a condition looks at."""
    found: list[str] = []
    pending: list[Any] = [condition]
    while pending:
        match pending.pop():
            case Both(left, right) | Either(left, right):
                pending += [right, left]
            case TextCondition(matcher):
                found.append(matcher.name)
            case NumberCondition(name=name) | AddressCondition(name=name):
                found.append(name)
    return found
