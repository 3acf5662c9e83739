"""One token of lookahead over the lexer, errors at tokens, and the bound on nesting."""

from __future__ import annotations

from tocsin.query.nesting import Bounded
from tocsin.query.promql.errors import ParseError, Position
from tocsin.query.promql.lexer import END, Lexer, Token

MAX_DEPTH = 100  # evaluation takes some five Python frames a level, of 1,000


class TokenReader(Bounded):
    """`token` is the one that comes next, `last` the one taken before it."""

    def __init__(self, text: str, max_depth: int) -> None:
        super().__init__(max_depth)
        self.text = text
        self._lexer = Lexer(text)
        self.last: Token = Token(END, "", 0)
        self.token: Token = self._lexer.next()

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

    def _too_deep(self, position: Position) -> ParseError:
        return self.error(f"expression nests deeper than {self._max_depth} levels", position)
