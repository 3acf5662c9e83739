"""Severities of log lines in six levels."""

from __future__ import annotations

from tocsin.model.log_severity import severity_of_word

LEVELS = ("trace", "debug", "info", "warn", "error", "fatal")
"""Level by level four numbers, from 1 on."""
UNKNOWN = "unknown"
"""The level of a line that was sent without a severity (number 0)."""
MOST = 24


def level_of(severity: int) -> str:
    """The level of a severity number; `unknown` for 0 and for what is no severity."""
    return LEVELS[(severity - 1) // 4] if 1 <= severity <= MOST else UNKNOWN


def level_named(word: str) -> str | None:
    """The level a word means, whatever its case; None for a word nobody uses for one."""
    return level_of(number) if (number := severity_of_word(word)) else None


def least_number(level: str) -> int:
    """The lowest severity number of a level."""
    return LEVELS.index(level) * 4 + 1
