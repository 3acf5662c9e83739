"""One token of lookahead, errors at tokens, and the bound on nesting."""

from __future__ import annotations

from tocsin.query.logql.errors import ParseError, Position
from tocsin.query.logql.lexer import Token, tokens
from tocsin.query.nesting import Bounded
from tocsin.query.promql.literals import unquote

MAX_DEPTH = 100


class TokenReader(Bounded):
    """`token` is the one that comes next, `last` the one taken before it."""

    leaf_height = 0

    def __init__(self, text: str, max_depth: int = MAX_DEPTH) -> None:
        super().__init__(max_depth)
        self.text = text
        self._tokens = tokens(text)
        self._at = 0
        self.last: Token = self._tokens[-1]

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

    def _too_deep(self, position: Position) -> ParseError:
        return self.error(f"the query nests more than {self._max_depth} levels", position, "split it")
