"""Why items were not taken, in words that stay short however many there are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

MOST_REASONS = 10
_MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d"
_TIME = re.compile(rf"\b({_MOMENT})(?: to ({_MOMENT}))?(?= UTC)")
_GAP = "\0"


def by_cause(problems: Mapping[str, int]) -> Counter[str]:
    """The counts with reasons that differ only in a time as one, which names the earliest and the latest."""
    counts: Counter[str] = Counter()
    moments: dict[str, set[str]] = {}
    for reason, count in problems.items():
        cause = _TIME.sub(_GAP, reason)
        counts[cause] += count
        moments.setdefault(cause, set()).update(one for pair in _TIME.findall(reason) for one in pair if one)
    return Counter({cause.replace(_GAP, _span(moments[cause])): count for cause, count in counts.items()})


def told(problems: Mapping[str, int], what: str) -> list[str]:
    """Such as `3 spans rejected: …`, the commonest reasons first. what: `spans rejected`."""
    causes = by_cause(problems)
    parts = [f"{count} {what}: {cause}" for cause, count in causes.most_common(MOST_REASONS)]
    if left := causes.total() - sum(count for _, count in causes.most_common(MOST_REASONS)):
        parts.append(f"{left} {what}: for {len(causes) - MOST_REASONS} other reasons")
    return parts


def _span(moments: set[str]) -> str:
    ends = sorted(moments)
    return " to ".join(dict.fromkeys((ends[0], ends[-1]))) if ends else ""
