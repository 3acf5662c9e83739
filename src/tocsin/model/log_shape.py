"""The shape of a line: its text with everything that is surely a value replaced by #.

Lines of one shape belong to one pattern, so patterns are mined from shapes, of which there are few, and every line is
counted by the hash of its shape. The engine makes the same shapes when it stores a line
(`storage/telemetry/schema/0012_log_messages.sql`), so the expression is one that RE2 and Python read alike.
"""

from __future__ import annotations

import re

VALUE = "#"
LONGEST = 400
"""Characters of a line that count; what follows is seldom about what happened."""

_NUMBER = r"-?[0-9]+(?:[.:,/+-][0-9]+)*"
_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
MASK = "|".join(
    (
        rf"\b(?:{_WEEKDAY},? )?{_MONTH} +{_NUMBER}(?: {_NUMBER})*",  # Sun Jun 14 15:16:01 2005
        r"\b(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{1,4}\b",  # hardware and IPv6 addresses
        r"\b(?:0[xX])?[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]{4,})*\b",  # ids and digests
        r"\b0[xX][0-9a-fA-F]+\b",
        rf"<?{_NUMBER} (?:sec|[KMGT]?i?B)\b",  # 1.5 KB, <1 sec
        _NUMBER,
    )
)
_MASK = re.compile(MASK, re.ASCII)


def shape_of(line: str) -> str:
    """The first line of the text, with # for each value; '' for an empty one."""
    return _MASK.sub(VALUE, line.split("\n", 1)[0][:LONGEST])
