"""Keys and paths reduced to their kind: `user:42:profile` is `user:*:profile`, `/users/42` is `/users/{id}`."""

from __future__ import annotations

import re

_KNOWN = 4096
# Different names after one first part; beyond it they are taken for names of things, not of kinds of things.
_CHILDREN = 30
_KINDS = 300
_CHARACTERS = 200

_SEPARATORS = re.compile(r"([:/|.,;\s]+)")
_DIGITS = re.compile(r"\d+")
# What is no word of a programmer: uuids, hexadecimal, long mixes of letters and digits, addresses of people.
_VALUE = re.compile(
    r"[{]?[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}[}]?"
    r"|(?=[^\d]*\d)[0-9a-fA-F]{8,}"
    r"|[-+]?\d+(?:[.,-]\d+)*"
    r"|.*[@%=].*"
    r"|(?=.*\d)[\w~+-]{16,}"
    r"|.{40,}"
)
_ADDRESS = re.compile(r"[^\s:/|,;]+@[^\s:/|,;]+")
# `v2`, `oauth2`: a digit at the end of a short word names a version.
_VERSION = re.compile(r"[A-Za-z_-]{1,12}\d")


def shape(text: str, value: str) -> str:
    """The text with `value` in the place of what differs between equals."""
    parts = _SEPARATORS.split(_ADDRESS.sub(lambda _: value, text[:_CHARACTERS]))
    return "".join(part if number % 2 else _shape_of(part, value) for number, part in enumerate(parts))


def _shape_of(part: str, value: str) -> str:
    if not part or part == value or (part.isalpha() and len(part) < 40) or _VERSION.fullmatch(part):
        return part
    return value if _VALUE.fullmatch(part) else _DIGITS.sub(value, part)


class Shapes:
    """Shapes of what has been seen, remembered and bounded; endless names are cut to their first part.

    Used from any thread: at worst a shape is found twice.
    """

    def __init__(self, value: str, separator: str) -> None:
        self._value, self._separator = value, separator
        self._known: dict[str, str] = {}
        self._children: dict[str, set[str]] = {}

    def of(self, text: str) -> str:
        found = self._known.get(text)
        if found is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            found = self._known[text] = self._bounded(shape(text, self._value))
        return found

    def _bounded(self, found: str) -> str:
        lead = self._separator if found.startswith(self._separator) else ""
        first, separator, _ = found[len(lead) :].partition(self._separator)
        first = lead + first
        children = self._children.get(first)
        if children is None:
            if len(self._children) >= _KINDS:
                return f"{lead}{self._value}"
            children = self._children[first] = set()
        if found in children or len(children) < _CHILDREN:
            children.add(found)
            return found
        return f"{first}{separator}{self._value}"
