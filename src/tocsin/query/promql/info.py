"""info(): the labels of info metrics, such as target_info, joined to the series they describe."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from tocsin.query.promql.calls import Function, FunctionCall
from tocsin.query.promql.errors import EvaluationError
from tocsin.query.promql.expressions import VectorSelector, selectors, unwrapped
from tocsin.query.promql.labels_text import labels_text
from tocsin.query.promql.matchers import NAME, Matcher
from tocsin.query.promql.matrix import Matrix, merged, stacked
from tocsin.query.promql.selection import Selector, instant_vector
from tocsin.query.promql.source import Labels, Values

IDENTIFYING = ("instance", "job")
_DEFAULT = Matcher(NAME, "=", "target_info")


def _info(call: FunctionCall) -> Matrix:
    base = call.vector(0)
    names, wanted = _matchers(call)
    found, times = _info_series(call, base, names, wanted)
    parts = []
    for row, labels in enumerate(base.labels):
        if all(matcher.matches(labels.get(NAME, "")) for matcher in names):
            parts.append(base.rows([row]))  # an info metric itself
        else:
            parts += _enriched(base, row, found, times, wanted)
    made = stacked(parts, len(call.grid))
    return merged(Matrix(made.labels, made.values.copy(), made.present.copy(), made.histograms, made.drops_name))


def _matchers(call: FunctionCall) -> tuple[list[Matcher], list[Matcher]]:
    """Those for the name of the info metric, and those for its labels."""
    if len(call) < 2:
        return [_DEFAULT], []
    node = unwrapped(call.argument(1))
    assert isinstance(node, VectorSelector)
    names = [matcher for matcher in node.matchers if matcher.name == NAME]
    if names and all(matcher.operator in ("!=", "!~") for matcher in names):
        names.append(Matcher(NAME, "=~", ".+_info"))  # what a name is not does not say that it is of an info metric
    return names or [_DEFAULT], [matcher for matcher in node.matchers if matcher.name != NAME]


def _info_series(
    call: FunctionCall, base: Matrix, names: Sequence[Matcher], wanted: Sequence[Matcher]
) -> tuple[Matrix, Values]:
    """The info series that could describe a base series, and the times of their samples."""
    matchers = [*names, *wanted]
    selector = Selector(tuple(matchers), 0, call.position(0), function="info")
    times = call.grid.times
    for described in selectors(call.argument(0))[:1]:  # info series are as old as the series they describe
        times = call.evaluator.reference_times(described.modifiers, call.grid)
    found = instant_vector(call.query, selector, times)
    if found.is_histogram.any():
        raise EvaluationError("this should be an info metric, with float samples: it has histograms")
    at = instant_vector(call.query, selector, times, timestamps=True)
    keys = {_identity(labels) for labels in base.labels}
    rows = [row for row, labels in enumerate(found.labels) if _identity(labels) in keys]
    return found.rows(rows), at.values[rows]


def _identity(labels: Labels) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in IDENTIFYING)


def _enriched(base: Matrix, row: int, found: Matrix, times: Values, wanted: Sequence[Matcher]) -> list[Matrix]:
    """A base series, once for every choice of info series that describe it over time."""
    mine = _identity(base.labels[row])
    candidates = [at for at, labels in enumerate(found.labels) if any(mine) and _identity(labels) == mine]
    chosen = [_latest(found, times, rows, base.present[row]) for rows in _by_name(found, candidates)]
    parts = []
    for choice in product(*(sorted(set(steps.tolist())) for steps in chosen)):
        here = base.present[row].copy()
        for steps, at in zip(chosen, choice, strict=True):
            here &= steps == at
        if not here.any():
            continue
        described = [found.labels[at] for at in choice if at >= 0]
        added = _data_labels(base.labels[row], described, wanted)
        if not described and not all(matcher.matches("") for matcher in wanted):
            continue
        part = base.rows([row])
        part.labels = [{**base.labels[row], **added}]
        part.present = here.reshape(1, -1)
        parts.append(part)
    return parts


def _by_name(found: Matrix, rows: Sequence[int]) -> list[list[int]]:
    names: dict[str, list[int]] = {}
    for row in rows:
        names.setdefault(found.labels[row].get(NAME, ""), []).append(row)
    return list(names.values())


def _latest(found: Matrix, times: Values, rows: list[int], needed: np.ndarray) -> np.ndarray:
    """For each step the row with the newest sample, -1 where there is none."""
    at = np.where(found.present[rows], times[rows], -np.inf)
    newest = at.max(axis=0)
    ties = ((at == newest) & np.isfinite(newest)).sum(axis=0) > 1
    if (ties & needed).any():
        step = int(np.flatnonzero(ties & needed)[0])
        first, second = [row for row, time in zip(rows, at[:, step], strict=True) if time == newest[step]][:2]
        when = int(newest[step] * 1000)
        raise EvaluationError(
            f"found duplicate series for info metric: existing {labels_text(found.labels[first])} @ {when}, "
            f"new {labels_text(found.labels[second])} @ {when}"
        )
    return np.where(np.isfinite(newest), np.array(rows)[at.argmax(axis=0)], -1)


def _data_labels(base: Labels, described: Sequence[Labels], wanted: Sequence[Matcher]) -> Labels:
    names = {matcher.name for matcher in wanted}
    added: Labels = {}
    for labels in described:
        for name, value in labels.items():
            if name == NAME or name in base or (names and name not in names):
                continue
            if added.get(name, value) != value:
                raise EvaluationError(f"conflicting label: {name}")
            added[name] = value
    return added


FUNCTIONS: dict[str, Function] = {"info": _info}
