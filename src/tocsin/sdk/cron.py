"""When a schedule is due: a number of seconds, `every 15m`, or five fields of cron.

Source of the fields: crontab(5). Day of month and day of week are alternatives when both are given.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

_EVERY = re.compile(r"(?:every\s+)?(\d+(?:\.\d+)?)\s*(s|sec|seconds?|m|min|minutes?|h|hours?|d|days?|w|weeks?)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11,
    "dec": 12,
}  # fmt: skip
_DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_SHORT = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}  # fmt: skip
# 29 February comes back within eight years.
_LONGEST_DAYS = 366 * 8


class ScheduleError(ValueError):
    """A schedule that cannot be read; the message says what to write instead."""


class Schedule(NamedTuple):
    """When something is due. text: as people write it; next_after: the next time after a moment, in Unix seconds."""

    text: str
    next_after: Callable[[float], float]


def parse_schedule(schedule: str | float | timedelta, zone: tzinfo | None = None) -> Schedule:
    """Reads a schedule; cron's fields are in `zone`, else in local time. Raises ScheduleError."""
    if isinstance(schedule, timedelta):
        schedule = schedule.total_seconds()
    if isinstance(schedule, int | float):
        return _every(float(schedule), schedule)
    text = schedule.strip()
    found = _EVERY.fullmatch(text.lower())
    if found:
        return _every(float(found[1]) * _UNITS[found[2][0]], schedule)
    fields = _SHORT.get(text.lower(), text).split()
    if len(fields) != 5:
        raise ScheduleError(
            f"cannot read schedule {schedule!r}: neither a period nor cron; write 'every 15m' or '0 3 * * *'"
        )
    cron = Cron(fields, zone)
    cron.next_after(0.0)  # a day that never comes is told at once
    return Schedule(text, cron.next_after)


def _every(seconds: float, written: object) -> Schedule:
    if not 0 < seconds < float("inf"):
        raise ScheduleError(f"cannot read schedule {written!r}: not a period; write seconds above 0, such as 900")
    return Schedule(f"every {period_text(seconds)}", lambda moment: moment + seconds)


def period_text(seconds: float) -> str:
    """In the largest unit that leaves a whole number: `15m`."""
    for letter, size in (("w", 604_800), ("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{letter}"
    return f"{seconds:g}s"


class Cron:
    """Five fields of cron."""

    def __init__(self, fields: list[str], zone: tzinfo | None) -> None:
        minutes, hours, days, months, weekdays = fields
        self._minutes = _numbers(minutes, 0, 59, {})
        self._hours = _numbers(hours, 0, 23, {})
        self._days = _numbers(days, 1, 31, {})
        self._months = _numbers(months, 1, 12, _MONTHS)
        # Sunday is 0 and 7.
        self._weekdays = {day % 7 for day in _numbers(weekdays, 0, 7, _DAYS)}
        self._either = not (days.startswith("*") or weekdays.startswith("*"))
        self._zone = zone

    def next_after(self, moment: float) -> float:
        """Raises ScheduleError for days that never come, such as 30 February."""
        at = datetime.fromtimestamp(moment, self._zone).replace(second=0, microsecond=0, fold=0)
        day = at.replace(hour=0, minute=0)
        for _ in range(_LONGEST_DAYS):
            if self._is_due_on(day):
                for hour in sorted(self._hours):
                    for minute in sorted(self._minutes):
                        due = day.replace(hour=hour, minute=minute).timestamp()
                        if due > moment:
                            return due
            day = (day + timedelta(days=1)).replace(hour=0, minute=0)
        raise ScheduleError("cannot find the next time of this schedule: its day never comes; mend day and month")

    def _is_due_on(self, day: datetime) -> bool:
        if day.month not in self._months:
            return False
        in_month, in_week = day.day in self._days, (day.weekday() + 1) % 7 in self._weekdays
        return (in_month or in_week) if self._either else (in_month and in_week)


def _numbers(field: str, least: int, most: int, names: dict[str, int]) -> set[int]:
    found: set[int] = set()
    for part in field.lower().split(","):
        spread, _, step = part.partition("/")
        try:
            every = int(step) if step else 1
            if spread == "*":
                first, last = least, most
            else:
                start, dash, end = spread.partition("-")
                first = names[start] if start in names else int(start)
                last = (names[end] if end in names else int(end)) if dash else (most if step else first)
        except ValueError as error:
            raise ScheduleError(
                f"cannot read {part!r} of a schedule: no number; write such as 5, 1-5 or */15"
            ) from error
        if not (least <= first <= last <= most) or every < 1:
            raise ScheduleError(f"cannot read {part!r} of a schedule: outside of {least} to {most}; mend it")
        found |= set(range(first, last + 1, every))
    return found
