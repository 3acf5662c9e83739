"""Aggregations that keep series as they are, or count them by value."""

from __future__ import annotations

import math

import numpy as np

from tocsin.query.promql.errors import EvaluationError
from tocsin.query.promql.expressions import Aggregation
from tocsin.query.promql.grouping import Groups, group_labels
from tocsin.query.promql.hashing import hash_ratio
from tocsin.query.promql.literals import format_float, format_number, quote
from tocsin.query.promql.matrix import Mask, Matrix, empty, key
from tocsin.query.promql.native_text import histogram_text
from tocsin.query.promql.query import Query
from tocsin.query.promql.source import Labels, Values


def choose(
    query: Query, node: Aggregation, value: Matrix, groups: Groups, asked: Values, *, is_instant: bool
) -> Matrix:
    """The series of each group that topk, bottomk, limitk or limit_ratio leave at each step."""
    if not value.labels:
        return value
    _check(query, node, asked)
    there = value.present
    if node.operator in ("topk", "bottomk"):
        there = value.is_float
        if (value.present & ~there).any():
            query.inform(f"ignored histogram in {node.operator} aggregation", node.position)
    order = list(range(len(value.labels)))
    if node.operator == "limit_ratio":
        kept = there & _in_ratio(value.labels, np.clip(asked, -1, 1))
    elif node.operator == "limitk":
        kept = np.zeros_like(there)
        for rows in groups.members:
            kept[rows] = there[rows] & (np.cumsum(there[rows], axis=0) <= np.trunc(asked))
    else:
        kept, order = _best(node.operator == "topk", value.values, there, groups, asked)
    made = Matrix(value.labels, value.values, kept, value.histograms, value.drops_name)
    return made.rows(order) if is_instant else made


def _check(query: Query, node: Aggregation, asked: Values) -> None:
    assert node.parameter is not None
    if node.operator == "limit_ratio":
        for ratio in asked:
            if math.isnan(ratio):
                raise EvaluationError("Ratio value is NaN")
            if not -1 <= ratio <= 1:
                capped = 1 if ratio > 1 else -1
                query.warn(
                    f"ratio value should be between -1 and 1, got {format_number(ratio)}, capping to {capped}",
                    node.parameter.position,
                )
        return
    for number in asked:
        if math.isnan(number):
            raise EvaluationError("Parameter value is NaN")
        if not -(2.0**63) <= number < 2.0**63:
            over = "overflows" if number > 0 else "underflows"
            raise EvaluationError(f"Scalar value {format_number(number)} {over} int64")


def _best(largest: bool, values: Values, there: Mask, groups: Groups, asked: Values) -> tuple[Mask, list[int]]:
    """What is kept, and the rows of the first step from best to worst, group by group."""
    kept = np.zeros_like(there)
    order: list[int] = []
    limit = np.trunc(asked)
    for members in groups.members:
        rows = np.array(members)
        mine, mine_there = values[rows], there[rows]
        # Ordered by: there, not NaN, value; stable, so that the first of equals is kept.
        by_value = np.where(np.isnan(mine), np.inf, -mine if largest else mine)
        ranking = np.lexsort((by_value, np.isnan(mine), ~mine_there), axis=0)
        place = np.empty_like(ranking)
        np.put_along_axis(place, ranking, np.arange(len(rows))[:, None], axis=0)
        kept[rows] = mine_there & (place < limit)
        order += rows[ranking[:, 0]].tolist()
    return kept, order


def _in_ratio(labels: list[Labels], ratios: Values) -> Mask:
    offsets = np.array([hash_ratio(one) for one in labels])[:, None]
    return np.where(ratios >= 0, offsets < ratios, offsets >= 1.0 + ratios)


def count_values(node: Aggregation, value: Matrix, label: str) -> Matrix:
    """One series a group and value, with the value as a label."""
    if not label:
        raise EvaluationError(f"invalid label name {quote(label)}")
    steps = value.present.shape[1]
    places: dict[tuple[tuple[str, str], ...], int] = {}
    labels: list[Labels] = []
    counts: list[Values] = []
    texts: dict[float, str] = {}
    for row, step in zip(*np.nonzero(value.present), strict=True):
        histogram = None if value.histograms is None else value.histograms[row, step]
        if histogram is not None:
            text = histogram_text(histogram)
        else:
            number = float(value.values[row, step])
            text = texts.get(number) or texts.setdefault(number, format_float(number))
        kept = group_labels({**value.labels[row], label: text}, node.grouping, without=node.without)
        if not node.without:
            kept[label] = text
        place = places.setdefault(key(kept), len(labels))
        if place == len(labels):
            labels.append(kept)
            counts.append(np.zeros(steps))
        counts[place][step] += 1
    if not labels:
        return empty(steps)
    made = np.array(counts)
    return Matrix(labels, made, made > 0)
