"""Query text in, tokens out, one at a time: an error behind the place where the grammar fails is never reported."""

from __future__ import annotations

import re
from typing import NamedTuple

from tocsin.query.promql.errors import ParseError, Position
from tocsin.query.promql.literals import quote

AGGREGATORS = frozenset(
    [
        "sum",
        "avg",
        "count",
        "min",
        "max",
        "group",
        "stddev",
        "stdvar",
        "topk",
        "bottomk",
        "count_values",
        "quantile",
        "limitk",
        "limit_ratio",
    ]
)
WORD_OPERATORS = frozenset(("and", "or", "unless", "atan2"))
KEYWORDS = frozenset(
    [
        "offset",
        "smoothed",
        "anchored",
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "fill",
        "fill_left",
        "fill_right",
        "bool",
    ]
)
PREPROCESSORS = frozenset(("start", "end", "step", "range"))
OPERATORS = frozenset(
    [
        "+",
        "-",
        "*",
        "/",
        "%",
        "^",
        "==",
        "!=",
        "<=",
        "<",
        ">=",
        ">",
        "</",
        ">/",
        "=~",
        "!~",
        "@",
        "and",
        "or",
        "unless",
        "atan2",
    ]
)

_WORDS = AGGREGATORS | WORD_OPERATORS | KEYWORDS | PREPROCESSORS
_SPACE = re.compile(r"(?:[ \t\n\r]+|#[^\r\n]*)*")
_WORD = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEX = re.compile(r"0[xX](?:_?[0-9a-fA-F])+(?![A-Za-z0-9_.])")
_NUMBER = re.compile(r"(?:\d(?:_?\d)*(?:\.(?:\d(?:_?\d)*)?)?|\.\d(?:_?\d)*)(?:[eE][+-]?\d(?:_?\d)*)?(?![A-Za-z0-9_.])")
_DURATION = re.compile(r"\d+(?:[smhdwy]s?)(?:\d+[smhdw]s?)*(?![A-Za-z0-9_])")
_BAD_NUMBER = re.compile(r"[0-9A-Za-z_.]+")
_DIGITS = {"x": (2, "0123456789abcdefABCDEF"), "u": (4, "0123456789abcdefABCDEF"), "U": (8, "0123456789abcdefABCDEF")}


END = "end of input"


class Token(NamedTuple):
    """kind: `identifier`, `metric identifier`, `number`, `duration`, `string`, END, or the symbol or word itself."""

    kind: str
    text: str
    start: int

    @property
    def position(self) -> Position:
        return Position(self.start, self.start + len(self.text))

    def described(self) -> str:
        """As Prometheus names it in `unexpected …`."""
        if self.kind == END:
            return "end of input"
        if self.kind in ("identifier", "metric identifier"):
            return f"{self.kind} {quote(self.text)}"
        if self.kind in ("number", "duration", "string"):
            return f"{self.kind} {self._shortened()}"
        if self.kind in KEYWORDS:
            return f"<{self.text}>"
        if self.kind in OPERATORS:
            return f"<op:{self.text}>"
        if self.kind in AGGREGATORS:
            return f"<aggr:{self.text}>"
        return self._shortened()

    def _shortened(self) -> str:
        return f"{quote(self.text[:10])}..." if len(self.text) > 10 else quote(self.text)


