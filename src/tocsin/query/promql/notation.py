"""The series notation of PromQL test scripts: `metric{label="value"} 1 2+3x4 _ stale {{count:2 sum:3}}`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from tocsin.query.promql.histogram import CUSTOM_SCHEMA, Hint, NativeHistogram
from tocsin.query.promql.literals import parse_duration_ms, parse_number, unquote
from tocsin.query.promql.source import STALE, Labels

_NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`')
_NUMBER = (
    r"[+-]?(?:(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?:(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*)?|[iI]nf|[nN]a[nN])"
)
_VALUE = re.compile(rf"({_NUMBER})(?:([+-]{_NUMBER[5:]}))?(?:x(\d+))?(?=\s|$)")
_HISTOGRAM = re.compile(r"\{\{(.*?)\}\}")
_FIELD = re.compile(r"(\w+):(\[[^\]]*\]|\S+)")


class NotationError(ValueError):
    """A line that is no series."""


@dataclass(frozen=True)
class Item:
    """One place of a sequence: omitted, a float, or a histogram (whose hint may be meant to be compared)."""

    value: float | NativeHistogram | None
    hint_is_meant: bool = False


def parse_series(line: str) -> tuple[Labels, list[Item]]:
    labels, at = parse_labels(line, 0)
    return labels, parse_values(line[at:])


def parse_labels(line: str, at: int) -> tuple[Labels, int]:
    labels: Labels = {}
    name = _NAME.match(line, at)
    if name is not None:
        labels["__name__"] = name.group()
        at = name.end()
    if line[at : at + 1] == "{" and line[at : at + 2] != "{{":
        at = _braces(line, at + 1, labels)
    elif name is None:
        raise NotationError(f"cannot read series '{line[:60]}': it starts with neither a name nor a brace")
    return {name: value for name, value in labels.items() if value}, at


def _braces(line: str, at: int, labels: Labels) -> int:
    while True:
        while at < len(line) and line[at] in " \t,":
            at += 1
        if line[at : at + 1] == "}":
            return at + 1
        match = _STRING.match(line, at) or _NAME.match(line, at)
        if match is None:
            raise NotationError(f"cannot read series '{line[:60]}': no label at column {at + 1}")
        name = unquote(match.group()) if match.group()[0] in "\"'`" else match.group()
        at = _spaces(line, match.end())
        if line[at : at + 1] != "=":
            labels["__name__"] = name
            continue
        at = _spaces(line, at + 1)
        value = _STRING.match(line, at)
        if value is None:
            raise NotationError(f"cannot read series '{line[:60]}': label {name} has no value")
        labels[name] = unquote(value.group())
        at = value.end()


def _spaces(line: str, at: int) -> int:
    while at < len(line) and line[at] in " \t":
        at += 1
    return at


def parse_values(text: str) -> list[Item]:
    items: list[Item] = []
    at = _spaces(text, 0)
    while at < len(text):
        at = _histograms(text, at, items) if text.startswith("{{", at) else _floats(text, at, items)
        at = _spaces(text, at)
    return items


def _floats(text: str, at: int, items: list[Item]) -> int:
    word = text[at:].split()[0]
    blank = re.fullmatch(r"_(?:x(\d+))?", word)
    if blank is not None:
        items += [Item(None)] * (int(blank.group(1)) if blank.group(1) else 1)
        return at + len(word)
    stale = re.fullmatch(r"stale(?:x(\d+))?", word)
    if stale is not None:
        items += [Item(STALE)] * (int(stale.group(1)) + 1 if stale.group(1) else 1)
        return at + len(word)
    match = _VALUE.match(text, at)
    if match is None:
        raise NotationError(f"cannot read value '{word}': it is no number, _ or stale")
    value, step = number(match.group(1)), number(match.group(2) or "0")
    for _ in range(int(match.group(3)) + 1 if match.group(3) else 1):
        items.append(Item(value))
        value += step
    return match.end()


def number(text: str) -> float:
    sign = -1.0 if text.startswith("-") else 1.0
    bare = text.lstrip("+-")
    if bare[-1:] in "smhdwy" and bare[:1].isdigit():
        return sign * parse_duration_ms(bare) / 1000
    return sign * parse_number(bare)


def _histograms(text: str, at: int, items: list[Item]) -> int:
    first, at, hinted = _histogram(text, at)
    sign, step = 0.0, NativeHistogram()
    if text[at : at + 3] in ("+{{", "-{{"):
        sign = 1.0 if text[at] == "+" else -1.0
        step, at, hinted = _histogram(text, at + 1)
    times = re.compile(r"x(\d+)").match(text, at)
    count = 0
    if times is not None:
        count, at = int(times.group(1)), times.end()
    items.append(Item(first, hinted))
    for _ in range(count):
        if sign:
            first, _ = first.copy().plus(step, sign)
        items.append(Item(first, hinted))
    return at


def _histogram(text: str, at: int) -> tuple[NativeHistogram, int, bool]:
    match = _HISTOGRAM.match(text, at)
    if match is None:
        raise NotationError(f"cannot read histogram '{text[at : at + 40]}': it is not closed")
    fields = dict(_FIELD.findall(match.group(1)))
    hints: dict[str, Hint] = {"unknown": "unknown", "reset": "reset", "not_reset": "not_reset", "gauge": "gauge"}
    made = NativeHistogram(
        schema=int(fields.pop("schema", "0")),
        count=number(fields.pop("count", "0")),
        sum=number(fields.pop("sum", "0")),
        zero_count=number(fields.pop("z_bucket", "0")),
        zero_threshold=number(fields.pop("z_bucket_w", "0")),
        custom_values=tuple(_numbers(fields.pop("custom_values", "[]"))),
    )
    hint = fields.pop("counter_reset_hint", None)
    if hint is not None:
        made.hint = hints[hint]
    start, negative_start = int(fields.pop("offset", "0")), int(fields.pop("n_offset", "0"))
    made.positive = {start + at: count for at, count in enumerate(_numbers(fields.pop("buckets", "[]")))}
    made.negative = {negative_start + at: count for at, count in enumerate(_numbers(fields.pop("n_buckets", "[]")))}
    if fields:
        raise NotationError(f"cannot read histogram '{match.group()}': unknown {', '.join(fields)}")
    return made, match.end(), hint is not None


def _numbers(text: str) -> list[float]:
    return [number(word) for word in text.strip("[]").split()]


def almost_equal(left: float, right: float) -> bool:
    """Within a millionth of their size."""
    if math.isnan(left) or math.isnan(right):
        return math.isnan(left) and math.isnan(right)
    if left == right:
        return True
    size = abs(left) + abs(right)
    difference = abs(left - right)
    if left == 0 or right == 0 or size < 2.2250738585072014e-308:
        return difference < 1e-6 * 2.2250738585072014e-308
    return difference / min(size, 1.7976931348623157e308) < 1e-6


def same_histogram(expected: NativeHistogram, found: NativeHistogram, *, hint_is_meant: bool) -> bool:
    return (
        expected.schema == found.schema
        and almost_equal(expected.count, found.count)
        and almost_equal(expected.sum, found.sum)
        and expected.zero_threshold == found.zero_threshold
        and almost_equal(expected.zero_count, found.zero_count)
        and (expected.schema != CUSTOM_SCHEMA or expected.custom_values == found.custom_values)
        and _same_buckets(expected.positive, found.positive)
        and _same_buckets(expected.negative, found.negative)
        and (not hint_is_meant or expected.hint == found.hint)
    )


def _same_buckets(expected: dict[int, float], found: dict[int, float]) -> bool:
    left = {index: count for index, count in expected.items() if count}
    right = {index: count for index, count in found.items() if count}
    return left.keys() == right.keys() and all(almost_equal(left[index], right[index]) for index in left)
