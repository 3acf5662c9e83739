"""A Grafana dashboard (classic JSON, also of old versions) as ours, and a list of all that could not be kept."""

from __future__ import annotations

import re
from typing import Any

from tocsin.model.dashboard import (
    COLUMNS,
    RANGES,
    SOURCES,
    Annotation,
    Dashboard,
    GridPosition,
    Panel,
    PanelQuery,
    PanelType,
    Step,
    Thresholds,
    Variable,
    VariableType,
)
from tocsin.model.dashboard_text import MOST_PANELS, NAME, PANEL, field_of, read_part
from tocsin.model.grafana_legacy import modernised, unrolled
from tocsin.model.grafana_lost import left_over
from tocsin.model.grafana_terms import (
    NEAR,
    OUR_CALCULATIONS,
    OUR_TYPES,
    OUR_UNITS,
    OWN_PARTS,
    SOURCE_VARIABLE,
    UNITS,
    tone_of_colour,
)
from tocsin.model.thresholds import NAMES
from tocsin.model.yaml_text import Problem, TextError

Json = dict[str, Any]
WHAT = "this Grafana dashboard"


def from_grafana(document: Json) -> tuple[Dashboard, list[str]]:
    """(the board, what was lost). Raises TextError for what is no Grafana dashboard."""
    found = document.get("dashboard", document)
    if isinstance(found, dict) and "spec" in found and "elements" in _mapping(found["spec"]):
        raise TextError(WHAT, [Problem("", 0, "it is of schema v2; export it from Grafana as classic JSON")])
    if not isinstance(found, dict) or not (
        isinstance(found.get("panels"), list) or isinstance(found.get("rows"), list)
    ):
        raise TextError(WHAT, [Problem("panels", 0, "there are none; export the dashboard's JSON model from Grafana")])
    return _Import(found).dashboard()


