"""The bound on how deep a query may nest, for the parsers of query languages."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Node = TypeVar("Node")


class Bounded:
    """Refuses what could exhaust the stack of whoever walks the tree. Beside it a reader has `token` and `last`."""

    token: Any
    last: Any
    leaf_height = 1
    """Of a node that was not measured."""

    def __init__(self, max_depth: int) -> None:
        self._max_depth = max_depth
        self._depth = 0
        self._heights: dict[int, tuple[object, int]] = {}

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """One level of nesting in the text."""
        self._depth += 1
        if self._depth > self._max_depth:
            raise self._too_deep(self.token.position)
        yield
        self._depth -= 1

    def measured(self, made: Node, *below: object) -> Node:
        """`made`, once its height is in bounds: a long chain of operators is as deep as parentheses."""
        height = 1 + max((self._heights.get(id(one), (None, self.leaf_height))[1] for one in below), default=0)
        if height > self._max_depth:
            raise self._too_deep(self.last.position)
        self._heights[id(made)] = made, height  # holds the node, so that its id is not used again
        return made

    @abstractmethod
    def _too_deep(self, position: Any) -> Exception:
        """The error of the language for a query that nests too deep."""
