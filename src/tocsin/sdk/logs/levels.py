"""Levels of `logging` and severities of OTLP."""

from __future__ import annotations

import logging

from tocsin.sdk.records import ERROR, FATAL, INFO, WARN

# OTLP's SeverityNumber beside those of events.
TRACE, DEBUG = 1, 5

_severities: dict[int, int] = {}


def severity_of(level: int) -> int:
    """OTLP's number for a level of `logging`; those in between, such as loguru's SUCCESS, one above the lower."""
    found = _severities.get(level)
    if found is None:
        found = _severities[level] = _severity_of(level)
    return found


def _severity_of(level: int) -> int:
    if level >= 50:
        return FATAL
    if level >= 40:
        return ERROR + (level > 40)
    if level >= 30:
        return WARN + (level > 30)
    if level >= 20:
        return INFO + (level > 20)
    return DEBUG + (level > 10) if level >= 10 else TRACE


def level_of(name: str) -> int:
    """The number of a level as settings write it; `off` is above all."""
    word = name.strip().upper()
    if word in ("OFF", "NONE"):
        return 1 << 30
    number = int(word) if word.isdigit() else logging.getLevelNamesMapping().get(word)
    if number is None:
        raise ValueError(f"cannot log from level {name!r}: it does not exist; write DEBUG, INFO, WARNING, ERROR or off")
    return number
