"""Query text in, tokens out."""

from __future__ import annotations

import re
from typing import NamedTuple

from tocsin.query.logql.errors import ParseError, Position
from tocsin.query.promql.literals import quote

END = "end of query"
LONGEST = 65_536

_SPACE = re.compile(r"(?:[ \t\r\n]+|#[^\r\n]*)*")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?::[A-Za-z0-9_:]+)?")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|μs|ms|[smhdwy]))+(?![A-Za-z0-9_])")
_BYTES = re.compile(r"\d+(?:\.\d+)?(?:[kKmMgGtTpPeE][iI]?)?[bB](?![A-Za-z0-9_])")
_NUMBER = re.compile(
    r"(?:0[xX][0-9a-fA-F]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![A-Za-z0-9_.])|(?:Inf|NaN)(?![A-Za-z0-9_])"
)
_FLAG = re.compile(r"--[a-z]+(?:-[a-z]+)*")
_STRING = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"|`[^`]*`')
_ESCAPE = re.compile(
    r"""\\(?:[abfnrtv\\'"]|x[0-9a-fA-F]{2}|u(?![dD][89a-fA-F])[0-9a-fA-F]{4}|U000[0-9a-fA-F]{5}|U0010[0-9a-fA-F]{4}|[0-3][0-7]{2})"""
)
_SYMBOLS = (
    "|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=",
    "|", "{", "}", "(", ")", "[", "]", ",", "=", ">", "<", "+", "-", "*", "/", "%", "^", ".",
)  # fmt: skip


class Token(NamedTuple):
    """kind: `identifier`, `number`, `duration`, `bytes`, `string`, `flag`, END, or the symbol itself."""

    kind: str
    text: str
    start: int

    @property
    def position(self) -> Position:
        return Position(self.start, self.start + len(self.text))

    def described(self) -> str:
        if self.kind == END:
            return END
        shown = self.text if len(self.text) <= 40 else self.text[:40] + "…"
        if self.kind == "string":
            return f"string {shown}"
        return f"{self.kind} {quote(shown)}" if self.kind[0].isalpha() else quote(shown)


def tokens(text: str) -> list[Token]:
    """All tokens and the end. Raises ParseError."""
    if len(text) > LONGEST:
        raise ParseError(
            f"the query has {len(text)} characters", Position(0, 1), "", f"at most {LONGEST} are read; shorten it"
        )
    found: list[Token] = []
    at = 0
    while True:
        space = _SPACE.match(text, at)
        assert space is not None
        at = space.end()
        if at >= len(text):
            return [*found, Token(END, "", len(text))]
        token = _token(text, at)
        found.append(token)
        at += len(token.text)


def _token(text: str, at: int) -> Token:
    character = text[at]
    if character in "\"`'":
        return _string(text, at)
    if character.isascii() and (
        character.isdecimal() or (text[at : at + 2].startswith(".") and _NUMBER.match(text, at))
    ):
        return _number(text, at)
    number = _NUMBER.match(text, at)
    if number is not None:  # Inf and NaN
        return Token("number", number.group(), at)
    for pattern, kind in ((_WORD, "identifier"), (_FLAG, "flag")):
        found = pattern.match(text, at)
        if found is not None:
            return Token(kind, found.group(), at)
    for symbol in _SYMBOLS:
        if text.startswith(symbol, at):
            return Token(symbol, symbol, at)
    hint = "Grafana fills $__interval and its kin in; here write 5m" if character == "$" else ""
    raise ParseError(f"unexpected character {quote(character)}", Position(at, at + 1), text, hint)


def _number(text: str, at: int) -> Token:
    for pattern, kind in ((_NUMBER, "number"), (_DURATION, "duration"), (_BYTES, "bytes")):
        found = pattern.match(text, at)
        if found is not None:
            return Token(kind, found.group(), at)
    bad = re.compile(r"[0-9A-Za-z_.µμ]+").match(text, at)
    assert bad is not None
    hint = "durations are written 1h30m, 5m, 250ms, sizes 20MB, 5KiB"
    raise ParseError(
        f"cannot read {quote(bad.group()[:40])} as a number", Position(at, at + len(bad.group())), text, hint
    )


def _string(text: str, at: int) -> Token:
    if text[at] == "'":
        hint = 'write strings as "text" or `text`'
        raise ParseError("unexpected single quote", Position(at, at + 1), text, hint)
    found = _STRING.match(text, at)
    if found is None:
        raise ParseError("the string is not closed", Position(at, len(text)), text)
    token = Token("string", found.group(), at)
    if token.text[0] == '"' and "\\" in token.text:
        _check_escapes(text, token)
    return token


def _check_escapes(text: str, token: Token) -> None:
    at = token.text.find("\\")
    while at >= 0:
        escape = _ESCAPE.match(token.text, at)
        if escape is None:
            place = token.start + at
            hint = f"in a regular expression use backticks: `{token.text[1:-1]}`"
            raise ParseError(
                f"invalid escape {quote(token.text[at : at + 2])} in a string", Position(place, place + 2), text, hint
            )
        at = token.text.find("\\", escape.end())
