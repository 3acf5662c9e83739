"""Unit tests of rules in promtool's format: rules evaluated over series written down, alerts and values compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tocsin.detect.rules.alerting import Active, RuleState
from tocsin.detect.rules.evaluation import Surroundings, Written, evaluate_group
from tocsin.detect.rules.over_logs import MemoryLines
from tocsin.detect.rules.over_rows import MemoryRows
from tocsin.detect.rules.planted import UnitTestError, planted_rows
from tocsin.detect.rules.rule import Group, Rule, RuleFile, keys_of
from tocsin.detect.rules.rule_text import read_rules
from tocsin.model.alert import ALERT_NAME
from tocsin.model.yaml_text import Plain, TextError, read_yaml
from tocsin.query.logql.line import Line
from tocsin.query.promql.engine import Point, instant
from tocsin.query.promql.errors import PromQLError
from tocsin.query.promql.histogram import NativeHistogram
from tocsin.query.promql.literals import parse_duration_ms
from tocsin.query.promql.notation import NotationError, almost_equal, parse_labels, parse_series
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.promql.source import MemorySource, Series

LoadRules = Callable[[str], RuleFile]
DEFAULT_INTERVAL_MS = 60_000


@dataclass(slots=True)
class Outcome:
    """What came of one test of a file: nothing in `failures` is success."""

    name: str
    failures: list[str] = field(default_factory=list)


def loader_beside(file: Path, fill: Callable[[str], str] = lambda text: text) -> LoadRules:
    """Finds rule files beside a test file, as promtool does; fill: what is done to their text first."""

    def load(name: str) -> RuleFile:
        found = sorted(file.parent.glob(name)) if "*" in name else [file.parent / name]
        if not found:
            raise UnitTestError(f"cannot find rule file '{name}' of {file.name}: there is none; correct rule_files")
        groups: tuple[Group, ...] = ()
        for path in found:
            try:
                groups += read_rules(fill(path.read_text("utf-8")), path.name).groups
            except OSError as error:
                raise UnitTestError(f"cannot read rule file '{path}': {error}; correct rule_files") from error
        return RuleFile(name, groups)

    return load


def run_tests(text: str, name: str, load: LoadRules) -> list[Outcome]:
    """One outcome a test. Raises UnitTestError, TextError."""
    plain = read_yaml(text, f"test file '{name}'")
    document = _mapping(plain, plain.value, name)
    files = [load(str(one)) for one in document.get("rule_files") or []]
    default_ms = _ms(document.get("evaluation_interval"), DEFAULT_INTERVAL_MS)
    order = document.get("group_eval_order") or []
    groups = [(file, group) for file in files for group in file.groups]
    groups.sort(key=lambda pair: order.index(pair[1].name) if pair[1].name in order else len(order))
    tests = document.get("tests") or []
    return [_run(_mapping(plain, one, name), place, groups, default_ms) for place, one in enumerate(tests)]


def _mapping(plain: Plain, value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UnitTestError(f"cannot run tests of '{name}': expected a mapping of rule_files and tests; write it so")
    return value


def _run(test: dict[str, Any], place: int, groups: list[tuple[RuleFile, Group]], default_ms: int) -> Outcome:
    outcome = Outcome(str(test.get("name") or f"test {place + 1}"))
    interval_ms = _ms(test.get("interval"), default_ms)
    source = MemorySource()
    try:
        for said in test.get("input_series") or []:
            source.series.append(_series(str(said["series"]), str(said["values"]), interval_ms))
    except (NotationError, KeyError, ValueError) as error:
        raise UnitTestError(f"cannot read input_series of {outcome.name}: {error}; correct them") from error
    world = _World(source, test, groups, default_ms)
    world.lines.found += _lines(test, outcome.name)
    world.rows.found += planted_rows(test, outcome.name)
    alert_tests = test.get("alert_rule_test") or []
    times = {_ms(one.get("eval_time"), 0) for one in [*alert_tests, *(test.get("promql_expr_test") or [])]}
    world.evaluate_up_to(max(times, default=0), {_ms(one.get("eval_time"), 0) for one in alert_tests})
    for one in alert_tests:
        outcome.failures += _alert_failures(one, world)
    for one in test.get("promql_expr_test") or []:
        outcome.failures += _value_failures(one, world)
    return outcome


def _series(name: str, values: str, interval_ms: int) -> Series:
    labels, items = parse_series(f"{name} {values}")
    there = [(place * interval_ms, one.value) for place, one in enumerate(items) if one.value is not None]
    floats = np.array([float("nan") if isinstance(value, NativeHistogram) else value for _, value in there])
    histograms = [value if isinstance(value, NativeHistogram) else None for _, value in there]
    times = np.array([at for at, _ in there], dtype=np.int64)
    return Series(labels, times, floats.astype(np.float64), histograms if any(histograms) else None)


def _lines(test: Mapping[str, Any], name: str) -> list[Line]:
    """`input_logs`, beside promtool's input_series: streams with a line and the times at which it came."""
    found = []
    for said in test.get("input_logs") or []:
        try:
            labels, _ = parse_labels(str(said["stream"]), 0)
            times = [parse_duration_ms(one) for one in str(said["at"]).split()]
            found += [Line(at_ms * 1_000_000, str(said["line"]), labels, {}) for at_ms in times]
        except (NotationError, KeyError, TypeError, ValueError) as error:
            raise UnitTestError(
                f"cannot read input_logs of {name}: {error}; write stream, line and at, such as at: 10s 70s"
            ) from error
    return found


