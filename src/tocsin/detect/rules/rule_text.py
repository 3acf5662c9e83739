"""Rule files as text: read strictly, every fault with its line and remedy; written so that promtool accepts them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from tocsin.detect.rules.alerting import RuleError
from tocsin.detect.rules.over_logs import LOGS, metric_of
from tocsin.detect.rules.rule import Condition, Group, InsteadOf, Notes, Rule, RuleFile
from tocsin.detect.rules.template import TemplateError, check_template
from tocsin.model.labels import METRIC_NAME
from tocsin.model.rows import EVENTS, TRACES, Rows
from tocsin.model.yaml_text import Path, Plain, Problem, TextError, read_yaml, write_yaml
from tocsin.query.promql.errors import PromQLError
from tocsin.query.promql.literals import format_duration, parse_duration_ms
from tocsin.query.promql.parser import parse

FILE_KEYS = ("groups", "tocsin")
GROUP_KEYS = ("name", "interval", "query_offset", "limit", "labels", "rules")
RULE_KEYS = ("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations", "tocsin")
NOTE_KEYS = ("waits_for", "off", "title", "rows", "audience", "profiles", "events", "traces", "instead_of", "source")
INSTEAD_OF_KEYS = ("alert", "equal")
EVENT_KEYS = ("name", "names", "where", "by", "count", "within")
OWN_COLUMNS = ("service", "route", "method")
"""Columns of a span that are asked for without `where`, too."""
TRACE_KEYS = (*EVENT_KEYS, *OWN_COLUMNS, "min_duration", "is_error")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
MOST_RULES = 20_000


def read_rules(text: str, name: str, what: str = "") -> RuleFile:
    """The file of this name. Raises TextError with everything that is wrong."""
    what = what or f"rule file '{name}'"
    reader = _Reader(read_yaml(text, what))
    file = reader.file(name)
    if reader.problems:
        raise TextError(what, reader.problems)
    return file


class _Reader:
    """Goes on after a fault, so that all are told at once."""

    def __init__(self, plain: Plain) -> None:
        self._plain = plain
        self.problems: list[Problem] = []

    def file(self, name: str) -> RuleFile:
        value = self._plain.value
        if value is None:
            return RuleFile(name, ())
        fields = self._mapping((), value, FILE_KEYS)
        tenant = self._text(
            ("tocsin", "tenant"), self._mapping(("tocsin",), fields.get("tocsin"), ("tenant",)).get("tenant")
        )
        groups = [
            self._group(("groups", at), one) for at, one in enumerate(self._list(("groups",), fields.get("groups")))
        ]
        seen: dict[str, int] = {}
        for at, group in enumerate(groups):
            if group.name in seen:
                self._refuse(
                    ("groups", at, "name"), f'groupname: "{group.name}" is repeated; give each group its own name'
                )
            seen[group.name] = at
        if sum(len(group.rules) for group in groups) > MOST_RULES:
            self._refuse(("groups",), f"it has more than {MOST_RULES} rules; split the file")
        return RuleFile(name, tuple(groups), tenant)

    def _group(self, path: Path, value: Any) -> Group:
        fields = self._mapping(path, value, GROUP_KEYS)
        name = self._text((*path, "name"), fields.get("name"))
        if isinstance(value, dict) and not name:
            self._refuse(path, "this group has no name; add name: …")
        labels = self._labels((*path, "labels"), fields.get("labels"))
        rules = self._list((*path, "rules"), fields.get("rules"))
        return Group(
            name,
            tuple(self._rule((*path, "rules", at), one) for at, one in enumerate(rules)),
            self._seconds((*path, "interval"), fields.get("interval")) or None,
            self._count((*path, "limit"), fields.get("limit")),
            self._seconds((*path, "query_offset"), fields.get("query_offset")),
            labels,
            self._plain.lines.get(path, 0),
        )

    def _rule(self, path: Path, value: Any) -> Rule:
        fields = self._mapping(path, value, RULE_KEYS)
        text = {key: self._text((*path, key), fields.get(key)) for key in ("record", "alert", "expr")}
        rule = Rule(
            record=text["record"],
            alert=text["alert"],
            expr=text["expr"].strip(),
            for_seconds=self._seconds((*path, "for"), fields.get("for")) or 0.0,
            keep_firing_for_seconds=self._seconds((*path, "keep_firing_for"), fields.get("keep_firing_for")) or 0.0,
            labels=self._labels((*path, "labels"), fields.get("labels")),
            annotations=self._labels((*path, "annotations"), fields.get("annotations"), are_annotations=True),
            notes=self._notes((*path, "tocsin"), fields.get("tocsin")),
            line=self._plain.lines.get(path, 0),
        )
        if isinstance(value, dict):
            self._check(path, rule, fields)
        return rule

    def _check(self, path: Path, rule: Rule, fields: Mapping[str, Any]) -> None:
        if rule.record and rule.alert:
            self._refuse(path, "only one of 'record' and 'alert' may be set; make two rules of it")
        elif not rule.name:
            self._refuse(path, "one of 'record' or 'alert' must be set; add the one that is meant")
        self._check_expression(path, rule)
        if not rule.is_alerting:
            for key in ("for", "keep_firing_for", "annotations"):
                if fields.get(key):
                    self._refuse((*path, key), f"a recording rule has no '{key}'; remove it")
            if rule.record and ("{" in rule.record or "}" in rule.record or not rule.record.isprintable()):
                self._refuse((*path, "record"), f"invalid recording rule name: {rule.record}; write a metric name")
            return
        for kind, texts in (("labels", rule.labels), ("annotations", rule.annotations)):
            for key, text in texts.items():
                try:
                    check_template(text)
                except TemplateError as error:
                    self._refuse((*path, kind, key), f"{error}; correct the template")

    def _check_expression(self, path: Path, rule: Rule) -> None:
        if rule.notes.condition is not None:
            over = rule.over
            if rule.expr or rule.notes.source:
                named = "expr" if rule.expr else "source"
                self._refuse((*path, "tocsin", over), f"a rule over {over} has no '{named}'; remove one of both")
            return
        if not rule.expr:
            self._refuse((*path, "expr"), "field 'expr' must be set in rule; add the PromQL expression")
            return
        if rule.notes.source:
            self._check_logs(path, rule)
            return
        try:
            kind = parse(rule.expr).type
        except PromQLError as error:
            self._refuse((*path, "expr"), f"could not parse expression: {error}; correct the PromQL")
            return
        if kind not in ("vector", "scalar"):
            self._refuse((*path, "expr"), f"a rule needs a vector or a number, this is a {kind}; aggregate it")

    def _check_logs(self, path: Path, rule: Rule) -> None:
        if rule.notes.source != LOGS:
            self._refuse((*path, "tocsin", "source"), f"there is no source '{rule.notes.source[:40]}'; write {LOGS}")
            return
        try:
            metric_of(rule.expr)
        except RuleError as error:
            self._refuse((*path, "expr"), f"{error}; correct the LogQL")

    def _notes(self, path: Path, value: Any) -> Notes:
        fields = self._mapping(path, value, NOTE_KEYS)
        rows, profiles = (self._list((*path, key), fields.get(key)) for key in ("rows", "profiles"))
        return Notes(
            waits_for=self._text((*path, "waits_for"), fields.get("waits_for")),
            is_off=bool(fields.get("off")),
            title=self._text((*path, "title"), fields.get("title")),
            rows=tuple(str(one) for one in rows),
            profiles=tuple(str(one) for one in profiles),
            audience=self._text((*path, "audience"), fields.get("audience")),
            condition=self._one_condition(path, fields),
            instead_of=self._instead_of((*path, "instead_of"), fields.get("instead_of")),
            source=self._text((*path, "source"), fields.get("source")),
        )

    def _instead_of(self, path: Path, value: Any) -> InsteadOf | None:
        if not value:
            return None
        fields = self._mapping(path, value, INSTEAD_OF_KEYS)
        alert = self._text((*path, "alert"), fields.get("alert"))
        if not alert:
            self._refuse(path, "it names no alert; add alert: …")
        return InsteadOf(alert, tuple(str(one) for one in self._list((*path, "equal"), fields.get("equal"))))

    def _one_condition(self, path: Path, fields: Mapping[str, Any]) -> Condition | None:
        said = [table for table in (EVENTS, TRACES) if fields.get(table) is not None]
        if len(said) > 1:
            self._refuse((*path, TRACES), "a rule is over events or over traces; make two rules of it")
        return self._condition((*path, said[0]), fields[said[0]], said[0]) if said else None

    def _condition(self, path: Path, value: Any, table: str) -> Condition:
        fields = self._mapping(path, value, EVENT_KEYS if table == EVENTS else TRACE_KEYS)
        names = [self._text((*path, "name"), fields.get("name"))]
        names += [self._text((*path, "names"), one) for one in self._list((*path, "names"), fields.get("names"))]
        names = [name for name in names if name]
        where = {key: text for key in OWN_COLUMNS if (text := self._text((*path, key), fields.get(key)))}
        for key, one in self._mapping((*path, "where"), fields.get("where"), None).items():
            where[key] = self._text((*path, "where", key), one)
        least_seconds = self._seconds((*path, "min_duration"), fields.get("min_duration")) or 0.0
        is_error = self._bool((*path, "is_error"), fields.get("is_error"))
        if table == EVENTS and not names:
            self._refuse(path, "it names no event; add name: …")
        if table == TRACES and not (names or where or least_seconds or is_error is not None):
            self._refuse(path, "it would count every span; add service, route, name, min_duration, is_error or where")
        by = [str(one) for one in self._list((*path, "by"), fields.get("by", ["tenant", "service"]))]
        count = fields.get("count", 1)
        if isinstance(count, bool) or not isinstance(count, int | float) or count < 1:
            self._refuse((*path, "count"), f"expected a number from 1 on, found '{count}'")
            count = 1
        rows = Rows(table, tuple(names), where, tuple(by), least_seconds, is_error)
        return Condition(rows, float(count), self._seconds((*path, "within"), fields.get("within")) or 300.0)

    def _labels(self, path: Path, value: Any, are_annotations: bool = False) -> dict[str, str]:
        found: dict[str, str] = {}
        for key, one in self._mapping(path, value, None).items():
            if not _LABEL_NAME.fullmatch(key) or (key == METRIC_NAME and not are_annotations):
                kind = "annotation" if are_annotations else "label"
                self._refuse((*path, key), f"invalid {kind} name: {key}; use letters, digits and _")
            found[key] = self._text((*path, key), one)
        return found

    def _mapping(self, path: Path, value: Any, known: tuple[str, ...] | None) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._refuse(path, f"expected a mapping, found {_described(value)}")
            return {}
        for key in value:
            if known is not None and key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                remedy = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
                self._refuse((*path, key), f"there is no field '{key}'; {remedy}")
        return value

    def _list(self, path: Path, value: Any) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            self._refuse(path, f"expected a list, found {_described(value)}")
            return []
        return value

    def _text(self, path: Path, value: Any) -> str:
        if isinstance(value, dict | list):
            self._refuse(path, f"expected a text, found {_described(value)}")
            return ""
        if isinstance(value, bool):
            return str(value).lower()
        return "" if value is None else str(value)

    def _seconds(self, path: Path, value: Any) -> float | None:
        if value is None:
            return None
        try:
            return parse_duration_ms(str(value)) / 1000
        except ValueError as error:
            self._refuse(path, f"{error}; write such as 30s, 5m or 1h")
            return None

    def _count(self, path: Path, value: Any) -> int:
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
            return value or 0
        self._refuse(path, f"expected a whole number, found {_described(value)}")
        return 0

    def _bool(self, path: Path, value: Any) -> bool | None:
        if value is None or isinstance(value, bool):
            return value
        self._refuse(path, f"expected true or false, found {_described(value)}")
        return None

    def _refuse(self, path: Path, message: str) -> None:
        self.problems.append(self._plain.problem(path, message))


def _described(value: Any) -> str:
    kinds = {dict: "a mapping", list: "a list", bool: "true or false", type(None): "nothing"}
    return kinds.get(type(value), f"'{str(value)[:40]}'")


def write_rules(file: RuleFile, *, classic: bool = False) -> str:
    """The file as YAML. classic: what promtool reads; `unexportable` tells what that leaves out."""
    groups = [_plain_group(group, classic) for group in file.groups]
    made: dict[str, Any] = {} if classic or not file.tenant else {"tocsin": {"tenant": file.tenant}}
    return write_yaml(made | {"groups": [group for group in groups if group["rules"] or not classic]})


def unexportable(file: RuleFile) -> list[str]:
    """What a classic Prometheus has no words for, one sentence each."""
    lost = [
        f"rule '{rule.name}' is over {rule.over}, which Prometheus does not have"
        for rule in file.rules
        if rule.notes.condition
    ]
    lost += [
        f"rule '{rule.name}' is over logs: give it to Loki's ruler, whose files look the same"
        for rule in file.rules
        if rule.notes.source
    ]
    lost += [
        f"rule '{rule.name}' is switched off here and would run there: it waits for {rule.notes.waits_for}"
        for rule in file.rules
        if rule.notes.waits_for and not rule.notes.condition
    ]
    if file.tenant:
        lost.append(f"the file is for tenant '{file.tenant}'; there it would read everybody's series")
    return lost


def _plain_group(group: Group, classic: bool) -> dict[str, Any]:
    made: dict[str, Any] = {"name": group.name}
    if group.interval_seconds:
        made["interval"] = _duration(group.interval_seconds)
    if group.limit:
        made["limit"] = group.limit
    if not classic and group.query_offset_seconds is not None:
        made["query_offset"] = _duration(group.query_offset_seconds)
    if not classic and group.labels:
        made["labels"] = dict(group.labels)
    rules = [rule for rule in group.rules if not (classic and rule.over)]
    made["rules"] = [_plain_rule(rule, group.labels_of(rule) if classic else rule.labels, classic) for rule in rules]
    return made


def _plain_rule(rule: Rule, labels: Mapping[str, str], classic: bool) -> dict[str, Any]:
    made: dict[str, Any] = {"alert": rule.alert} if rule.is_alerting else {"record": rule.record}
    if rule.expr:
        made["expr"] = rule.expr
    if rule.for_seconds:
        made["for"] = _duration(rule.for_seconds)
    if rule.keep_firing_for_seconds:
        made["keep_firing_for"] = _duration(rule.keep_firing_for_seconds)
    if labels:
        made["labels"] = dict(labels)
    if rule.annotations:
        made["annotations"] = dict(rule.annotations)
    if not classic and (notes := _plain_notes(rule.notes)):
        made["tocsin"] = notes
    return made


def _plain_notes(notes: Notes) -> dict[str, Any]:
    said: dict[str, Any] = {
        "title": notes.title, "waits_for": notes.waits_for, "off": notes.is_off, "rows": list(notes.rows),
        "audience": notes.audience, "profiles": list(notes.profiles), "source": notes.source,
    }  # fmt: skip
    if notes.condition:
        said[notes.condition.rows.table] = _plain_condition(notes.condition)
    if notes.instead_of:
        said["instead_of"] = {"alert": notes.instead_of.alert, "equal": list(notes.instead_of.equal)}
    return {key: value for key, value in said.items() if value}


def _plain_condition(condition: Condition) -> dict[str, Any]:
    rows = condition.rows
    own = [key for key in OWN_COLUMNS if rows.table == TRACES and rows.where.get(key)]
    said: dict[str, Any] = {"names": list(rows.names), **{key: rows.where[key] for key in own}}
    said["where"] = {key: text for key, text in rows.where.items() if key not in own}
    if rows.least_seconds:
        said["min_duration"] = _duration(rows.least_seconds)
    said = {key: value for key, value in said.items() if value}
    if rows.is_error is not None:
        said["is_error"] = rows.is_error
    count = int(condition.count) if condition.count.is_integer() else condition.count
    return said | {"by": list(rows.by), "count": count, "within": _duration(condition.within_seconds)}


def _duration(seconds: float) -> str:
    return format_duration(round(seconds * 1000))
