"""Dashboards as YAML or JSON: read with exact errors, written in one order so that files can be compared."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from tocsin.model.dashboard import (
    BELOW,
    BESIDE,
    CALCULATIONS,
    COLUMNS,
    PANEL_TYPES,
    RANGES,
    SOURCES,
    UNITS,
    VARIABLE_TYPES,
    Annotation,
    Dashboard,
    Fact,
    GridPosition,
    Panel,
    PanelQuery,
    Step,
    Thresholds,
    Variable,
)
from tocsin.model.thresholds import NAMES
from tocsin.model.yaml_text import Path, Plain, Problem, Short, TextError, read_yaml, write_yaml

ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,78}")
NAME = re.compile(r"\w{1,50}")
MOST_PANELS = 200
TONES = ("ok", "warn", "bad")
KEYS: dict[str, str] = {
    "is_instant": "instant", "is_hidden": "hidden", "is_stacked": "stacked", "is_collapsed": "collapsed",
    "is_multi": "multi", "has_all": "all", "is_on": "on_by_default", "position": "at", "from_value": "from",
    "is_percentage": "percentage", "is_limit": "limit", "is_usual": "usual", "is_forecast": "forecast",
    "has_exemplars": "exemplars",
}  # fmt: skip
"""What a field is called in a file, where that differs."""

Read = Callable[["_Reader", Path, Any], Any]
Spec = Mapping[str, Read]


def read_dashboard(text: str, what: str = "this dashboard") -> Dashboard:
    """Raises TextError with everything that is wrong."""
    plain = read_yaml(text, what)
    reader = _Reader(plain)
    made = reader.record((), plain.value, DASHBOARD, Dashboard, needs=("id", "title"))
    if reader.problems or made is None:
        raise TextError(what, reader.problems)
    dashboard: Dashboard = made
    if problems := _doubles(plain, dashboard):
        raise TextError(what, problems)
    return dashboard


def write_dashboard(dashboard: Dashboard) -> str:
    """YAML that reads back as the same; what is as by default is left out."""
    return write_yaml(plain_dashboard(dashboard))


def read_part(read: Read, value: Any) -> Any:
    """A part of a board that came in another document; None where anything in it is wrong."""
    try:
        plain = read_yaml(json.dumps(value), "this part")
    except (TextError, TypeError, ValueError):
        return None
    reader = _Reader(plain)
    made = read(reader, (), plain.value)
    return None if reader.problems else made


def plain_part(value: Any) -> Any:
    """A part of a board as dicts and lists."""
    return _plain(value)


def plain_dashboard(dashboard: Dashboard) -> dict[str, Any]:
    """As dicts and lists, for YAML and JSON."""
    made: dict[str, Any] = _plain(dashboard)
    return made


class _Reader:
    def __init__(self, plain: Plain) -> None:
        self.plain = plain
        self.problems: list[Problem] = []

    def refuse(self, path: Path, message: str) -> None:
        self.problems.append(self.plain.problem(path, message))

    def record(self, path: Path, value: Any, spec: Spec, kind: type, needs: Sequence[str] = ()) -> Any:
        """A `kind` filled from a mapping; None when something is missing or wrong."""
        if not isinstance(value, dict):
            self.refuse(path, f"expected a mapping with {', '.join(needs) or 'fields'}, found {_described(value)}")
            return None
        before = len(self.problems)
        given = {}
        for key, one in value.items():
            if key not in spec:
                near = difflib.get_close_matches(str(key), spec, 1)
                remedy = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(spec)}"
                self.refuse((*path, key), f"there is no field '{key}'; {remedy}")
            elif one is not None:
                given[field_of(key)] = spec[key](self, (*path, key), one)
        for name in needs:
            if field_of(name) not in given:
                self.refuse((*path, name), f"'{name}' is missing; add it")
        return kind(**given) if len(self.problems) == before else None


def field_of(key: str) -> str:
    """What the field of a file is called in the dataclass."""
    return next((field for field, named in KEYS.items() if named == key), key)


def _described(value: Any) -> str:
    kinds = {dict: "a mapping", list: "a list", bool: "true or false", type(None): "nothing"}
    return kinds.get(type(value), f"'{str(value)[:40]}'")


def text(longest: int = 10_000) -> Read:
    def read(reader: _Reader, path: Path, value: Any) -> str:
        if isinstance(value, (dict, list)):
            reader.refuse(path, f"expected a text, found {_described(value)}")
        elif len(str(value)) > longest:
            reader.refuse(path, f"this text is longer than {longest} characters; shorten it")
        return str(value).lower() if isinstance(value, bool) else str(value)

    return read


def matching(pattern: re.Pattern[str], words: str) -> Read:
    def read(reader: _Reader, path: Path, value: Any) -> str:
        if not pattern.fullmatch(str(value)):
            reader.refuse(path, f"'{str(value)[:60]}' is no {words}")
        return str(value)

    return read


def one_of(choices: Sequence[str]) -> Read:
    def read(reader: _Reader, path: Path, value: Any) -> str:
        if value not in choices:
            near = difflib.get_close_matches(str(value), choices, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"write one of {', '.join(filter(None, choices))}"
            reader.refuse(path, f"'{str(value)[:40]}' is unknown; {hint}")
        return str(value)

    return read


def boolean(reader: _Reader, path: Path, value: Any) -> bool:
    if not isinstance(value, bool):
        reader.refuse(path, f"expected true or false, found {_described(value)}")
    return bool(value)


def number(reader: _Reader, path: Path, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        reader.refuse(path, f"expected a number, found {_described(value)}")
        return 0.0
    return value


def whole(low: int, high: int) -> Read:
    def read(reader: _Reader, path: Path, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            reader.refuse(path, f"expected a whole number from {low} to {high}, found {_described(value)}")
            return low
        return value

    return read


def several(read: Read, most: int = 100) -> Read:
    def read_all(reader: _Reader, path: Path, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            reader.refuse(path, f"expected a list, found {_described(value)}")
            return ()
        if len(value) > most:
            reader.refuse(path, f"these are {len(value)}, more than {most}; split them")
        return tuple(read(reader, (*path, place), one) for place, one in enumerate(value[:most]))

    return read_all


def record(spec: Spec, kind: type, needs: Sequence[str] = ()) -> Read:
    return lambda reader, path, value: reader.record(path, value, spec, kind, needs)


def position(reader: _Reader, path: Path, value: Any) -> GridPosition:
    """[x, y, width, height] on a grid of 24 columns."""
    is_whole = isinstance(value, list) and len(value) == 4 and all(type(one) is int and one >= 0 for one in value)
    if not is_whole or value[0] + value[2] > COLUMNS or not value[2] or not 1 <= value[3] <= 60 or value[1] > 10_000:
        reader.refuse(path, f"expected [x, y, width, height] within {COLUMNS} columns, found {value!r:.60}")
        return GridPosition()
    return GridPosition(*value)


def thresholds(reader: _Reader, path: Path, value: Any) -> Thresholds:
    """The name of a profile, or steps."""
    if isinstance(value, str):
        return Thresholds(profile=one_of(NAMES)(reader, path, value))
    read = record({"steps": several(record(STEP, Step, ("tone",)), 20), "percentage": boolean}, Thresholds, ("steps",))
    made: Thresholds | None = read(reader, path, value)
    return made or Thresholds()


def link(reader: _Reader, path: Path, value: Any) -> str:
    address: str = text(2000)(reader, path, value)
    if not re.match(r"(https?://|/(?!/))", address):
        reader.refuse(path, f"'{address[:60]}' is no address; begin it with / or https://")
    return address


def links(reader: _Reader, path: Path, value: Any) -> tuple[str, str]:
    if not (isinstance(value, list) and len(value) == 2):
        reader.refuse(path, "expected [title, address]")
        return ("", "")
    return (text(200)(reader, (*path, 0), value[0]), link(reader, (*path, 1), value[1]))


STEP: Spec = {"from": number, "tone": one_of(TONES)}
QUERY: Spec = {
    "expr": text(20_000), "legend": text(500), "ref": text(20), "instant": boolean, "hidden": boolean, "step": text(20),
    "limit": boolean,
}  # fmt: skip
FACT: Spec = {
    "expr": text(20_000), "text": text(500), "unit": one_of(tuple(UNITS)), "under": number, "otherwise": text(500),
    "until": text(500), "tone": one_of(TONES),
}  # fmt: skip
ANNOTATION: Spec = {
    "name": text(200), "expr": text(20_000), "title": text(500), "step": text(20), "tone": one_of(TONES),
    "on_by_default": boolean,
}  # fmt: skip
FACTS = several(record(FACT, Fact, ("expr", "text")), 10)
MARKS = several(record(ANNOTATION, Annotation, ("name", "expr")), 10)
PANEL: Spec = {
    "id": whole(1, 1_000_000), "title": text(200), "type": one_of(PANEL_TYPES), "at": position,
    "queries": several(record(QUERY, PanelQuery, ("expr",)), 20), "source": one_of(tuple(SOURCES)),
    "unit": one_of(tuple(UNITS)), "decimals": whole(0, 10), "min": number, "max": number, "thresholds": thresholds,
    "calculation": one_of(CALCULATIONS), "stacked": boolean, "text": text(50_000), "description": text(2000),
    "waits_for": text(500), "link": link, "repeat": matching(NAME, "name of a variable"), "collapsed": boolean,
    "beside": one_of(tuple(BESIDE)), "usual": boolean, "forecast": boolean, "exemplars": boolean, "facts": FACTS,
    "marks": MARKS, "below": one_of(tuple(BELOW)),
}  # fmt: skip
VARIABLE: Spec = {
    "name": matching(NAME, "name: use letters, digits and _"), "type": one_of(VARIABLE_TYPES), "label": text(200),
    "query": text(5000), "default": text(2000), "regex": text(1000), "multi": boolean, "all": boolean,
    "all_value": text(1000), "hidden": boolean, "description": text(2000),
}  # fmt: skip
DASHBOARD: Spec = {
    "id": matching(ID, "id: use small letters, digits, - and _"), "title": text(200), "description": text(5000),
    "tags": several(text(100), 50), "audience": one_of(("everyone", "staff")),
    "range": one_of(tuple(RANGES)), "refresh": text(20),
    "links": several(links, 50), "variables": several(record(VARIABLE, Variable, ("name", "type")), 50),
    "annotations": several(record(ANNOTATION, Annotation, ("name", "expr")), 50),
    "panels": several(record(PANEL, Panel, ("id", "title", "type", "at")), MOST_PANELS),
}  # fmt: skip


def _doubles(plain: Plain, dashboard: Dashboard) -> list[Problem]:
    problems = []
    for kind, names in (
        ("panels", [(panel.id, "id") for panel in dashboard.panels]),
        ("variables", [(variable.name, "name") for variable in dashboard.variables]),
    ):
        seen: set[object] = set()
        for place, (name, field) in enumerate(names):
            if name in seen:
                problems.append(plain.problem((kind, place, field), f"{field} {name} is taken; give each its own"))
            seen.add(name)
    return problems


def _plain(value: Any) -> Any:
    if isinstance(value, GridPosition):
        return Short((value.x, value.y, value.w, value.h))
    if isinstance(value, Thresholds) and value.profile:
        return value.profile
    if hasattr(type(value), "__dataclass_fields__"):
        order = PLAIN_ORDER if isinstance(value, Dashboard) else [field.name for field in fields(value)]
        kept = {name: getattr(value, name) for name in order if not _is_default(value, name)}
        return {KEYS.get(name, name): _plain(one) for name, one in kept.items()}
    if isinstance(value, tuple):
        items = [_plain(one) for one in value]
        return Short(items) if all(isinstance(one, str) for one in items) and items else items
    return value


PLAIN_ORDER = [field_of(key) for key in DASHBOARD]


def _is_default(value: Any, name: str) -> bool:
    field = type(value).__dataclass_fields__[name]
    return field.default is not MISSING and getattr(value, name) == field.default
