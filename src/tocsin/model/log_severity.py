"""The severity of a log line: OTLP's numbers, and the words and numbers that other people have for them."""

from __future__ import annotations

import re

TRACE, DEBUG, INFO, NOTICE, WARN, ERROR, FATAL = 1, 5, 9, 10, 13, 17, 21
UNSPECIFIED = 0

WORDS = {
    "trace": TRACE, "trc": TRACE, "finest": TRACE, "finer": TRACE, "verbose": TRACE,
    "debug": DEBUG, "dbg": DEBUG, "fine": DEBUG, "config": DEBUG, "d": DEBUG,
    "info": INFO, "inf": INFO, "information": INFO, "informational": INFO, "i": INFO, "log": INFO, "success": INFO,
    "notice": NOTICE,
    "warn": WARN, "warning": WARN, "wrn": WARN, "w": WARN,
    "error": ERROR, "err": ERROR, "e": ERROR, "severe": ERROR, "exception": ERROR,
    "critical": FATAL, "crit": FATAL, "fatal": FATAL, "f": FATAL, "emerg": FATAL, "emergency": FATAL, "panic": FATAL,
    "alert": FATAL,
}  # fmt: skip
# OpenTelemetry's mapping of syslog's severities 0 to 7.
SYSLOG = (FATAL, 19, 18, ERROR, WARN, NOTICE, INFO, DEBUG)
SYSLOG_NAMES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")

_PYTHON = ((50, FATAL), (40, ERROR), (30, WARN), (20, INFO), (10, DEBUG), (1, TRACE))
_PINO = ((60, FATAL), (50, ERROR), (40, WARN), (30, INFO), (20, DEBUG), (10, TRACE))
_LOGFMT = re.compile(r'(?:^|\s)(?:level|lvl|severity)="?(\w+)')
_FIRST_WORDS = re.compile(
    r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL|EMERG|PANIC|trace|debug|info|warn|warning|error"
    r"|critical|fatal)\b"
)
LOOKED_THROUGH = 200  # characters of a plain line in which its severity may stand


def severity_of_word(word: str) -> int:
    """OTLP's number for a word in any case; 0 for one that is none."""
    return WORDS.get(word.strip().lower(), UNSPECIFIED)


def severity_of_number(number: float, *, is_python: bool) -> int:
    """OTLP's number for a level of Python's logging, else one of pino and bunyan."""
    for least, severity in _PYTHON if is_python else _PINO:
        if number >= least:
            return severity
    return UNSPECIFIED


def severity_of_line(line: str) -> int:
    """What a plain line says of its own severity: level=… anywhere, else a level's name near its beginning."""
    found = _LOGFMT.search(line)
    if found and (severity := severity_of_word(found[1])):
        return severity
    found = _FIRST_WORDS.search(line, 0, LOOKED_THROUGH)
    return severity_of_word(found[1]) if found else UNSPECIFIED
