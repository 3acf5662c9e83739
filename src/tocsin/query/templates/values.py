"""What templates reach into besides texts, numbers, lists and maps: structs, times and durations, with Go's methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tocsin.query.templates.go_time import Duration, formatted
from tocsin.query.templates.parse import TemplateError

Methods = Mapping[str, Callable[..., Any]]


class Struct(dict[str, Any]):
    """Fields in their order; asking for another one is a fault, not an empty text as with a map."""


class Object:
    """Mixed into a list or a map: what can be called on it by `.Name`."""

    METHODS: ClassVar[Methods] = {}


class HtmlText(str):
    """Text that is HTML already."""


def member(value: Any, name: str, arguments: list[Any]) -> Any:
    """`.name` of a value, a method before a field. Raises TemplateError."""
    methods = _methods_of(value)
    if name in methods:
        return methods[name](value, *arguments)
    if arguments:
        raise TemplateError(f"{name} has arguments but cannot be invoked as function")
    if isinstance(value, Struct):
        if name in value:
            return value[name]
    elif isinstance(value, Mapping):
        return value.get(name, "")  # missingkey=zero: a label that is not there is empty
    raise TemplateError(f"can't evaluate field {name} in {str(value)[:40]}")


def _methods_of(value: Any) -> Methods:
    if isinstance(value, Object):
        return value.METHODS
    if isinstance(value, datetime):
        return TIME
    return DURATION if isinstance(value, Duration) else {}


def since(moment: datetime) -> Duration:
    return Duration.of(datetime.now(UTC) - moment)


def in_zone(name: str, moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC if name in ("", "UTC") else ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise TemplateError(f"unknown time zone {name}") from error


def is_zero(moment: datetime) -> bool:
    """Go's zero time: of what has not ended."""
    return moment == datetime(1, 1, 1, tzinfo=UTC)


def _added(moment: datetime, by: Any) -> datetime:
    return moment + timedelta(microseconds=int(by) / 1000)


TIME: Methods = {
    "Format": lambda moment, layout: formatted(moment, layout),
    "String": lambda moment: formatted(moment, "2006-01-02 15:04:05.999999999 -0700 MST"),
    "UTC": lambda moment: moment.astimezone(UTC),
    "Local": lambda moment: moment.astimezone(),
    "Unix": lambda moment: int(moment.timestamp()),
    "UnixMilli": lambda moment: int(moment.timestamp() * 1000),
    "Add": _added,
    "Sub": lambda moment, other: Duration.of(moment - other),
    "After": lambda moment, other: moment > other,
    "Before": lambda moment, other: moment < other,
    "Equal": lambda moment, other: moment == other,
    "IsZero": is_zero,
    "Year": lambda moment: moment.year,
    "Month": lambda moment: moment.strftime("%B"),
    "Day": lambda moment: moment.day,
    "Hour": lambda moment: moment.hour,
    "Minute": lambda moment: moment.minute,
    "Second": lambda moment: moment.second,
    "Weekday": lambda moment: moment.strftime("%A"),
    "YearDay": lambda moment: moment.timetuple().tm_yday,
}
DURATION: Methods = {
    "String": str,
    "Seconds": lambda given: given / 1e9,
    "Minutes": lambda given: given / 6e10,
    "Hours": lambda given: given / 3.6e12,
    "Milliseconds": lambda given: int(given) // 1_000_000,
    "Round": lambda given, to: given.rounded(to),
    "Truncate": lambda given, to: Duration(int(given) - int(given) % int(to) if int(to) > 0 else int(given)),
    "Abs": lambda given: Duration(abs(given)),
}
