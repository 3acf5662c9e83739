"""Time intervals, in which a route tells nobody (mute) or outside of which it does not (active)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from tocsin.model.time_interval import TimeInterval

Intervals = Mapping[str, Sequence[TimeInterval]]
"""By name."""


def muted_by(
    mute_times: Iterable[str], active_times: tuple[str, ...], intervals: Intervals, now: datetime
) -> list[str]:
    """The intervals that keep a route silent now: it is in one of its muted ones, or in none of its active ones."""
    found = [name for name in mute_times if interval_at((name,), intervals, now)]
    return found + (list(active_times) if active_times and not interval_at(active_times, intervals, now) else [])


def interval_at(names: Iterable[str], intervals: Intervals, at: datetime) -> str:
    """The first of these intervals that holds now; '' for none."""
    return next((name for name in names if any(one.contains(at) for one in intervals.get(name, ()))), "")
