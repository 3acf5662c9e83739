"""One token of lookahead over the lexer, errors at tokens, and the bound on nesting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from tocsin.query.promql.errors import ParseError, Position
from tocsin.query.promql.lexer import END, Lexer, Token

MAX_DEPTH = 100  # evaluation takes some five Python frames a level, of 1,000

Node = TypeVar("Node")


class TokenReader:
    """`token` is the one that comes next, `last` the one taken before it."""

    def __init__(self, text: str, max_depth: int) -> None:
        self.text = text
        self._lexer = Lexer(text)
        self._max_depth = max_depth
        self._depth = 0
        self._heights: dict[int, tuple[object, int]] = {}
        self.last = Token(END, "", 0)
        self.token = self._lexer.next()

    def take(self) -> Token:
        self.last = self.token
        self.token = self._lexer.next()
        return self.last

    def accept(self, kind: str) -> Token | None:
        return self.take() if self.token.kind == kind else None

    def expect(self, kind: str) -> Token:
        if self.token.kind != kind:
            raise self.unexpected()
        return self.take()

    def error(self, reason: str, position: Position) -> ParseError:
        return ParseError(reason, position, self.text)

    def unexpected(self, context: str = "", expected: str = "") -> ParseError:
        reason = f"unexpected {self.token.described()}"
        reason += f" in {context}" if context else ""
        reason += f", expected {expected}" if expected else ""
        return self.error(reason, self.token.position)

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """One level of nesting; refuses what could exhaust the stack of whoever walks the tree."""
        self._depth += 1
        if self._depth > self._max_depth:
            raise self._too_deep(self.token.position)
        yield
        self._depth -= 1

    def measured(self, made: Node, *below: object) -> Node:
        """`made`, once its height is known to be in bounds: a long chain of operators is as deep as parentheses."""
        height = 1 + max((self._heights.get(id(node), (None, 1))[1] for node in below), default=0)
        if height > self._max_depth:
            raise self._too_deep(self.last.position)
        self._heights[id(made)] = (made, height)  # holds the node, so that its id is not used again
        return made

    def _too_deep(self, position: Position) -> ParseError:
        return self.error(f"expression nests deeper than {self._max_depth} levels", position)