class _World:
    """Groups evaluated over series in memory from time zero on."""

    def __init__(
        self, source: MemorySource, test: Mapping[str, Any], groups: Sequence[tuple[RuleFile, Group]], interval_ms: int
    ) -> None:
        labels = {str(key): str(value) for key, value in (test.get("external_labels") or {}).items()}
        self.lines, self.rows = MemoryLines(), MemoryRows()
        url = str(test.get("external_url") or "")
        self.around = Surroundings(source, QuerySettings(), labels, url, self.rows.count, lambda: self.lines)
        self._source = source
        self._written: dict[tuple[tuple[str, str], ...], list[tuple[int, float]]] = {}
        self._interval_ms = interval_ms
        self.groups = [
            (group, [RuleState(key, rule, group.labels_of(rule)) for key, rule in _keyed(file, group)])
            for file, group in groups
        ]
        self.seen: dict[int, dict[str, list[Active]]] = {}

    def evaluate_up_to(self, last_ms: int, noted: set[int]) -> None:
        """Also remembers which alerts were active at the times `noted`. A group's own interval does not count here."""
        waiting = sorted(noted)
        for at in range(0, last_ms + 1, self._interval_ms):
            while waiting and waiting[0] < at:
                self.seen[waiting.pop(0)] = self._active()
            for group, states in self.groups:
                evaluate_group(group, states, self.around, at, self._note)
        for at in waiting:
            self.seen[at] = self._active()

    def _active(self) -> dict[str, list[Active]]:
        found: dict[str, list[Active]] = {}
        for _, states in self.groups:
            for state in states:
                firing = [one for one in state.alerts.values() if one.state == "firing"]
                found.setdefault(state.rule.alert, []).extend(firing)
        return found

    def _note(self, written: list[Written]) -> None:
        for one in written:
            self._written.setdefault(tuple(sorted(one.labels.items())), []).append((one.time_ms, one.value))
        changed = {tuple(sorted(one.labels.items())) for one in written}
        kept = [one for one in self._source.series if tuple(sorted(one.labels.items())) not in changed]
        self._source.series = kept
        for key in changed:
            self._source.add(dict(key), self._written[key])


def _keyed(file: RuleFile, group: Group) -> list[tuple[str, Rule]]:
    return list(zip(keys_of(file, group), group.rules, strict=True))


def _alert_failures(test: Mapping[str, Any], world: _World) -> list[str]:
    name, at_ms = str(test.get("alertname", "")), _ms(test.get("eval_time"), 0)
    expected = []
    for one in test.get("exp_alerts") or []:
        labels = {**_texts(one.get("exp_labels")), ALERT_NAME: name}
        expected.append((labels, _texts(one.get("exp_annotations"))))
    got = [(dict(one.labels), dict(one.annotations)) for one in world.seen[at_ms].get(name, [])]
    if sorted(map(_sortable, expected)) == sorted(map(_sortable, got)):
        return []
    return [f"alertname: {name}, time: {test.get('eval_time')}, exp: {_told(expected)}, got: {_told(got)}"]


def _texts(value: Any) -> dict[str, str]:
    return {str(key): "" if one is None else str(one) for key, one in (value or {}).items()}


def _sortable(pair: tuple[dict[str, str], dict[str, str]]) -> str:
    return repr([sorted(part.items()) for part in pair])


def _told(alerts: Sequence[tuple[dict[str, str], dict[str, str]]]) -> str:
    shown = [
        f"Labels:{dict(sorted(labels.items()))} Annotations:{dict(sorted(words.items()))}" for labels, words in alerts
    ]
    return "[" + "; ".join(shown) + "]"


def _value_failures(test: Mapping[str, Any], world: _World) -> list[str]:
    expr, at_ms = str(test.get("expr", "")), _ms(test.get("eval_time"), 0)
    where = f'expr: "{expr}", time: {test.get("eval_time")}'
    try:
        result = instant(world.around.source, expr, at_ms, world.around.settings)
    except PromQLError as error:
        return [f"{where}, err: {error}"]
    if isinstance(result.data, Point):
        got: list[tuple[dict[str, str], Any]] = [({}, result.data.value)]
    else:
        got = [(dict(one.labels), one.points[-1].value) for one in result.series]
    expected = []
    for one in test.get("exp_samples") or []:
        labels, _ = parse_labels(str(one.get("labels") or "{}"), 0)
        expected.append((labels, float(one.get("value", 0))))
    left = list(got)
    for labels, value in expected:
        match = next((one for one in left if one[0] == labels and _equals(one[1], value)), None)
        if match is None:
            return [f"{where}, exp: {expected}, got: {got}"]
        left.remove(match)
    return [f"{where}, exp: {expected}, got: {got}"] if left else []


def _equals(found: Any, expected: float) -> bool:
    return isinstance(found, float) and almost_equal(found, expected)


def _ms(value: Any, default_ms: int) -> int:
    if value is None:
        return default_ms
    try:
        return parse_duration_ms(str(value))
    except ValueError as error:
        raise UnitTestError(f"cannot read '{value}' as a duration: {error}; write such as 5m") from error


__all__ = ["LoadRules", "Outcome", "TextError", "UnitTestError", "loader_beside", "run_tests"]
