"""Times as log lines write them, as nanoseconds since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FRACTION = re.compile(r"[.,](\d+)")
_SLASHED = re.compile(r"(\d{4})/(\d\d)/(\d\d)")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
# Seconds reach to the year 5138: greater numbers count milli-, micro- or nanoseconds.
_UNITS = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3), (10**20, 1))


def time_ns_of(value: object, zone: tzinfo | None = None) -> int:
    """ISO 8601 in its usual spellings, or Unix time in seconds, milli-, micro- or nanoseconds; 0 when it is neither.

    `zone` is that of times which name none; None is this machine's.
    """
    if isinstance(value, bool) or value is None:
        return 0
    if isinstance(value, (int, float)):
        return _held(_of_number(value))
    text = str(value).strip()
    if len(text) < 40 and _NUMBER.fullmatch(text):
        return _held(_of_number(float(text) if "." in text else int(text)))
    return _held(_of_text(text, zone))


def ns_of(moment: datetime) -> int:
    """Of an aware time."""
    return (moment - EPOCH) // _MICROSECOND * 1000


def _held(time_ns: int) -> int:
    """0 for what 63 bits do not hold, which is beyond 1970 to 2262."""
    return time_ns if 0 < time_ns < 2**63 else 0


def _of_number(value: float) -> int:
    for limit, nanoseconds in _UNITS:
        if 0 < value < limit:
            # A float of seconds is good for microseconds at this size, not for more.
            return value * nanoseconds if isinstance(value, int) else round(value * nanoseconds / 1000) * 1000
    return 0


def _of_text(text: str, zone: tzinfo | None) -> int:
    try:
        moment = datetime.fromisoformat(_SLASHED.sub(r"\1-\2-\3", text[:40], count=1))
    except ValueError:
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone) if zone else moment.astimezone()
    fraction = _FRACTION.search(text)
    finer = int(fraction[1][6:9].ljust(3, "0")) if fraction and len(fraction[1]) > 6 else 0
    return ns_of(moment) + finer
