"""Times in the layouts of Go's time package, as promtail-config.yml writes them ("2006-01-02 15:04:05").

A layout is compiled once into a pattern; reading a time is one match. Source: Go's time/format.go, documentation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from tocsin.model.log_time import ns_of

ReadTime = Callable[[str], int]
"""Nanoseconds since 1970. Raises ValueError."""

NAMED = {
    "ANSIC": "Mon Jan _2 15:04:05 2006",
    "UnixDate": "Mon Jan _2 15:04:05 MST 2006",
    "RubyDate": "Mon Jan 02 15:04:05 -0700 2006",
    "RFC822": "02 Jan 06 15:04 MST",
    "RFC822Z": "02 Jan 06 15:04 -0700",
    "RFC850": "Monday, 02-Jan-06 15:04:05 MST",
    "RFC1123": "Mon, 02 Jan 2006 15:04:05 MST",
    "RFC1123Z": "Mon, 02 Jan 2006 15:04:05 -0700",
    "RFC3339": "2006-01-02T15:04:05Z07:00",
    "RFC3339Nano": "2006-01-02T15:04:05.999999999Z07:00",
}
_UNIX = {"Unix": 10**9, "UnixMs": 10**6, "UnixUs": 10**3, "UnixNs": 1}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = r"(?:mon|tue|wed|thu|fri|sat|sun)"
# Longest first: each part of a layout and the pattern of what stands there.
_PARTS = (
    ("January", r"(?P<month_name>[A-Za-z]{3})[a-z]*"),
    ("Monday", _DAYS + "[a-z]*"),
    ("2006", r"(?P<year>\d{4})"),
    ("Z07:00", r"(?P<zone>Z|[+-]\d\d:?\d\d)"),
    ("Z0700", r"(?P<zone>Z|[+-]\d\d:?\d\d)"),
    ("-07:00", r"(?P<zone>[+-]\d\d:\d\d)"),
    ("-0700", r"(?P<zone>[+-]\d{4})"),
    ("-07", r"(?P<zone>[+-]\d\d)"),
    ("Jan", r"(?P<month_name>[A-Za-z]{3})"),
    ("Mon", _DAYS),
    ("MST", r"(?P<zone_name>[A-Za-z]{3,5}|[+-]\d\d)"),
    ("01", r"(?P<month>\d\d)"),
    ("02", r"(?P<day>\d\d)"),
    ("03", r"(?P<hour12>\d\d)"),
    ("04", r"(?P<minute>\d\d)"),
    ("05", r"(?P<second>\d\d)"),
    ("06", r"(?P<short_year>\d\d)"),
    ("15", r"(?P<hour>\d\d?)"),
    ("PM", r"(?P<half>[AaPp][Mm])"),
    ("pm", r"(?P<half>[AaPp][Mm])"),
    ("_2", r"(?P<day>[ \d]?\d)"),
    ("1", r"(?P<month>\d\d?)"),
    ("2", r"(?P<day>\d\d?)"),
    ("3", r"(?P<hour12>\d\d?)"),
    ("4", r"(?P<minute>\d\d?)"),
    ("5", r"(?P<second>\d\d?)"),
)
_FRACTION = re.compile(r"([.,])(0+|9+)(?!\d)")
_SECONDS = ("05", "5")


def go_time(layout: str, location: str = "") -> ReadTime:
    """A reader of this layout; times that name no zone are in `location`, else UTC. Raises ValueError."""
    if layout in _UNIX:
        scale = _UNIX[layout]
        return lambda text: _unix(text, scale)
    try:
        zone: tzinfo = ZoneInfo(location) if location else UTC
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"location {location!r} is no time zone such as Europe/Berlin") from error
    pattern = _compiled(NAMED.get(layout, layout))
    return lambda text: _read(pattern, text, zone)


def _unix(text: str, scale: int) -> int:
    whole, _, fraction = text.strip().partition(".")
    nanoseconds = int(whole) * scale + (int(float(f"0.{fraction}") * scale) if fraction else 0)
    if not 0 < nanoseconds < 2**63:
        raise ValueError(f"{text[:40]!r} is no Unix time")
    return nanoseconds


def _compiled(layout: str) -> re.Pattern[str]:
    parts: list[str] = []
    named: set[str] = set()
    position = 0
    while position < len(layout):
        if (fraction := _FRACTION.match(layout, position)) and parts:
            # A layout of nines takes any number of digits and none at all, one of zeros what stands there.
            parts.append(r"(?:[.,](?P<fraction>\d+))?" if fraction[2][0] == "9" else r"[.,](?P<fraction>\d+)")
            position = fraction.end()
            named.add("fraction")
            continue
        part = next((part for part in _PARTS if layout.startswith(part[0], position)), None)
        name = re.search(r"\?P<(\w+)>", part[1]) if part else None
        if part is None or (name and name[1] in named):
            parts.append(re.escape(layout[position]))
            position += 1
            continue
        parts.append(part[1])
        if name:
            named.add(name[1])
        position += len(part[0])
        if part[0] in _SECONDS and not _FRACTION.match(layout, position):
            parts.append(r"(?:[.,](?P<fraction>\d+))?")  # Go takes a fraction behind seconds in any case
            named.add("fraction")
    if not named & {"day", "month", "month_name", "year", "hour", "minute"}:
        raise ValueError(f"format {layout!r} is no layout such as '2006-01-02 15:04:05', {', '.join([*NAMED, *_UNIX])}")
    return re.compile("".join(parts), re.IGNORECASE)


def _read(pattern: re.Pattern[str], text: str, zone: tzinfo) -> int:
    found = pattern.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"time {text[:60]!r} is not in this format")
    parts = {name: value for name, value in found.groupdict().items() if value is not None}
    moment = datetime(
        _year(parts),
        _month(parts),
        int(parts.get("day", 1)),
        _hour(parts),
        int(parts.get("minute", 0)),
        int(parts.get("second", 0)),
        tzinfo=_zone(parts, zone),
    )
    time_ns = ns_of(moment) + int(parts.get("fraction", "0")[:9].ljust(9, "0"))
    if not 0 < time_ns < 2**63:
        raise ValueError(f"time {text[:60]!r} is not between 1970 and 2262")
    return time_ns


def _year(parts: dict[str, str]) -> int:
    if "year" in parts:
        return int(parts["year"])
    if "short_year" in parts:
        short = int(parts["short_year"])
        return short + (1900 if short >= 69 else 2000)
    return datetime.now(UTC).year  # a layout such as syslog's, which leaves it out


def _month(parts: dict[str, str]) -> int:
    if "month_name" in parts:
        return _MONTHS.index(parts["month_name"].lower()) + 1
    return int(parts.get("month", 1))


def _hour(parts: dict[str, str]) -> int:
    if "hour12" in parts:
        return int(parts["hour12"]) % 12 + (12 if parts.get("half", "").lower() == "pm" else 0)
    return int(parts.get("hour", 0))


def _zone(parts: dict[str, str], otherwise: tzinfo) -> tzinfo:
    if "zone" in parts:
        text = parts["zone"].upper().replace(":", "")
        if text == "Z":
            return UTC
        offset = timedelta(hours=int(text[1:3]), minutes=int(text[3:5] or 0))
        return timezone(-offset if text[0] == "-" else offset)
    if parts.get("zone_name", "").upper() in ("UTC", "GMT"):
        return UTC
    return otherwise
