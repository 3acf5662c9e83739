"""Time ranges as people and programs write them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from tocsin.model.dashboard import RANGES
from tocsin.model.window import Window

__all__ = ["RANGES", "TimeRangeError", "instant_ns", "window_between"]


class TimeRangeError(ValueError):
    """A time or range cannot be read."""


def instant_ns(text: str, zone: tzinfo = UTC) -> int:
    """Unix seconds or an ISO date and time (read in `zone` when it has no offset), in nanoseconds.

    Raises TimeRangeError.
    """
    try:
        return _in_reach_ns(float(text))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise TimeRangeError(f"cannot read time '{text[:40]}': write 2026-11-21T14:02 or unix seconds") from error
    return _in_reach_ns((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp())


def window_between(start: str, end: str, now_ns: int, zone: tzinfo = UTC) -> Window:
    """From `start` to `end`, either of which may be empty: an hour before `end`, and now. Raises TimeRangeError."""
    end_ns = instant_ns(end, zone) if end else now_ns
    start_ns = instant_ns(start, zone) if start else max(0, end_ns - 3600 * 10**9)
    if end_ns <= start_ns:
        raise TimeRangeError("cannot use this time range: it ends before it starts; swap start and end")
    return Window(start_ns, end_ns)


def _in_reach_ns(seconds: float) -> int:
    if not 0 <= seconds < 9_000_000_000:  # beyond, nanoseconds overflow 64 bits; also refuses NaN
        raise TimeRangeError(f"cannot use time {seconds:g}: it is not between 1970 and 2255; check its unit (seconds)")
    return int(seconds * 1e9)
