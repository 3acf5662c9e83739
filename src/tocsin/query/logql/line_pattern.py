"""Patterns of literal texts and captures: `<ip> - <user> [<_>] "<method> <_>"`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_CAPTURE = re.compile(r"<([A-Za-z_][A-Za-z0-9_]*)>")


class PatternTextError(ValueError):
    """A text that is no pattern."""


@dataclass(frozen=True, slots=True)
class LinePattern:
    """literals[i] stands before captures[i]; there is one literal more than captures. '_' captures nothing."""

    literals: tuple[str, ...]
    captures: tuple[str, ...]

    def values(self, line: str) -> dict[str, str]:
        """What is captured, as far as the line follows the pattern."""
        found: dict[str, str] = {}
        at = 0
        if self.literals[0]:
            at = line.find(self.literals[0])
            if at < 0:
                return found
            at += len(self.literals[0])
        for name, literal in zip(self.captures, self.literals[1:], strict=True):
            end = line.find(literal, at) if literal else len(line)
            if end < 0:
                if name != "_":
                    found[name] = line[at:]
                return found
            if name != "_":
                found[name] = line[at:end]
            at = end + len(literal)
        return found

    def matches(self, line: str) -> bool:
        """Whether the whole line follows: a pattern that begins or ends with a literal is anchored there."""
        if not self.captures:
            return self.literals[0] in line
        first, *middle, last = self.literals
        if not line.startswith(first):
            return False
        at = len(first)
        for literal in middle:
            end = line.find(literal, at + 1)
            if end < 0:
                return False
            at = end + len(literal)
        return len(line) > at and (not last or (line.find(last, at + 1) >= 0 and line.endswith(last)))


@lru_cache(maxsize=512)
def capture_pattern(text: str) -> LinePattern:
    """For `| pattern`. Raises PatternTextError."""
    found = _read(text)
    named = [name for name in found.captures if name != "_"]
    if not named:
        raise PatternTextError(f"cannot use the pattern {text[:60]!r}: it captures nothing; name a part, as <status>")
    if len(set(named)) < len(named):
        raise PatternTextError(
            f"cannot use the pattern {text[:60]!r}: a name stands twice; use <_> for what is not used"
        )
    return found


@lru_cache(maxsize=512)
def filter_pattern(text: str) -> LinePattern:
    """For `|>` and `!>`. Raises PatternTextError."""
    found = _read(text)
    if any(name != "_" for name in found.captures):
        raise PatternTextError(f"cannot use the pattern {text[:60]!r}: a line filter names nothing; write <_>")
    return found


def _read(text: str) -> LinePattern:
    if not text:
        raise PatternTextError("cannot use an empty pattern; write a text with <name> or <_> in it")
    parts = _CAPTURE.split(text)
    literals, captures = parts[::2], parts[1::2]
    if any(not literal for literal in literals[1:-1]):
        raise PatternTextError(f"cannot use the pattern {text[:60]!r}: two captures touch; put a text between them")
    return LinePattern(tuple(literals), tuple(captures))
