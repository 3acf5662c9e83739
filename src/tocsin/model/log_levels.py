"""Severities of log lines: OTLP's numbers in six levels, and the words people write for them."""

from __future__ import annotations

LEVELS = ("trace", "debug", "info", "warn", "error", "fatal")
"""Level by level four numbers, from 1 on."""
UNKNOWN = "unknown"
"""The level of a line that was sent without a severity (number 0)."""
ERROR, FATAL = 17, 21
MOST = 24

_WORDS = {
    "trace": "trace", "verbose": "trace", "finest": "trace", "finer": "trace",
    "debug": "debug", "fine": "debug", "config": "debug",
    "info": "info", "information": "info", "informational": "info", "notice": "info", "success": "info", "log": "info",
    "warn": "warn", "warning": "warn",
    "error": "error", "err": "error", "severe": "error", "exception": "error",
    "fatal": "fatal", "critical": "fatal", "crit": "fatal", "alert": "fatal", "emergency": "fatal", "emerg": "fatal",
    "panic": "fatal",
}  # fmt: skip


def level_of(severity: int) -> str:
    """The level of a severity number; `unknown` for 0 and for what is no severity."""
    return LEVELS[(severity - 1) // 4] if 1 <= severity <= MOST else UNKNOWN


def level_named(word: str) -> str | None:
    """The level a word means, whatever its case; None for a word nobody uses for one."""
    return _WORDS.get(word.strip().lower())


def least_number(level: str) -> int:
    """The lowest severity number of a level."""
    return LEVELS.index(level) * 4 + 1
