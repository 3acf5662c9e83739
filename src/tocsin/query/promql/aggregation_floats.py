"""Aggregations of floats: one value a group and step, member by member for all groups at once."""

from __future__ import annotations

import numpy as np

from tocsin.query.promql.grouping import Groups
from tocsin.query.promql.matrix import Mask
from tocsin.query.promql.order import quantiles
from tocsin.query.promql.source import Values
from tocsin.query.promql.summation import exact_sum, kahan_add

FEW_STEPS = 4
"""An instant or so, as rules ask: then it is the number of calls that costs, not that of values."""


def _shape(groups: Groups, there: Mask) -> tuple[int, int]:
    return len(groups.labels), there.shape[1]


def counts(there: Mask, groups: Groups) -> Values:
    made = np.zeros(_shape(groups, there))
    for into, rows in groups.ranks():
        made[into] += there[rows]
    return made


def float_sum(values: Values, there: Mask, groups: Groups) -> tuple[Values, Mask]:
    """Compensated, so that the order of the series hardly matters."""
    if there.shape[1] <= FEW_STEPS:
        return _few_sums(values, there, groups)
    total, lost = np.zeros(_shape(groups, there)), np.zeros(_shape(groups, there))
    present = np.zeros(_shape(groups, there), dtype=bool)
    for into, rows in groups.ranks():
        added = there[rows]
        new, new_lost = kahan_add(values[rows], total[into], lost[into])
        total[into] = np.where(added, new, total[into])
        lost[into] = np.where(added, new_lost, lost[into])
        present[into] |= added
    return total + lost, present


def _few_sums(values: Values, there: Mask, groups: Groups) -> tuple[Values, Mask]:
    total = np.zeros(_shape(groups, there))
    present = np.zeros(total.shape, dtype=bool)
    columns = values.T.tolist(), there.T.tolist()
    for step, (column, is_there) in enumerate(zip(*columns, strict=True)):
        for place, members in enumerate(groups.members):
            added = [column[row] for row in members if is_there[row]]
            total[place, step], present[place, step] = exact_sum(added), bool(added)
    return total, present


def float_mean(values: Values, there: Mask, groups: Groups) -> tuple[Values, Mask]:
    """The sum over the count; once the sum would overflow, a mean that is moved by each further value."""
    shape = _shape(groups, there)
    total, lost, count = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    moves = np.zeros(shape, dtype=bool)  # where `total` is the mean so far
    for into, rows in groups.ranks():
        state = _mean_step(values[rows], there[rows], total[into], lost[into], count[into], moves[into])
        total[into], lost[into], count[into], moves[into] = state
    mean = np.where(moves, total + lost, total / count + lost / count)
    return mean, count > 0


def _mean_step(
    added: Values, there: Mask, total: Values, lost: Values, count: Values, moves: Mask
) -> tuple[Values, Values, Values, Mask]:
    number = count + 1
    new, new_lost = kahan_add(added, total, lost)
    new, new_lost = np.where(count == 0, added, new), np.where(count == 0, 0.0, new_lost)
    overflows = there & ~moves & np.isinf(new) & (count > 0)
    safe = np.where(count > 0, count, 1.0)
    mean = np.where(overflows, total / safe, total)
    mean_lost = np.where(overflows, lost / safe, lost)
    moves = moves | overflows
    share = (number - 1) / number
    moved, moved_lost = kahan_add(added / number, share * mean, share * mean_lost)
    return (
        np.where(there, np.where(moves, moved, new), total),
        np.where(there, np.where(moves, moved_lost, new_lost), lost),
        np.where(there, number, count),
        moves,
    )


def extreme(values: Values, there: Mask, groups: Groups, *, largest: bool) -> tuple[Values, Mask]:
    choose = np.fmax if largest else np.fmin  # NaN only where there is nothing else
    best = np.full(_shape(groups, there), np.nan)
    present = np.zeros(best.shape, dtype=bool)
    for into, rows in groups.ranks():
        added = there[rows]
        best[into] = np.where(added, choose(best[into], values[rows]), best[into])
        present[into] |= added
    return best, present


def variance(values: Values, there: Mask, groups: Groups) -> tuple[Values, Mask]:
    """Welford's algorithm."""
    count, mean, squares = (np.zeros(_shape(groups, there)) for _ in range(3))
    for into, rows in groups.ranks():
        added, number = there[rows], count[into] + 1
        delta = values[rows] - mean[into]
        new_mean = mean[into] + delta / number
        squares[into] = np.where(added, squares[into] + delta * (values[rows] - new_mean), squares[into])
        mean[into] = np.where(added, new_mean, mean[into])
        count[into] = np.where(added, number, count[into])
    return squares / count, count > 0


def group_quantile(values: Values, there: Mask, groups: Groups, asked: Values) -> tuple[Values, Mask]:
    made = np.full(_shape(groups, there), np.nan)
    present = np.zeros(made.shape, dtype=bool)
    for group, rows in enumerate(groups.members):
        present[group] = there[rows].any(axis=0)
        made[group] = quantiles(values[rows].T, there[rows].T, asked)
    return made, present