class Lexer:
    """Reads one token after the other; a place between braces or brackets decides how words are read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._at = 0
        self._parentheses = 0
        self._in_braces = False
        self._in_brackets = False
        self._seen_colon = False

    def next(self) -> Token:
        """The next token; at the end, END for ever. Raises ParseError."""
        space = _SPACE.match(self.text, self._at)
        assert space is not None
        self._at = space.end()
        if self._at >= len(self.text):
            return self._end()
        if self._in_braces:
            return self._inside_braces()
        return self._statement()

    def fail(self, reason: str, start: int | None = None) -> ParseError:
        start = self._at if start is None else start
        return ParseError(reason, Position(start, len(self.text)), self.text)

    def _end(self) -> Token:
        if self._in_braces:
            raise self.fail("unexpected end of input inside braces")
        if self._in_brackets:
            raise self.fail("unexpected end of input in duration expression")
        if self._parentheses:
            raise self.fail("unclosed left parenthesis")
        return Token(END, "", len(self.text))

    def _take(self, kind: str, length: int) -> Token:
        token = Token(kind, self.text[self._at : self._at + length], self._at)
        self._at += length
        return token

    def _statement(self) -> Token:
        character = self.text[self._at]
        if character in "\"'`":
            return self._string(character)
        if (character.isdecimal() and character.isascii()) or self._is_dot_digit():
            return self._number()
        if character == ":" and self._in_brackets:
            return self._colon()
        word = _WORD.match(self.text, self._at)
        if word is not None:
            return self._word(word.group())
        return self._symbol(character)

    def _is_dot_digit(self) -> bool:
        following = self.text[self._at + 1 : self._at + 2]
        return self.text[self._at] == "." and following.isascii() and following.isdecimal()

    def _colon(self) -> Token:
        if self._seen_colon:
            raise self.fail("unexpected repeated colon in duration expression")
        self._seen_colon = True
        return self._take(":", 1)

    def _number(self) -> Token:
        for pattern, kind in ((_HEX, "number"), (_NUMBER, "number"), (_DURATION, "duration")):
            match = pattern.match(self.text, self._at)
            if match is not None:
                return self._take(kind, len(match.group()))
        bad = _BAD_NUMBER.match(self.text, self._at)
        assert bad is not None
        raise self.fail(f"bad number or duration syntax: {quote(bad.group())}")

    def _word(self, word: str) -> Token:
        lower = word.lower()
        if self._in_brackets:
            if lower in ("step", "range", "min", "max"):
                return self._take(lower, len(word))
            raise self.fail(f"unexpected character in duration expression: {_rune(word[0])}")
        if lower in ("inf", "nan"):
            return self._take("number", len(word))
        if lower.startswith("fill") and lower in KEYWORDS and not self._followed_by_parenthesis(len(word)):
            return self._take("identifier", len(word))
        if lower in _WORDS:
            return self._take(lower, len(word))
        return self._take("metric identifier" if ":" in word else "identifier", len(word))

    def _followed_by_parenthesis(self, length: int) -> bool:
        space = _SPACE.match(self.text, self._at + length)
        return space is not None and self.text[space.end() : space.end() + 1] == "("

    def _symbol(self, character: str) -> Token:
        pair = self.text[self._at : self._at + 2]
        if pair == "=~":
            raise self.fail("unexpected character after '=': '~'")
        if pair in ("==", "!=", "<=", ">=", "</", ">/"):
            return self._take(pair, 2)
        if character == "!":
            raise self.fail(f"unexpected character after '!': {_rune(pair[1:])}")
        if character in "()[]{":
            return self._bracket(character)
        if self._in_brackets and character not in "+-*/%^,":
            raise self.fail(f"unexpected character in duration expression: {_rune(character)}")
        if character in "+-*/%^<>=,@":
            return self._take(character, 1)
        raise self.fail(f"unexpected character: {_rune(character)}")

    def _bracket(self, character: str) -> Token:
        if character == "(":
            self._parentheses += 1
        elif character == ")":
            self._parentheses -= 1
            if self._parentheses < 0:
                raise self.fail("unexpected right parenthesis ')'")
        elif character == "{":
            if self._in_brackets:
                raise self.fail("unexpected character in duration expression: '{'")
            self._in_braces = True
        elif character == "[":
            if self._in_brackets:
                raise self.fail("unexpected character in duration expression: '['")
            self._in_brackets, self._seen_colon = True, False
        else:
            if not self._in_brackets:
                raise self.fail("unexpected right bracket ']'")
            self._in_brackets = False
        return self._take(character, 1)

    def _inside_braces(self) -> Token:
        character = self.text[self._at]
        if character in "\"'`":
            return self._string(character)
        name = _NAME.match(self.text, self._at)
        if name is not None:
            return self._take("identifier", len(name.group()))
        pair = self.text[self._at : self._at + 2]
        if pair in ("=~", "!~", "!="):
            return self._take(pair, 2)
        if character == "!":
            raise self.fail(f"unexpected character after '!' inside braces: {_rune(pair[1:])}")
        if character == "{":
            raise self.fail("unexpected left brace '{'")
        if character == "}":
            self._in_braces = False
        elif character not in ",=":
            raise self.fail(f"unexpected character inside braces: {_rune(character)}")
        return self._take(character, 1)

    def _string(self, mark: str) -> Token:
        at = self._at + 1
        while True:
            character = self.text[at : at + 1]
            if character == mark:
                return self._take("string", at + 1 - self._at)
            if mark == "`":
                if not character:
                    raise self.fail("unterminated raw string")
            elif character in ("", "\n"):
                raise self.fail("unterminated quoted string")
            if 0xD800 <= ord(character) <= 0xDFFF or character == "\ufffd":
                raise self.fail("invalid UTF-8 rune")
            at = self._escape(at + 1, mark) if character == "\\" and mark != "`" else at + 1

    def _escape(self, at: int, mark: str) -> int:
        """The place behind an escape that starts behind its backslash at `at`."""
        kind = self.text[at : at + 1]
        if not kind:
            raise self.fail("escape sequence not terminated")
        if kind in "abfnrtv\\" or kind == mark:
            return at + 1
        if kind in "01234567":
            width, digits, start, base, largest = 3, "01234567", at, 8, 255
        elif kind in _DIGITS:
            width, digits = _DIGITS[kind]
            start, base, largest = at + 1, 16, 255 if kind == "x" else 0x10FFFF
        else:
            raise self.fail(f"unknown escape sequence {_code_point(kind)}")
        found = self.text[start : start + width]
        for character in found:
            if character not in digits:
                raise self.fail(f"illegal character {_code_point(character)} in escape sequence")
        if len(found) < width:
            raise self.fail("escape sequence not terminated")
        value = int(found, base)
        if value > largest or 0xD800 <= value < 0xE000:
            raise self.fail("escape sequence is an invalid Unicode code point")
        return start + width


def _rune(character: str) -> str:
    """In single quotes, as Go's `%q` prints a rune."""
    if not character:
        return "'�'"
    return f"'{quote(character)[1:-1]}'" if character not in "'\"" else ("'\\''" if character == "'" else "'\"'")


def _code_point(character: str) -> str:
    return f"U+{ord(character):04X} '{character}'"
