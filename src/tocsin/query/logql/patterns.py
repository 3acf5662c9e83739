"""Regular expressions over lines: RE2, so that no pattern and no line takes more than linear time."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 8 << 20


class PatternError(ValueError):
    """A regular expression that RE2 does not take."""


@lru_cache(maxsize=512)
def compile_search(pattern: str) -> Any:
    """RE2 that may match anywhere; `.` stops at the end of a line. Raises PatternError."""
    try:
        return re2.compile(pattern, options=_OPTIONS)
    except UnicodeEncodeError as error:
        raise PatternError("cannot read the regular expression: invalid UTF-8") from error
    except re2.error as error:
        cause = error.args[0] if error.args else error
        text = cause.decode("utf-8", "replace") if isinstance(cause, bytes) else str(cause)
        raise PatternError(f"cannot read the regular expression: {text}") from error


def group_names(pattern: str) -> dict[str, int]:
    """The named groups and their places."""
    return dict(compile_search(pattern).groupindex)
