"""What a function of PromQL gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tocsin.query.promql.errors import Position
from tocsin.query.promql.expressions import Call, Expression, MatrixSelector, Modifiers, StringLiteral, unwrapped
from tocsin.query.promql.extended_rates import check_use
from tocsin.query.promql.matchers import NAME
from tocsin.query.promql.matrix import Matrix
from tocsin.query.promql.query import Query
from tocsin.query.promql.source import Grid, Labels, Values
from tocsin.query.promql.windows import Windows

if TYPE_CHECKING:
    from tocsin.query.promql.evaluator import Evaluator


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A call on a grid; arguments are evaluated when they are asked for."""

    evaluator: Evaluator
    node: Call
    grid: Grid

    @property
    def query(self) -> Query:
        return self.evaluator.query

    @property
    def name(self) -> str:
        return self.node.function.name

    def __len__(self) -> int:
        return len(self.node.arguments)

    def argument(self, index: int) -> Expression:
        return self.node.arguments[index]

    def position(self, index: int) -> Position:
        return self.node.arguments[index].position

    def vector(self, index: int) -> Matrix:
        return self.evaluator.evaluate(self.node.arguments[index], self.grid)

    def scalar(self, index: int) -> Values:
        """The value at each step."""
        values: Values = self.vector(index).values[0]
        return values

    def string(self, index: int) -> str:
        literal = unwrapped(self.node.arguments[index])
        assert isinstance(literal, StringLiteral)
        return literal.value

    def windows(self, index: int) -> Iterator[Windows]:
        """The windows of a range vector, some series at a time."""
        node = unwrapped(self.node.arguments[index])
        if isinstance(node, MatrixSelector):
            check_use(node.selector.extension, self.name)
        return self.evaluator.windows(self.node.arguments[index], self.grid)

    def on_first_step(self) -> FunctionCall:
        return replace(self, grid=Grid(self.grid.start_ms, self.grid.start_ms, self.grid.step_ms))

    def is_pinned(self, index: int) -> bool:
        """Whether a range vector is the same at every step."""
        node = unwrapped(self.node.arguments[index])
        modifiers: Modifiers = getattr(getattr(node, "selector", node), "modifiers")  # noqa: B009 - of two node types
        return modifiers.is_pinned and len(self.grid) > 1


Function = Callable[[FunctionCall], Matrix]


def name_of(labels: Labels) -> str:
    return labels.get(NAME, "")


def spread(matrix: Matrix, steps: int) -> Matrix:
    """One step, repeated."""
    return Matrix(
        matrix.labels,
        np.repeat(matrix.values, steps, axis=1),
        np.repeat(matrix.present, steps, axis=1),
        None if matrix.histograms is None else np.repeat(matrix.histograms, steps, axis=1),
        matrix.drops_name,
    )
