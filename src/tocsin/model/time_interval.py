"""Time intervals as Alertmanager writes them: times of the day, weekdays, days, months and years at a place."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tocsin.model.yaml_text import Path

Range = tuple[int, int]
WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_KEYS = {"times", "weekdays", "days_of_month", "months", "years", "location"}


class IntervalError(ValueError):
    """A time interval that cannot be read; `path` leads to the fault within it."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True)
class TimeInterval:
    """A set of times: every part that is given must hold, each by one of its ranges (ends included, except minutes)."""

    minutes: tuple[Range, ...] = ()  # of the day, the end excluded
    weekdays: tuple[Range, ...] = ()  # 0 is Sunday
    days_of_month: tuple[Range, ...] = ()  # negative ones count from the month's end
    months: tuple[Range, ...] = ()
    years: tuple[Range, ...] = ()
    location: tzinfo = UTC

    def contains(self, at: datetime) -> bool:
        local = at.astimezone(self.location)
        minute = local.hour * 60 + local.minute
        if self.minutes and not any(start <= minute < end for start, end in self.minutes):
            return False
        if self.days_of_month and not any(_is_day(each, local) for each in self.days_of_month):
            return False
        return (
            _is_within(self.months, local.month)
            and _is_within(self.weekdays, local.isoweekday() % 7)
            and _is_within(self.years, local.year)
        )


def time_interval_of(plain: Any) -> TimeInterval:
    """Raises IntervalError."""
    if not isinstance(plain, dict):
        raise IntervalError((), "it is no mapping of times, weekdays, days_of_month, months, years and location")
    if unknown := set(plain) - _KEYS:
        raise IntervalError((min(unknown),), f"there is no such key; known are {', '.join(sorted(_KEYS))}")
    return TimeInterval(
        minutes=tuple(_times(plain)),
        weekdays=tuple(_ranges(plain, "weekdays", WEEKDAYS, 0, 0, 6)),
        days_of_month=tuple(_days(plain)),
        months=tuple(_ranges(plain, "months", MONTHS, 1, 1, 12)),
        years=tuple(_ranges(plain, "years", (), 0, 1, 9999)),
        location=_location(plain),
    )


def _is_within(ranges: Sequence[Range], value: int) -> bool:
    return not ranges or any(first <= value <= last for first, last in ranges)


def _is_day(days: Range, local: datetime) -> bool:
    length = calendar.monthrange(local.year, local.month)[1]
    first, last = (day if day > 0 else length + day + 1 for day in days)
    if first > length:
        return False  # such as the 31st in a shorter month
    return max(first, 1) <= local.day <= min(last, length)


def _listed(plain: Mapping[str, Any], key: str) -> list[Any]:
    value = plain.get(key) or []
    if not isinstance(value, list):
        raise IntervalError((key,), "it is no list")
    return value


def _times(plain: Mapping[str, Any]) -> Iterable[Range]:
    for place, one in enumerate(_listed(plain, "times")):
        path: Path = ("times", place)
        if not isinstance(one, dict) or set(one) != {"start_time", "end_time"}:
            raise IntervalError(path, "it needs start_time and end_time, nothing else")
        start, end = _minute(one["start_time"], path), _minute(one["end_time"], path)
        if start >= end:
            raise IntervalError(path, "it ends before it starts; split it at midnight")
        yield start, end


def _minute(text: Any, path: Path) -> int:
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)|24:00", str(text))
    if found is None:
        raise IntervalError(path, f"{text!r} is no time such as 09:30")
    return 1440 if found[1] is None else int(found[1]) * 60 + int(found[2])


def _ranges(
    plain: Mapping[str, Any], key: str, names: Sequence[str], name_base: int, least: int, most: int
) -> Iterable[Range]:
    for place, text in enumerate(_listed(plain, key)):
        parts = [part.strip().lower() for part in str(text).split(":")]
        numbers = [
            names.index(part) + name_base if part in names else int(part) if re.fullmatch(r"-?\d+", part) else None
            for part in parts
        ]
        if key == "weekdays" and any(part not in names for part in parts):
            numbers = [None]
        if (
            len(numbers) > 2
            or None in numbers
            or not all(least <= number <= most for number in numbers if number is not None)
        ):
            raise IntervalError((key, place), f"{text!r} is no value or range of {key}")
        first, last = numbers[0], numbers[-1]
        assert first is not None  # the check above says so
        assert last is not None
        if first > last:
            raise IntervalError((key, place), f"{text!r} ends before it starts")
        yield first, last


def _days(plain: Mapping[str, Any]) -> Iterable[Range]:
    for place, text in enumerate(_listed(plain, "days_of_month")):
        parts = str(text).replace(" ", "").split(":")
        if len(parts) > 2 or not all(re.fullmatch(r"-?\d+", part) for part in parts):
            raise IntervalError(("days_of_month", place), f"{text!r} is no day or range such as 1:5 or -3:-1")
        first, last = int(parts[0]), int(parts[-1])
        if not all(1 <= abs(day) <= 31 for day in (first, last)):
            raise IntervalError(("days_of_month", place), f"{text!r}: days are 1 to 31, or -1 to -31 from the end")
        if (first < 0 < last) or (first * last > 0 and first > last):
            raise IntervalError(("days_of_month", place), f"{text!r} ends before it starts")
        yield first, last


def _location(plain: Mapping[str, Any]) -> tzinfo:
    name = str(plain.get("location") or "UTC")
    if name == "Local":
        zone = datetime.now().astimezone().tzinfo
        return zone or UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise IntervalError(("location",), f"{name!r} is no time zone such as Europe/Berlin") from error
