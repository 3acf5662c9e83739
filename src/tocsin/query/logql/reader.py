"""One token of lookahead, errors at tokens, and the bound on nesting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from tocsin.query.logql.errors import ParseError, Position
from tocsin.query.logql.lexer import Token, tokens
from tocsin.query.promql.literals import unquote

MAX_DEPTH = 100

Node = TypeVar("Node")


class TokenReader:
    """`token` is the one that comes next, `last` the one taken before it."""

    def __init__(self, text: str, max_depth: int = MAX_DEPTH) -> None:
        self.text = text
        self._tokens = tokens(text)
        self._at = 0
        self._max_depth = max_depth
        self._depth = 0
        self._heights: dict[int, tuple[object, int]] = {}
        self.last = self._tokens[-1]

    @property
    def token(self) -> Token:
        return self._tokens[self._at]

    def ahead(self, count: int = 1) -> Token:
        return self._tokens[min(self._at + count, len(self._tokens) - 1)]

    def take(self) -> Token:
        self.last = self.token
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return self.last

    def accept(self, kind: str) -> Token | None:
        return self.take() if self.token.kind == kind else None

    def accept_word(self, word: str) -> Token | None:
        return self.take() if self.token.kind == "identifier" and self.token.text == word else None

    def expect(self, kind: str, hint: str = "") -> Token:
        if self.token.kind != kind:
            raise self.unexpected(f'"{kind}"' if not kind[0].isalpha() else f"a {kind}", hint)
        return self.take()

    def string(self) -> str:
        """The value of the string that has to come next."""
        return unquote(self.expect("string", 'write it as "text" or `text`').text)

    def error(self, reason: str, position: Position, hint: str = "") -> ParseError:
        return ParseError(reason, position, self.text, hint)

    def unexpected(self, expected: str = "", hint: str = "") -> ParseError:
        reason = f"unexpected {self.token.described()}"
        reason += f", expected {expected}" if expected else ""
        return self.error(reason, self.token.position, hint)

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """One level of nesting; refuses what could exhaust the stack of whoever walks the tree."""
        self._depth += 1
        if self._depth > self._max_depth:
            raise self._too_deep(self.token.position)
        yield
        self._depth -= 1

    def measured(self, made: Node, *below: object) -> Node:
        """The node, unless the tree below it is too high."""
        height = 1 + max((self._heights.get(id(one), (one, 0))[1] for one in below), default=0)
        if height > self._max_depth:
            raise self._too_deep(self.last.position)
        # The node is kept, so that its id stays its own.
        self._heights[id(made)] = made, height
        return made

    def _too_deep(self, position: Position) -> ParseError:
        return self.error(f"the query nests more than {self._max_depth} levels", position, "split it")
