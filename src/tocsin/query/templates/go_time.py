"""Go's time layouts and durations. Source: the documentation of Go's package time."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_LAYOUT = re.compile(
    r"2006|January|Jan|Monday|Mon|MST|002|Z07:00|Z0700|-07:00|-0700|-07|[.,]0+(?!\d)|[.,]9+(?!\d)"
    r"|01|02|03|04|05|06|15|PM|pm|_2|1|2|3|4|5"
)


class Duration(int):
    """Nanoseconds, shown as 1h30m0s."""

    @classmethod
    def of(cls, given: timedelta) -> Duration:
        return cls(round(given / timedelta(microseconds=1)) * 1000)

    def rounded(self, to: int) -> Duration:
        """To the nearest multiple, halves away from zero."""
        if to <= 0:
            return self
        whole = (abs(self) + to // 2) // to * to
        return Duration(-whole if self < 0 else whole)

    def __str__(self) -> str:
        if not int(self):
            return "0s"
        sign, left = ("-", -int(self)) if self < 0 else ("", int(self))
        for below, size, unit in ((1000, 1, "ns"), (1_000_000, 1000, "µs"), (1_000_000_000, 1_000_000, "ms")):
            if left < below:
                return f"{sign}{_plain(left / size)}{unit}"
        minutes, rest = divmod(left, 60_000_000_000)
        hours, minutes = divmod(minutes, 60)
        made = f"{_plain(rest / 1e9)}s"
        if hours:
            return f"{sign}{hours}h{minutes}m{made}"
        return f"{sign}{minutes}m{made}" if minutes else f"{sign}{made}"

    __repr__ = __str__


def _plain(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")


def formatted(moment: datetime, layout: str) -> str:
    """The time by a layout, which is Go's reference time written as one wants it."""
    return _LAYOUT.sub(lambda match: _part(moment, match[0]), layout)


def _part(moment: datetime, word: str) -> str:
    if word[0] in ".,":
        digits = f"{moment.microsecond * 1000:09d}"[: len(word) - 1]
        if word[1] == "0":
            return word[0] + digits
        digits = digits.rstrip("0")
        return word[0] + digits if digits else ""
    if word[0] in "Z-":
        return _offset(moment, word)
    match word:
        case "_2":
            return f"{moment.day:2d}"
        case "002":
            return f"{moment.timetuple().tm_yday:03d}"
        case "2006":
            return f"{moment.year:04d}"
        case "MST":
            return moment.tzname() or "UTC"
    short = {"1": "%m", "2": "%d", "3": "%I", "4": "%M", "5": "%S"}
    if word in short:
        return moment.strftime(short[word]).lstrip("0") or "0"
    long = {
        "January": "%B", "Jan": "%b", "Monday": "%A", "Mon": "%a", "01": "%m", "02": "%d", "03": "%I", "04": "%M",
        "05": "%S", "06": "%y", "15": "%H", "PM": "%p", "pm": "%p",
    }  # fmt: skip
    made = moment.strftime(long[word])
    return made.lower() if word == "pm" else made


def _offset(moment: datetime, word: str) -> str:
    seconds = round((moment.utcoffset() or timedelta()).total_seconds())
    if word[0] == "Z" and not seconds:
        return "Z"
    hours, minutes = divmod(abs(seconds) // 60, 60)
    sign = "-" if seconds < 0 else "+"
    if word == "-07":
        return f"{sign}{hours:02d}"
    return f"{sign}{hours:02d}{':' if ':' in word else ''}{minutes:02d}"
