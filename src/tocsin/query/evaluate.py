"""PromQL for people: a query over a window or at its end, its error with the place where it is, and what it took."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tocsin.model.window import Window
from tocsin.query.metric_reader import Labels
from tocsin.query.promql.engine import Point, Result, ResultSeries, instant, range_query
from tocsin.query.promql.errors import ParseError, PromQLError
from tocsin.query.promql.expressions import Expression, selectors
from tocsin.query.promql.histogram import NativeHistogram
from tocsin.query.promql.literals import quote
from tocsin.query.promql.parser import parse
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.promql.source import NAME, Grid, Source
from tocsin.query.series import TooManySeriesError

# Finer than a screen's points is wasted; finer than a second is finer than anything is sent.
STEPS_MS = tuple(
    seconds * 1000
    for seconds in (
        1,
        2,
        5,
        10,
        15,
        20,
        30,
        60,
        120,
        300,
        600,
        900,
        1200,
        1800,
        3600,
        7200,
        14_400,
        21_600,
        43_200,
        86_400,
    )
)
SHORTEST_STEP_MS = 15_000
_PLACE = re.compile(r"\((\d+):(\d+)\)$")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Place:
    """A part of the query's text, in characters: start included, end not."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Note:
    """A warning, an info or an error about a query, and where in its text."""

    text: str
    kind: str  # error, warning or info
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What became of a query. `result` is None when it failed; the notes then hold the error."""

    text: str
    grid: Grid
    result: Result | None
    notes: tuple[Note, ...]

    @property
    def error(self) -> Note | None:
        return next((note for note in self.notes if note.kind == "error"), None)

    @property
    def is_over_time(self) -> bool:
        """Whether it has a value at every instant of its grid, rather than samples or a text at one time."""
        return self.result is not None and self.result.type in ("matrix", "scalar") and len(self.grid) > 1

    @property
    def series(self) -> list[ResultSeries]:
        """A scalar is one series without labels; a failed query and a string have none."""
        if self.result is None:
            return []
        if isinstance(self.result.data, Point):
            point = self.result.data
            value = point.value if isinstance(point.value, float) else float("nan")
            return [ResultSeries({}, np.array([point.time_ms]), np.array([value]))]
        return self.result.data if isinstance(self.result.data, list) else []


def step_ms(window: Window, points: int = 240, least_ms: int = SHORTEST_STEP_MS) -> int:
    """A round step that cuts the window into at most about `points` parts."""
    wanted = max(window.seconds * 1000 / points, least_ms)
    return next((step for step in STEPS_MS if step >= wanted), STEPS_MS[-1])


def grid_of(window: Window, step: int) -> Grid:
    """The multiples of the step within the window, so that a live chart does not tremble."""
    start_ms, end_ms = window.start_ns // 1_000_000, window.end_ns // 1_000_000
    first = -(-start_ms // step) * step
    return Grid(first, max(first, end_ms // step * step), step)


def over(reader: Source, text: str, grid: Grid, settings: QuerySettings) -> Evaluated:
    """The query at every instant of the grid; a range vector or a string, which have no such, at its end."""
    kind = _kind(text, settings)
    if kind in ("matrix", "string"):
        return at(reader, text, grid.end_ms, settings)
    return _evaluated(text, grid, lambda: range_query(reader, text, grid.start_ms, grid.end_ms, grid.step_ms, settings))


def at(reader: Source, text: str, time_ms: int, settings: QuerySettings) -> Evaluated:
    """The query at one time."""
    return _evaluated(text, Grid(time_ms, time_ms, 1), lambda: instant(reader, text, time_ms, settings))


def _kind(text: str, settings: QuerySettings) -> str:
    try:
        return parse(text, settings.max_depth).type
    except PromQLError:
        return ""  # told by whoever evaluates


def _evaluated(text: str, grid: Grid, evaluate: Callable[[], Result]) -> Evaluated:
    try:
        result = evaluate()
    except ParseError as error:
        place = Place(error.position.start, max(error.position.end, error.position.start + 1))
        return Evaluated(text, grid, None, (Note(error.reason, "error", place),))
    except (PromQLError, TooManySeriesError) as error:
        return Evaluated(text, grid, None, (Note(str(error), "error"),))
    notes = [_note(text, one, "warning") for one in result.warnings]
    notes += [_note(text, one, "info") for one in result.infos]
    return Evaluated(text, grid, result, tuple(notes))


def _note(text: str, said: str, kind: str) -> Note:
    """Told without its prefix; its place, which is told as line:column, as characters."""
    plain = said.removeprefix("PromQL warning: ").removeprefix("PromQL info: ")
    found = _PLACE.search(plain)
    if not found:
        return Note(plain, kind)
    line, column = int(found[1]), int(found[2])
    lines = text.split("\n")
    if line > len(lines):
        return Note(plain, kind)
    before = lines[line - 1].encode("utf-8", "surrogatepass")[: column - 1].decode("utf-8", "ignore")
    start = sum(len(one) + 1 for one in lines[: line - 1]) + len(before)
    return Note(plain[: found.start()].rstrip(), kind, Place(start, min(start + 1, len(text))))


def aligned(series: ResultSeries, grid: Grid) -> list[float | None]:
    """The values at every instant of the grid; None where there is none, or a native histogram, or no finite number."""
    values: list[float | None] = [None] * len(grid)
    is_float = np.isfinite(series.values)
    if series.histograms is not None:
        is_float &= np.array([not isinstance(one, NativeHistogram) for one in series.histograms], dtype=np.bool_)
    places = (series.times[is_float] - grid.start_ms) // grid.step_ms
    for place, value in zip(places.tolist(), series.values[is_float].tolist(), strict=True):
        if 0 <= place < len(values):
            values[place] = value
    return values


def parsed(text: str) -> Expression | None:
    """None for what is no query."""
    try:
        return parse(text)
    except PromQLError:
        return None


def metric_names(text: str) -> list[str]:
    """The metrics a query names, in order."""
    expression = parsed(text)
    found = [] if expression is None else selectors(expression)
    return list(dict.fromkeys(one.name for one in found if one.name))


def shared_and_own(labels: Sequence[Labels]) -> tuple[Labels, list[Labels]]:
    """What all series have in common, and what tells each from the others."""
    if not labels:
        return {}, []
    if len(labels) == 1:
        return dict(labels[0]), [{}]
    first = labels[0]
    shared = {name: value for name, value in first.items() if all(one.get(name) == value for one in labels)}
    return shared, [{name: value for name, value in one.items() if name not in shared} for one in labels]


def series_text(labels: Labels) -> str:
    """As PromQL writes it: up{job="shop"}."""
    inside = ", ".join(f"{name}={quote(value)}" for name, value in sorted(labels.items()) if name != NAME)
    name = labels.get(NAME, "")
    return name + (f"{{{inside}}}" if inside else "") if name or inside else ""


def short_text(labels: Labels) -> str:
    """The labels that tell a series from its neighbours: one alone needs no name."""
    if len(labels) == 1:
        return next(iter(labels.values())) or "none"
    return ", ".join(f"{name} {value}" if name != NAME else value for name, value in sorted(labels.items()))
