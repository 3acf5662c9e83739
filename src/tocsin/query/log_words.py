"""What people type to search logs: words, "phrases", name:value, and - before what must not be there. Pure text."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

MOST_CHARACTERS = 2000
MOST_PARTS = 40
LEVEL_NAMES = ("level", "severity", "detected_level")
"""Fields whose values are levels, which have an order without being numbers."""

_PART = re.compile(
    r"""(?P<minus>-)?
    (?:(?P<name>[A-Za-z_@][\w.@/-]*):(?!//)(?P<sign>>=|<=|>|<)?)?
    (?:"(?P<quoted>(?:[^"\\]|\\.)*)(?:"|$)|(?P<plain>[^\s"]+))""",
    re.VERBOSE | re.DOTALL,
)


class LogQueryError(ValueError):
    """A search of logs asks for something that cannot be searched for."""


@dataclass(frozen=True, slots=True)
class Words:
    """Characters that must be in the message in this order, whatever their case, or be the whole value of one of the
    line's fields; with `is_excluded` neither. A phrase is a word with spaces in it."""

    text: str
    is_excluded: bool = False


@dataclass(frozen=True, slots=True)
class FieldTest:
    """A field that must have a value, or with `is_excluded` must not. sign: '=' exact, '*' any value at all, '~' with
    stars for any characters, or a comparison of numbers."""

    name: str
    sign: str
    value: str
    is_excluded: bool = False


@dataclass(frozen=True, slots=True)
class SearchText:
    """All of it must hold for a line."""

    words: tuple[Words, ...] = ()
    fields: tuple[FieldTest, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.words or self.fields)


NOTHING = SearchText()


def parse(text: str) -> SearchText:
    """The parts of what was typed. Raises LogQueryError for more than anybody types; nothing else is refused: what
    looks like no field is a word."""
    if len(text) > MOST_CHARACTERS:
        raise LogQueryError(f"cannot search for {len(text)} characters: write at most {MOST_CHARACTERS}")
    words: list[Words] = []
    fields: list[FieldTest] = []
    for found in _PART.finditer(text.replace("\x00", " ")):
        part = _part(found)
        if isinstance(part, FieldTest):
            fields.append(part)
        elif part.text:
            words.append(part)
    if len(words) + len(fields) > MOST_PARTS:
        raise LogQueryError(f"cannot search for {len(words) + len(fields)} words at once: write at most {MOST_PARTS}")
    return SearchText(tuple(words), tuple(fields))


def _part(found: re.Match[str]) -> Words | FieldTest:
    is_excluded, quoted = bool(found["minus"]), found["quoted"]
    value = found["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
    if not found["name"]:
        return Words(value, is_excluded)
    if found["sign"]:
        compared = value if found["name"] in LEVEL_NAMES else _number(found["name"], value)
        return FieldTest(found["name"], found["sign"], compared, is_excluded)
    if quoted is None and value.strip("*") == "":
        return FieldTest(found["name"], "*", "", is_excluded)
    is_pattern = quoted is None and "*" in value
    return FieldTest(found["name"], "~" if is_pattern else "=", value, is_excluded)


def _number(name: str, text: str) -> str:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise LogQueryError(f"cannot compare {name} with '{text[:40]}': write a number, such as {name}:>1000")
    return repr(number)


def with_field(text: str, name: str, value: str, *, is_excluded: bool = False) -> str:
    """What was typed with one more field to search for; as it was if that is in it already."""
    added = f"{'-' if is_excluded else ''}{name}:{_written(value)}"
    return text if added in text.split() or f" {added} " in f" {text} " else f"{text} {added}".strip()


def _written(value: str) -> str:
    if re.fullmatch(r"[^\s\"*<>=]+", value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