def _mapping(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


class _Import:
    def __init__(self, document: Json) -> None:
        self.document = document
        self.lost: list[str] = []
        self.ids: set[int] = set()

    def lose(self, text: str) -> None:
        if text not in self.lost:
            self.lost.append(text)

    def dashboard(self) -> tuple[Dashboard, list[str]]:
        document, own = self.document, _mapping(self.document.get("tocsin"))
        title = str(document.get("title") or "Imported dashboard")[:200]
        made = Dashboard(
            id=_id(document, title),
            title=title,
            panels=tuple(self._panels(document)),
            description=str(document.get("description") or "")[:5000],
            tags=tuple(str(tag)[:100] for tag in _list(document.get("tags")))[:50],
            variables=tuple(self._variables(_list(_mapping(document.get("templating")).get("list")))),
            annotations=tuple(self._annotations(_list(_mapping(document.get("annotations")).get("list")))),
            range=self._range(_mapping(document.get("time")), own),
            refresh=str(own["refresh"]) if "refresh" in own else _refresh(document.get("refresh")),
            audience="everyone" if own.get("audience") == "everyone" else "staff",
            links=tuple(self._links(_list(document.get("links")))),
        )
        for key in ("snapshot", "templateVariables"):
            if document.get(key):
                self.lose(f"{key}: there is no such thing here")
        return made, self.lost

    def _range(self, time: Json, own: Json) -> str:
        """The named range that is nearest above."""
        if "range" in own:
            return str(own["range"]) if own["range"] in RANGES else ""
        found = re.fullmatch(r"now-(\d+)([smhdwMy])", str(time.get("from") or ""))
        if not found or time.get("to") not in (None, "now"):
            if time:
                self.lose(f"the time from {time.get('from')} to {time.get('to')}; the board opens with the reader's")
            return ""
        per = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "M": 2_592_000, "y": 31_536_000}
        seconds = int(found[1]) * per[found[2]]
        name = next((name for name, length in RANGES.items() if length >= seconds), "30d")
        if RANGES[name] != seconds:
            self.lose(f"the time range {found[1]}{found[2]}; the board opens with {name}")
        return name

    def _panels(self, document: Json) -> list[Panel]:
        found = []
        for one in unrolled(document)[:MOST_PANELS]:
            panel = self._panel(_mapping(one))
            found.append(panel)
        if len(unrolled(document)) > MOST_PANELS:
            self.lose(f"panels beyond the first {MOST_PANELS}")
        return found

    def _panel(self, given: Json) -> Panel:
        title = str(given.get("title") or "")[:200]
        where = f"panel {given.get('id', '?')} '{title}'"
        if "libraryPanel" in given:
            self.lose(f"{where}: it is a library panel, of which the file holds only the name")
        panel, legacy = modernised(given)
        kind = str(panel.get("type", ""))
        self.lost += [f"{where}: {one}" for one in legacy]
        ours = self._type(where, kind, panel)
        own = _mapping(panel.get("tocsin"))
        defaults = _mapping(_mapping(panel.get("fieldConfig")).get("defaults"))
        options = _mapping(panel.get("options"))
        read = {
            "fieldConfig.defaults.unit", "fieldConfig.defaults.decimals", "fieldConfig.defaults.min",
            "fieldConfig.defaults.max", "fieldConfig.defaults.thresholds.*", "options.reduceOptions.calcs",
            "options.content", "fieldConfig.defaults.custom.stacking.mode",
        }  # fmt: skip
        unit = self._unit(where, defaults, read)
        made = Panel(
            id=self._panel_id(given.get("id")),
            title=title,
            type=ours,
            position=_position(_mapping(given.get("gridPos"))),
            queries=tuple(self._queries(where, panel, own)),
            source=str(own["source"]) if own.get("source") in SOURCES else ours if ours in ("logs", "alerts") else "",
            unit=unit,
            decimals=_decimals(defaults.get("decimals")),
            min=_number(defaults.get("min")),
            max=_number(defaults.get("max")),
            thresholds=self._thresholds(where, _mapping(defaults.get("thresholds")), own),
            calculation=self._calculation(where, options, own),
            is_stacked=_mapping(_mapping(defaults.get("custom")).get("stacking")).get("mode") == "normal",
            text=str(own.get("text") or (options.get("content") if ours == "text" else "") or "")[:50_000],
            description=str(given.get("description") or "")[:2000],
            waits_for=str(own.get("waits_for") or "")[:500],
            link=str(own.get("link") or self._link(where, _list(given.get("links")))),
            repeat=self._repeat(where, given),
            is_collapsed=kind == "row" and bool(given.get("collapsed")),
            **self._own_parts(where, own, panel),
        )
        if kind != "row" and (over := left_over(panel, read)):
            self.lose(f"{where}: {', '.join(over)}")
        return made

    def _own_parts(self, where: str, own: Json, panel: Json) -> dict[str, Any]:
        """What only our own export says of a panel, and examples, which Grafana asks for by query."""
        found = {}
        for key in OWN_PARTS:
            if key in own:
                made = read_part(PANEL[key], own[key])
                if made is None:
                    self.lose(f"{where}: tocsin.{key}, which cannot be read")
                else:
                    found[field_of(key)] = made
        if any(_mapping(one).get("exemplar") for one in _list(panel.get("targets"))):
            found["has_exemplars"] = True
        return found

    def _type(self, where: str, kind: str, panel: Json) -> PanelType:
        ours = OUR_TYPES.get(kind)
        if ours is None:
            ours = "chart" if any("expr" in _mapping(one) for one in _list(panel.get("targets"))) else "text"
            self.lose(f"{where}: panels of the type {kind or 'none'} are not kept; it is shown as a {ours}")
        elif kind in NEAR:
            self.lose(f"{where}: a {kind} is shown as {NEAR[kind]}")
        return ours

    def _panel_id(self, given: Any) -> int:
        """Its own where it is free: old files have panels without an id, or with one twice."""
        id = given if type(given) is int and 1 <= given <= 1_000_000 else 1
        while id in self.ids:
            id = max(self.ids) + 1
        self.ids.add(id)
        return id

    def _unit(self, where: str, defaults: Json, read: set[str]) -> str:
        mappings = _list(defaults.get("mappings"))
        if [set(_mapping(_mapping(one).get("options"))) for one in mappings] == [{"0", "1"}]:
            words = _mapping(mappings[0]["options"])
            if [_mapping(words[one]).get("text") for one in "01"] == ["down", "up"]:
                read.add("fieldConfig.defaults.mappings")
                return "up"
        theirs = str(defaults.get("unit") or "none")
        if theirs not in OUR_UNITS:
            self.lose(f"{where}: the unit {theirs}")
            return ""
        ours = OUR_UNITS[theirs]
        if theirs != UNITS[ours]:
            self.lose(f"{where}: the unit {theirs} is written as {ours or 'a plain number'}")
        return ours

    def _thresholds(self, where: str, given: Json, own: Json) -> Thresholds:
        if own.get("thresholds") in NAMES:
            return Thresholds(profile=str(own["thresholds"]))
        steps = []
        for one in map(_mapping, _list(given.get("steps"))):
            tone, is_meant = tone_of_colour(one.get("color", ""))
            if not is_meant:
                self.lose(f"{where}: the colour {one.get('color')} of a threshold is taken for {tone}")
            steps.append(Step(tone, _number(one.get("value"))))
        if len(steps) == 1 and steps[0].from_value is None:
            return Thresholds()  # Grafana's way to have none
        return Thresholds(steps=tuple(steps), is_percentage=given.get("mode") == "percentage")

    def _calculation(self, where: str, options: Json, own: Json) -> str:
        calcs = _list(_mapping(options.get("reduceOptions")).get("calcs"))
        theirs = str(calcs[0]) if calcs else str(own.get("calculation") or "last")
        if theirs not in OUR_CALCULATIONS and theirs != own.get("calculation"):
            self.lose(f"{where}: the calculation {theirs}; the last value is shown")
        return OUR_CALCULATIONS.get(theirs, theirs if theirs in OUR_CALCULATIONS.values() else "last")

    def _queries(self, where: str, panel: Json, own: Json) -> list[PanelQuery]:
        if own.get("source") and not own.get("queries"):
            return []
        found = []
        for place, one in enumerate(map(_mapping, _list(panel.get("targets")))):
            ref = str(one.get("refId") or chr(65 + place % 26))[:20]
            if not isinstance(one.get("expr"), str):
                self.lose(f"{where}: query {ref} is no PromQL")
                continue
            source = _mapping(one.get("datasource")).get("type", "prometheus")
            if source not in ("prometheus", None) and panel.get("type") != "logs":
                self.lose(f"{where}: query {ref} asks a data source of the type {source}")
            legend = str(one.get("legendFormat") or "")
            step = str(one.get("interval") or "")
            if step and not re.fullmatch(r">?(\d+(ms|[smhdwy]))+|\$[\w{}]+", step):
                self.lose(f"{where}: the interval {step} of query {ref}")
            found.append(
                PanelQuery(
                    expr=one["expr"][:20_000],
                    legend="" if legend == "__auto" else legend[:500],
                    ref=ref,
                    is_instant=bool(one.get("instant")) and not one.get("range"),
                    is_hidden=bool(one.get("hide")),
                    step=step.lstrip(">") if re.fullmatch(r">?(\d+(ms|[smhdwy]))+", step) else "",
                    is_limit=ref in _list(own.get("limits")),
                )
            )
            if one.get("intervalFactor") not in (None, 1, 2):
                self.lose(f"{where}: intervalFactor of query {ref}")
        return found[:20]

    def _link(self, where: str, given: list[Any]) -> str:
        addresses = [str(_mapping(one).get("url") or "") for one in given]
        kept = next((one for one in addresses if re.match(r"(https?://|/(?!/))", one) and "${" not in one), "")
        lost = [one or "a link without an address" for one in addresses if one != kept]
        if lost:
            self.lose(f"{where}: links {', '.join(lost[:5])}")
        return kept

    def _repeat(self, where: str, given: Json) -> str:
        name = str(given.get("repeat") or "")
        if name:
            self.lose(f"{where}: it is drawn once for all values of ${name}, not once for each")
        return name if NAME.fullmatch(name) else ""

    def _variables(self, given: list[Any]) -> list[Variable]:
        kinds: dict[str, VariableType] = {
            "query": "query", "custom": "custom", "textbox": "text", "constant": "constant", "interval": "interval",
        }  # fmt: skip
        found: list[Variable] = []
        for one in map(_mapping, given):
            name, kind = str(one.get("name") or ""), str(one.get("type") or "")
            if kind == "datasource":
                if one.get("query") != "prometheus":
                    self.lose(f"variable {name}: data sources of the type {one.get('query')}")
                elif name != SOURCE_VARIABLE:
                    found.append(Variable(name, "source", str(one.get("label") or ""), "prometheus"))
                continue
            if kind not in kinds or not NAME.fullmatch(name):
                self.lose(f"variable {name}: its type {kind} is not kept")
                continue
            found.append(self._variable(one, name, kinds[kind]))
        return found

    def _variable(self, given: Json, name: str, kind: VariableType) -> Variable:
        query = given.get("query")
        text = str(query.get("query", "")) if isinstance(query, dict) else str(query or "")
        if kind == "interval" and given.get("auto"):
            self.lose(f"variable {name}: the choice 'auto'")
        for key in ("allowCustomValue", "useTags"):
            if given.get(key):
                self.lose(f"variable {name}: {key}")
        return Variable(
            name=name,
            type=kind,
            label=str(given.get("label") or "")[:200],
            query=text[:5000],
            default=_default(_mapping(given.get("current")).get("value"), kind),
            regex=str(given.get("regex") or "")[:1000],
            is_multi=bool(given.get("multi")),
            has_all=bool(given.get("includeAll")),
            all_value=str(given.get("allValue") or "")[:1000],
            is_hidden=given.get("hide") == 2,
            description=str(given.get("description") or "")[:2000],
        )

    def _annotations(self, given: list[Any]) -> list[Annotation]:
        found = []
        for one in map(_mapping, given):
            name = str(one.get("name") or "annotation")[:200]
            if one.get("builtIn"):
                continue
            expr = one.get("expr") or _mapping(one.get("target")).get("expr")
            if not isinstance(expr, str):
                self.lose(f"annotation '{name}': it is no PromQL")
                continue
            tone, is_meant = tone_of_colour(one.get("iconColor", ""))
            if not is_meant:
                self.lose(f"annotation '{name}': the colour {one.get('iconColor')}")
            found.append(
                Annotation(
                    name=name,
                    expr=expr[:20_000],
                    title=str(one.get("titleFormat") or "")[:500],
                    step=str(one.get("step") or "")[:20],
                    tone=tone,
                    is_on=bool(one.get("enable", True)),
                )
            )
            self.lost += [f"annotation '{name}': {key}" for key in ("textFormat", "tagKeys", "filter") if one.get(key)]
        return found

    def _links(self, given: list[Any]) -> list[tuple[str, str]]:
        found = []
        for one in map(_mapping, given):
            title, address = str(one.get("title") or "")[:200], str(one.get("url") or "")
            if one.get("type") == "link" and re.match(r"(https?://|/(?!/))", address):
                found.append((title, address[:2000]))
            else:
                self.lose(f"link '{title}': lists of dashboards and addresses of other kinds are not kept")
        return found[:50]


def _id(document: Json, title: str) -> str:
    for text in (str(document.get("uid") or ""), title):
        plain = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")[:79]
        if plain:
            return plain
    return "imported"


def _refresh(given: Any) -> str:
    return given if isinstance(given, str) and re.fullmatch(r"\d+[smhd]", given) else ""


def _default(value: Any, kind: VariableType) -> str:
    values = [str(one) for one in (value if isinstance(value, list) else [value]) if one not in (None, "", "$__all")]
    return ",".join(values)[:2000] if kind != "constant" else ""


def _position(given: Json) -> GridPosition:
    """Moved into the grid where it does not fit."""
    x, y, w, h = (_whole(given.get(key), usual) for key, usual in (("x", 0), ("y", 0), ("w", 12), ("h", 8)))
    width = min(max(w, 1), COLUMNS)
    return GridPosition(min(max(x, 0), COLUMNS - width), min(max(y, 0), 10_000), width, min(max(h, 1), 60))


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _whole(value: Any, otherwise: int) -> int:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else otherwise


def _decimals(value: Any) -> int | None:
    return min(max(value, 0), 10) if type(value) is int else None
