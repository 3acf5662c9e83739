"""The selector of a match stage: labels in braces and filters of the line, as LogQL writes them."""

from __future__ import annotations

import re
from collections.abc import Callable

import re2

from tocsin.collect.log_entry import Entry

_MATCHER = re.compile(r'\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|`[^`]*`)\s*(,|(?=\}))')
_FILTER = re.compile(r'\s*(\|=|!=|\|~|!~)\s*("(?:[^"\\]|\\.)*"|`[^`]*`)')
Matches = Callable[[Entry], bool]


def selector(text: str) -> Matches:
    """Raises ValueError."""
    text = text.strip()
    if not text.startswith("{") or "}" not in text:
        raise ValueError(f"selector {text[:80]!r} has no labels within braces")
    tests: list[Matches] = []
    position = 1
    while text[position:].lstrip()[:1] != "}":
        found = _MATCHER.match(text, position)
        if found is None:
            raise ValueError(f"selector {text[:80]!r} cannot be read at {text[position:][:30]!r}")
        tests.append(_of_label(found[1], found[2], _unquoted(found[3])))
        position = found.end()
    position = text.index("}", position) + 1
    while text[position:].strip():
        found = _FILTER.match(text, position)
        if found is None:
            raise ValueError(f"selector {text[:80]!r}: {text[position:].strip()[:30]!r} is not supported here")
        tests.append(_of_line(found[1], _unquoted(found[2])))
        position = found.end()
    return lambda entry: all(test(entry) for test in tests)


def _of_label(name: str, operator: str, value: str) -> Matches:
    if operator in ("=", "!="):
        wanted = operator == "="
        return lambda entry: (entry.labels.get(name, "") == value) is wanted
    regex, wanted = compiled(value), operator == "=~"
    return lambda entry: (regex.fullmatch(entry.labels.get(name, "")) is not None) is wanted


def _of_line(operator: str, value: str) -> Matches:
    if operator in ("|=", "!="):
        wanted = operator == "|="
        return lambda entry: (value in entry.line) is wanted
    regex, wanted = compiled(value), operator == "|~"
    return lambda entry: (regex.search(entry.line) is not None) is wanted


def _unquoted(text: str) -> str:
    return (
        text[1:-1] if text[0] == "`" else re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), text[1:-1])
    )


def compiled(expression: str) -> re2._Regexp:
    """A regular expression as Go has them. Raises ValueError."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(expression, options=options)
    except re2.error as error:
        raise ValueError(f"regular expression {expression[:80]!r} cannot be used: {error}") from error
