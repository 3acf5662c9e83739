"""Runs a PromQL test script: `load`, `clear` and `eval` commands, in the language that Prometheus' own tests use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from promql.loading import Database, load
from promql.pinning import pinned_query
from tocsin.query.promql import PromQLError, QuerySettings, Result, ResultSeries, instant, range_query
from tocsin.query.promql.engine import Point
from tocsin.query.promql.histogram import NativeHistogram
from tocsin.query.promql.labels_text import labels_text
from tocsin.query.promql.literals import parse_duration_ms, unquote
from tocsin.query.promql.matrix import key
from tocsin.query.promql.notation import Item, NotationError, almost_equal, number, parse_series, same_histogram
from tocsin.query.promql.source import Labels, MemorySource

_LOAD = re.compile(r"load(_with_nhcb)?\s+(\S+)")
_INSTANT = re.compile(r"eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(\S+))?\s+(.+)")
_RANGE = re.compile(r"eval(?:_(fail|warn|info))?\s+range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+?)\s+(.+)")
_EXPECT = re.compile(r"expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?")
_EXPECT_RANGE = re.compile(r"expect range vector\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)")
_POSITION = re.compile(r" \(\d+:\d+\)$")
_DEPENDS_ON_QUERY = re.compile(r"(start|end|range|step)\(\)", re.IGNORECASE)

# As Prometheus' own test engine is set up.
SETTINGS = QuerySettings(delayed_name_removal=True)


class Mismatch(AssertionError):
    """A query did not answer as the script says."""


@dataclass
class Evaluation:
    """One eval command: what is asked, and what is expected."""

    line: int
    query: str
    start_ms: int
    end_ms: int = 0
    step_ms: int = 0
    is_range: bool = False
    expects: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    series: dict[tuple[tuple[str, str], ...], list[Item]] = field(default_factory=dict)
    scalar: float | None = None
    text: str | None = None
    is_range_vector: bool = False

    @property
    def times(self) -> list[int]:
        return list(range(self.start_ms, self.end_ms + 1, self.step_ms)) if self.step_ms else [self.start_ms]


Command = Evaluation | tuple[str, int, bool, list[tuple[Labels, list[Item]]]] | None


def commands(text: str) -> Iterator[tuple[int, Command, str]]:
    """Line, command (None for clear) and, where a command cannot be read, why."""
    lines = [line.strip() for line in text.split("\n")]
    lines = ["" if line.startswith("#") else line for line in lines]
    at = 0
    while at < len(lines):
        head = lines[at]
        behind = at + 1
        while behind < len(lines) and lines[behind]:
            behind += 1
        if not head:
            at += 1
            continue
        word = head.split()[0].lower()
        try:
            if word == "clear":
                yield at + 1, None, ""
                behind = at + 1
            elif word.startswith("load"):
                yield at + 1, _load(head, lines[at + 1 : behind]), ""
            elif word.startswith("eval"):
                made, used = _evaluation(at + 1, head, lines[at + 1 : behind])
                behind = at + 1 + used
                yield at + 1, made, ""
            else:
                raise NotationError(f"unknown command {head}")
        except (NotationError, ValueError, KeyError) as error:
            yield at + 1, None, f"{head}: {error}"
        at = behind


def _load(head: str, lines: list[str]) -> tuple[str, int, bool, list[tuple[Labels, list[Item]]]]:
    match = _LOAD.match(head)
    if match is None:
        raise NotationError(f"cannot read '{head}'")
    series = [parse_series(line) for line in lines if "@st" not in line.split()[0]]
    return "load", parse_duration_ms(match.group(2)), match.group(1) is not None, series


def _evaluation(line: int, head: str, lines: list[str]) -> tuple[Evaluation, int]:
    if ranged := _RANGE.match(head):
        kind, start, end, step, query = ranged.groups()
        made = Evaluation(line, query, _time(start), _time(end), _time(step), is_range=True)
    elif single := _INSTANT.match(head):
        kind, at, query = single.groups()
        made = Evaluation(line, query, _time(at or "0"))
    else:
        raise NotationError(f"cannot read '{head}'")
    if kind:
        made.expects.setdefault(kind, []).append(("", ""))
    for used, text in enumerate(lines):
        if _expectation(made, text):
            continue
        if text.startswith("expect string"):
            expected = text.removeprefix("expect string").removeprefix(" ")
            made.text = unquote(expected) if expected[:1] in ('"', "'", "`") else expected
            continue
        try:
            made.scalar = number(text)
        except ValueError:
            labels, items = parse_series(text)
            made.series[key(labels)] = items
        else:
            return made, used + 1
    return made, len(lines)


def _time(text: str) -> int:
    return -parse_duration_ms(text[1:]) if text.startswith("-") else parse_duration_ms(text)


def _expectation(made: Evaluation, text: str) -> bool:
    if text.startswith("expected_fail_message"):
        made.expects["fail"] = [("msg", text.removeprefix("expected_fail_message").strip())]
        return True
    if text.startswith("expected_fail_regexp"):
        made.expects["fail"] = [("regex", text.removeprefix("expected_fail_regexp").strip())]
        return True
    if ranged := _EXPECT_RANGE.match(text):
        made.start_ms, made.end_ms, made.step_ms = (_time(part) for part in ranged.groups())
        made.is_range_vector = True
        return True
    if match := _EXPECT.match(text):
        kind, how, what = match.groups()
        made.expects.setdefault(kind, []).append((how or "", (what or "").strip()))
        return True
    return False


@dataclass
class Outcome:
    passed: int = 0
    failures: list[str] = field(default_factory=list)


def run(text: str, settings: QuerySettings = SETTINGS) -> Outcome:
    """How many eval commands of a script passed, and why the others did not."""
    outcome = Outcome()
    database = Database()
    source: MemorySource | None = None
    for line, command, error in commands(text):
        if error:
            outcome.failures.append(f"line {line}: {error}")
        elif command is None:
            database, source = Database(), None
        elif isinstance(command, Evaluation):
            source = source or database.source()
            try:
                evaluate(source, command, settings)
                outcome.passed += 1
            except Mismatch as mismatch:
                outcome.failures.append(f"line {line}: {command.query}: {mismatch}")
            except Exception as crash:  # noqa: BLE001 - a crash is a failure of this command, not the end of the script
                outcome.failures.append(f"line {line}: {command.query}: crashed: {crash!r}")
        else:
            _, step_ms, with_nhcb, series = command
            load(database, step_ms, series, with_nhcb=with_nhcb)
            source = None
    return outcome


def evaluate(source: MemorySource, command: Evaluation, settings: QuerySettings) -> None:
    """Raises Mismatch unless the query answers as expected, asked at one time and over a range."""
    try:
        result = _ask(source, command, settings)
    except PromQLError as error:
        _check_failure(command, error)
        return
    if "fail" in command.expects:
        raise Mismatch("it answers, and was expected to fail")
    _check_notes(command, result)
    _check_result(command, result)
    if command.is_range or command.is_range_vector or result.type in ("matrix", "string"):
        return
    if _DEPENDS_ON_QUERY.search(command.query) or "ordered" in command.expects:
        return
    _check_over_a_range(source, command, result, settings)
    _check_pinned(source, command, settings)


def _check_over_a_range(source: MemorySource, command: Evaluation, result: Result, settings: QuerySettings) -> None:
    minute = 60_000
    start, end = command.start_ms - minute, command.start_ms + minute
    ranged = range_query(source, command.query, start, end, minute, settings=settings)
    middle = []
    for series in ranged.series:
        at = [place for place, time in enumerate(series.times.tolist()) if time == command.start_ms]
        if at:
            histograms = None if series.histograms is None else [series.histograms[at[0]]]
            middle.append(ResultSeries(series.labels, series.times[at], series.values[at], histograms))
    data: list[ResultSeries] | Point = middle[0].points[0] if result.type == "scalar" else middle
    try:
        _check_result(command, replace(result, data=data))
    except Mismatch as mismatch:
        raise Mismatch(f"over a range: {mismatch}") from mismatch


def _check_pinned(source: MemorySource, command: Evaluation, settings: QuerySettings) -> None:
    time_ms = command.start_ms
    query = pinned_query(command.query, time_ms)
    times = [-10 * time_ms, 0, time_ms // 5, 10 * time_ms] if time_ms else [-1000, 1000]
    for at in times if query is not None else []:
        assert query is not None
        try:
            _check_result(command, instant(source, query, at, settings=settings))
        except (Mismatch, PromQLError) as error:
            raise Mismatch(f"pinned, as {query} at {at}: {error}") from error


def _ask(source: MemorySource, command: Evaluation, settings: QuerySettings) -> Result:
    if command.is_range:
        return range_query(source, command.query, command.start_ms, command.end_ms, command.step_ms, settings=settings)
    at = command.end_ms if command.is_range_vector else command.start_ms
    return instant(source, command.query, at, settings=settings)


def _check_failure(command: Evaluation, error: PromQLError) -> None:
    if "fail" not in command.expects:
        raise Mismatch(f"failed: {error}")
    how, what = command.expects["fail"][0]
    if how == "msg" and str(error) != what:
        raise Mismatch(f"failed with '{error}' instead of '{what}'")
    if how == "regex" and not re.search(what, str(error)):
        raise Mismatch(f"failed with '{error}', which does not match '{what}'")


def _check_notes(command: Evaluation, result: Result) -> None:
    for kind, notes in (("warn", result.warnings), ("info", result.infos)):
        bare = [_POSITION.sub("", note) for note in notes]
        expected = command.expects.get(kind, [])
        if f"no_{kind}" in command.expects and bare:
            raise Mismatch(f"unexpected {kind}: {bare}")
        if expected and not bare:
            raise Mismatch(f"expected {kind} {expected}, got none")
        for how, what in expected:
            if not any(_matches(how, what, note) for note in bare):
                raise Mismatch(f"expected {kind} '{what}', got {bare}")
        for note in bare if expected else ():
            if not any(_matches(how, what, note) for how, what in expected):
                raise Mismatch(f"unexpected {kind} '{note}'")


def _matches(how: str, what: str, note: str) -> bool:
    if how == "msg":
        return note == what
    return how == "" or re.search(what, note) is not None


def _check_result(command: Evaluation, result: Result) -> None:
    if result.type == "string":
        if result.data != command.text:
            raise Mismatch(f"expected string {command.text!r}, got {result.data!r}")
        return
    if isinstance(result.data, Point):
        value = result.data.value
        if command.scalar is None or isinstance(value, NativeHistogram) or not almost_equal(command.scalar, value):
            raise Mismatch(f"expected scalar {command.scalar}, got {value}")
        return
    if command.scalar is not None:
        raise Mismatch(f"expected scalar {command.scalar}, got {result.type}")
    found = {key(series.labels): series for series in result.series}
    for labels in found.keys() - command.series.keys():
        raise Mismatch(f"unexpected series {labels_text(dict(labels))} with {_shown(found[labels])}")
    for labels in command.series.keys() - found.keys():
        if any(item.value is not None for item in command.series[labels]):
            raise Mismatch(f"series {labels_text(dict(labels))} is missing")
    for labels, series in found.items():
        _check_series(command, series, command.series[labels])
    if "ordered" in command.expects and [key(one.labels) for one in result.series] != list(command.series):
        raise Mismatch(f"order is {[labels_text(one.labels) for one in result.series]}")


def _check_series(command: Evaluation, series: ResultSeries, items: list[Item]) -> None:
    expected = {time: item for time, item in zip(command.times, items, strict=False) if item.value is not None}
    if list(expected) != [point.time_ms for point in series.points] and (command.is_range or command.is_range_vector):
        raise Mismatch(f"{labels_text(series.labels)}: points at other times, {_shown(series)}")
    for point, item in zip(series.points, expected.values(), strict=True):
        if not _same(item, point.value):
            raise Mismatch(f"{labels_text(series.labels)}: expected {item.value}, got {_shown(series)}")


def _same(item: Item, found: float | NativeHistogram) -> bool:
    expected = item.value
    if isinstance(expected, NativeHistogram) and isinstance(found, NativeHistogram):
        return same_histogram(expected, found, hint_is_meant=item.hint_is_meant)
    if isinstance(expected, float) and isinstance(found, float):
        return almost_equal(expected, found)
    return False


def _shown(series: ResultSeries) -> str:
    return ", ".join(f"{point.value}@{point.time_ms}" for point in series.points[:8])
