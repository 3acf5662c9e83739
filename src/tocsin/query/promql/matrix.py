"""The value between two nodes of a query: series × instants, and which of them are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tocsin.query.promql.errors import EvaluationError
from tocsin.query.promql.matchers import NAME
from tocsin.query.promql.source import Labels, Values

Mask = NDArray[np.bool_]
Objects = NDArray[np.object_]
SAME_LABELS = "vector cannot contain metrics with the same labelset"


@dataclass(slots=True)
class Matrix:
    """values and present: (n series, n steps); NaN is a value, absent is not.

    histograms, where there are any, holds a native histogram where the sample is one and None where it is a float.
    drops_name: per series, whether its metric name goes at the end of the query (delayed name removal).
    """

    labels: list[Labels]
    values: Values
    present: Mask
    histograms: Objects | None = None
    drops_name: Mask | None = None

    @property
    def is_histogram(self) -> Mask:
        if self.histograms is None:
            return np.zeros_like(self.present)
        held: Mask = np.array(self.histograms != None, dtype=np.bool_)  # noqa: E711 - element by element
        return held & self.present

    @property
    def is_float(self) -> Mask:
        return self.present if self.histograms is None else self.present & ~self.is_histogram

    @property
    def drops(self) -> Mask:
        return np.zeros(len(self.labels), dtype=bool) if self.drops_name is None else self.drops_name

    def rows(self, index: Sequence[int] | NDArray[np.intp]) -> Matrix:
        """These series only, in this order."""
        at = np.asarray(index, dtype=np.intp)
        return Matrix(
            [self.labels[row] for row in at],
            self.values[at],
            self.present[at],
            None if self.histograms is None else self.histograms[at],
            None if self.drops_name is None else self.drops_name[at],
        )

    def with_floats(self, values: Values, present: Mask | None = None) -> Matrix:
        """The same series with other values; histograms are left out."""
        return Matrix(self.labels, values, self.is_float if present is None else present, None, self.drops_name)


def empty(steps: int) -> Matrix:
    return Matrix([], np.zeros((0, steps)), np.zeros((0, steps), dtype=bool))


def single(values: Values, labels: Labels | None = None) -> Matrix:
    """One series that is there at every step: a scalar, or vector()."""
    row = np.asarray(values, dtype=np.float64).reshape(1, -1)
    return Matrix([labels or {}], row, np.ones(row.shape, dtype=bool))


def key(labels: Labels) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


METADATA = frozenset((NAME, "__type__", "__unit__"))


def without_name(labels: Labels) -> Labels:
    """Without what says of which metric these labels are: a result of arithmetic is of none."""
    return {name: value for name, value in labels.items() if name not in METADATA}


def stacked(parts: Iterable[Matrix], steps: int) -> Matrix:
    """All series of the parts, one part after the other."""
    found = [part for part in parts if part.labels]
    if not found:
        return empty(steps)
    if len(found) == 1:
        return found[0]
    histograms = None
    if any(part.histograms is not None for part in found):
        none = [np.full(part.present.shape, None, dtype=object) for part in found]
        histograms = np.concatenate(
            [blank if part.histograms is None else part.histograms for part, blank in zip(found, none, strict=True)]
        )
    return Matrix(
        [labels for part in found for labels in part.labels],
        np.concatenate([part.values for part in found]),
        np.concatenate([part.present for part in found]),
        histograms,
        np.concatenate([part.drops for part in found]),
    )


def arranged(parts: Sequence[Matrix], steps: int) -> Matrix:
    """All series of the parts, each of which is ordered by labels, in this order."""
    whole = stacked(parts, steps)
    if len(parts) < 2:
        return whole
    keys = [key(labels) for labels in whole.labels]
    return whole.rows(sorted(range(len(keys)), key=keys.__getitem__))


def merged(matrix: Matrix, reason: str = SAME_LABELS) -> Matrix:
    """Series of the same labels become one. Raises EvaluationError where two of them are there at the same step."""
    groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for row, labels in enumerate(matrix.labels):
        groups.setdefault(key(labels), []).append(row)
    if len(groups) == len(matrix.labels):
        return matrix
    for rows in groups.values():
        for row in rows[1:]:
            _take_in(matrix, rows[0], row, reason)
    kept = [rows[0] for rows in groups.values()]
    return matrix.rows(kept)


def _take_in(matrix: Matrix, into: int, row: int, reason: str) -> None:
    there = matrix.present[row]
    if (there & matrix.present[into]).any():
        raise EvaluationError(reason)
    matrix.values[into, there] = matrix.values[row, there]
    matrix.present[into] |= there
    if matrix.histograms is not None:
        matrix.histograms[into, there] = matrix.histograms[row, there]


def compacted(matrix: Matrix) -> Matrix:
    """Without the series that are nowhere."""
    there = matrix.present.any(axis=1)
    return matrix if there.all() else matrix.rows(np.flatnonzero(there))


def nameless(matrix: Matrix, *, delayed: bool) -> Matrix:
    """The metric name removed: now, or marked to go at the end."""
    if delayed:
        drops = np.ones(len(matrix.labels), dtype=bool)
        return Matrix(matrix.labels, matrix.values, matrix.present, matrix.histograms, drops)
    labels = [without_name(labels) for labels in matrix.labels]
    made = Matrix(labels, matrix.values, matrix.present, matrix.histograms)
    return merged(made)


def finished(matrix: Matrix) -> Matrix:
    """The names that were marked are gone."""
    if matrix.drops_name is None or not matrix.drops_name.any():
        return matrix
    labels = [
        without_name(labels) if drop else labels for labels, drop in zip(matrix.labels, matrix.drops_name, strict=True)
    ]
    return merged(Matrix(labels, matrix.values.copy(), matrix.present.copy(), matrix.histograms))
