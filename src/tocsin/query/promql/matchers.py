"""Label matchers and the regular expressions they hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import re2

from tocsin.query.promql.literals import quote

NAME = "__name__"
MatchOperator = Literal["=", "!=", "=~", "!~"]

# A pattern of this size compiles in under a millisecond; what needs more than 8 MB is refused, not run.
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 8 << 20


class PatternError(ValueError):
    """A regular expression that RE2 does not take."""


def compile_pattern(pattern: str) -> Any:
    """RE2 anchored at both ends, where `.` matches a newline too. Raises PatternError."""
    try:
        return re2.compile(f"^(?s:{pattern})$", options=_OPTIONS)
    except UnicodeEncodeError as error:
        raise PatternError("error parsing regexp: invalid UTF-8") from error
    except re2.error as error:
        cause = error.args[0] if error.args else error
        text = cause.decode("utf-8", "replace") if isinstance(cause, bytes) else str(cause)
        raise PatternError(f"error parsing regexp: {text.partition(': ')[0]}: `^(?s:{pattern})$`") from error


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label; a label that a series does not have has the value ''."""

    name: str
    operator: MatchOperator
    value: str
    _pattern: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pattern = compile_pattern(self.value) if self.operator in ("=~", "!~") else None
        object.__setattr__(self, "_pattern", pattern)

    def matches(self, text: str) -> bool:
        if self.operator == "=":
            return text == self.value
        if self.operator == "!=":
            return text != self.value
        found = self._pattern.search(text) is not None
        return found if self.operator == "=~" else not found

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{quote(self.value)}"
