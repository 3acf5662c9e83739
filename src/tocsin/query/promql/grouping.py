"""Series sorted into groups, and walked so that the k-th member of every group is taken at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tocsin.query.promql.matchers import NAME
from tocsin.query.promql.matrix import Mask, Matrix, key
from tocsin.query.promql.source import Labels

Rows = NDArray[np.int64]


@dataclass(slots=True)
class Groups:
    """labels of each group and the rows of its members, in order of appearance."""

    labels: list[Labels]
    members: list[list[int]]
    drops_name: Mask

    def ranks(self) -> Iterator[tuple[Rows, Rows]]:
        """For k = 0, 1, …: the groups with more than k members, and the row of the k-th member of each."""
        order = sorted(range(len(self.members)), key=lambda group: -len(self.members[group]))
        sizes = [len(self.members[group]) for group in order]
        active = len(order)
        for k in range(sizes[0] if sizes else 0):
            while sizes[active - 1] <= k:
                active -= 1
            groups = np.array(order[:active], dtype=np.int64)
            yield groups, np.array([self.members[group][k] for group in order[:active]], dtype=np.int64)


def group_labels(labels: Labels, grouping: tuple[str, ...], *, without: bool) -> Labels:
    """What remains of a series' labels in its group."""
    if without:
        return {name: value for name, value in labels.items() if name not in grouping and name != NAME}
    return {name: labels[name] for name in grouping if labels.get(name)}


def grouped(matrix: Matrix, grouping: tuple[str, ...], *, without: bool) -> Groups:
    """The series by what `by` or `without` leave of their labels."""
    places: dict[tuple[tuple[str, str], ...], int] = {}
    made = Groups([], [], np.zeros(0, dtype=bool))
    drops: list[bool] = []
    for row, labels in enumerate(matrix.labels):
        kept = group_labels(labels, grouping, without=without)
        place = places.setdefault(key(kept), len(made.labels))
        if place == len(made.labels):
            made.labels.append(kept)
            made.members.append([])
            drops.append(False)
        made.members[place].append(row)
        drops[place] |= bool(matrix.drops[row])
    made.drops_name = np.array(drops, dtype=bool)
    return made
