"""One scale of severity, and the words other people have for it.

A word of any vocabulary is the same word again when its severity is said in that vocabulary.
"""

from __future__ import annotations

from enum import IntEnum


class Severity(IntEnum):
    """P0 is worst. Smaller is more severe, so `min` of several is what a group of alerts counts as."""

    P0 = 0
    P1 = 1
    P2 = 2
    P3 = 3
    P4 = 4

    def named(self, vocabulary: str = "emergency") -> str:
        """The word for it in one of VOCABULARIES."""
        return VOCABULARIES[vocabulary][self]

    @property
    def response_seconds(self) -> int:
        """Within which somebody should have acknowledged; 0: now."""
        return _RESPONSE_SECONDS[self]


VOCABULARIES = {  # name: the words for P0 to P4
    "priority": ("P0", "P1", "P2", "P3", "P4"),
    "emergency": ("emergency", "critical", "high", "warning", "info"),
    "prometheus": ("critical", "critical", "critical", "warning", "info"),
    "runbook": ("critical", "critical", "high", "medium", "low"),
}
_RESPONSE_SECONDS = (0, 0, 15 * 60, 3600, 4 * 3600)

SEVERITY_LABEL = "severity"

# `critical` is P1 also where a vocabulary has nothing above it: only who says P0, emergency or page is never held back.
_NAMES = {
    "p0": Severity.P0, "emergency": Severity.P0, "page": Severity.P0, "disaster": Severity.P0, "fatal": Severity.P0,
    "p1": Severity.P1, "critical": Severity.P1, "crit": Severity.P1, "alert": Severity.P1,
    "p2": Severity.P2, "high": Severity.P2, "error": Severity.P2, "major": Severity.P2,
    "p3": Severity.P3, "warning": Severity.P3, "warn": Severity.P3, "medium": Severity.P3, "minor": Severity.P3,
    "p4": Severity.P4, "info": Severity.P4, "low": Severity.P4, "notice": Severity.P4, "none": Severity.P4,
    "debug": Severity.P4,
}  # fmt: skip


def severity_of(name: str) -> Severity:
    """The severity a `severity` label means; a word nobody knows counts as a warning."""
    return _NAMES.get(name.strip().lower(), Severity.P3)


def is_known(name: str) -> bool:
    return name.strip().lower() in _NAMES
