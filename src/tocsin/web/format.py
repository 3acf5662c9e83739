"""Numbers, times and lists the way a person says them: the unit that fits, no decimals that nobody reads.

None (no traffic) is shown as an en dash everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

NOTHING = "–"
NARROW = "\u202f"
"""The narrow space between a number and its unit, which never breaks."""

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def number(value: float | None) -> str:
    """Two or three figures that matter: 1,284 · 86 · 4.2 · 0.02; 12.4k from ten thousand, 3.1M from a million."""
    if value is None:
        return NOTHING
    if value < 0:
        return "−" + number(-value)
    for limit, unit, suffix in ((999_500_000, 1e9, "B"), (999_500, 1e6, "M"), (9_999.5, 1e3, "k")):
        if value >= limit:
            return _three_figures(value / unit) + suffix
    return f"{round(value):,}" if value >= 999.5 else _small(value)


def _three_figures(value: float) -> str:
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}".removesuffix(".0")


def _small(value: float) -> str:
    if value >= 9.95 or value == int(value):
        return f"{value:.0f}"
    if value >= 0.095:
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:.2f}" if value >= 0.005 else "<0.01"


def percent(ratio: float | None) -> str:
    """A ratio 0-1 as per cent without the sign: 41.8 · 2.3 · 0.02 · 0 · 100."""
    if ratio is None:
        return NOTHING
    value = ratio * 100
    if 99.95 <= value < 100:
        return f"{min(value, 99.99):.2f}"
    if value == int(value):
        return f"{value:.0f}"
    if value >= 0.995:
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:.2f}" if value >= 0.005 else "<0.01"


def share(ratio: float | None) -> str:
    """A part of a whole in whole per cent: 32 · 1 · <1 · 0."""
    if ratio is None:
        return NOTHING
    return "<1" if 0 < ratio < 0.005 else f"{ratio * 100:.0f}"


def duration_parts(seconds: float | None) -> tuple[str, str]:
    """The number and the unit of a duration apart, so that a tile can print the unit small: ('412', 'ms')."""
    if seconds is None:
        return NOTHING, ""
    if seconds < 0:
        value, unit = duration_parts(-seconds)
        return "−" + value, unit
    for limit, factor, unit in ((0.000_999_5, 1e6, "µs"), (0.9995, 1e3, "ms"), (59.995, 1, "s")):
        if seconds < limit:
            return _figures(seconds * factor), unit
    return _long(seconds), ""


def _figures(value: float) -> str:
    if value >= 99.5:
        return f"{value:.0f}"
    if value >= 9.95:
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _long(seconds: float) -> str:
    """Two neighbouring units: 2 min 5 s · 3 h 20 min · 2 d 4 h."""
    whole = round(seconds)
    for size, unit, smaller, smaller_unit in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            count, rest = divmod(whole, size)
            tail = f" {rest // smaller}{NARROW}{smaller_unit}" if rest // smaller else ""
            return f"{count}{NARROW}{unit}{tail}"
    return f"{whole}{NARROW}s"


def duration(seconds: float | None) -> str:
    """412 ms · 3.42 s · 2 min 5 s."""
    value, unit = duration_parts(seconds)
    return f"{value}{NARROW}{unit}" if unit else value


def milliseconds(seconds: float | None) -> str:
    """A duration for a column whose header says ms: 2,910 · 96 · 4.1."""
    return (
        NOTHING if seconds is None else f"{round(seconds * 1e3):,}" if seconds >= 0.00995 else _figures(seconds * 1e3)
    )


def size(count: float | None) -> str:
    """Bytes with decimal units: 812 B · 4.2 kB · 1.3 GB."""
    if count is None:
        return NOTHING
    for limit, factor, unit in ((999.5, 1.0, "B"), (999_500, 1e3, "kB"), (999_500_000, 1e6, "MB"), (1e12, 1e9, "GB")):
        if count < limit:
            return f"{_three_figures(count / factor)}{NARROW}{unit}"
    return f"{_three_figures(count / 1e12)}{NARROW}TB"


def against(now: float | None, before: float | None, than: str) -> str:
    """How a value moved: '+3 % vs the hour before', '12× the hour before', 'as the hour before'; '' without both."""
    if now is None or not before:
        return ""
    ratio = now / before
    if ratio >= 2:
        return f"{number(ratio)}× {than}"
    moved = round((ratio - 1) * 100)
    return f"as {than}" if moved == 0 else f"{'+' if moved > 0 else '−'}{abs(moved)}{NARROW}% vs {than}"


def clock(instant_ns: int, zone: tzinfo, now_ns: int) -> str:
    """When, as short as it stays clear: 14:02 today, Tue 14:02 this week, 3 Nov 14:02 before."""
    moment, now = _local(instant_ns, zone), _local(now_ns, zone)
    if moment.date() == now.date():
        return f"{moment:%H:%M}"
    if 0 <= (now.date() - moment.date()).days < 7:
        return f"{moment:%a %H:%M}"
    year = "" if moment.year == now.year else f" {moment.year}"
    return f"{moment.day} {moment:%b}{year} {moment:%H:%M}"


def timestamp(instant_ns: int, zone: tzinfo) -> str:
    """The exact moment, to the millisecond: 2026-11-21 14:09:31.204."""
    return f"{_local(instant_ns, zone):%Y-%m-%d %H:%M:%S}.{instant_ns // 1_000_000 % 1000:03d}"


def time_of_day(instant_ns: int, zone: tzinfo) -> str:
    """14:09:31.204, where the day is clear."""
    return timestamp(instant_ns, zone)[11:]


def ago(instant_ns: int, now_ns: int) -> str:
    """How long since, in one unit: 'just now', '40 s ago', '7 min ago', '3 days ago'."""
    seconds = max(0, (now_ns - instant_ns) // 1_000_000_000)
    if seconds < 5:
        return "just now"
    for size_seconds, unit in ((86_400, "day"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size_seconds:
            count = seconds // size_seconds
            plural = "s" if unit == "day" and count != 1 else ""
            return f"{count}{NARROW}{unit}{plural} ago"
    return "just now"


def count_word(count: int) -> str:
    """Numbers to twelve as words: 'two', 'no'; larger ones as figures."""
    return WORDS[count] if 0 <= count < len(WORDS) else f"{count:,}"


def all_word(count: int) -> str:
    """How a sentence about all begins: 'Both', 'All three', 'All 14'."""
    return "Both" if count == 2 else f"All {count_word(count)}"


def plural(count: int, one: str, many: str = "") -> str:
    """'1 tenant', '14 tenants', '12.4k requests'."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def join(names: Sequence[str], most: int = 3) -> str:
    """'acme', 'acme and globex', 'acme, globex and 3 more'."""
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def sentence(text: str) -> str:
    """The text with its first letter large, the rest untouched."""
    return text[:1].upper() + text[1:]


def code_line(place: str) -> str:
    """`routes/projects.py:91` of `routes/projects.py:91 in list_projects`."""
    return place.partition(" in ")[0]


def short_id(value: str) -> str:
    """The ends of a long id: 7d1f…c40a."""
    return value if len(value) <= 12 else f"{value[:4]}…{value[-4:]}"


def _local(instant_ns: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(instant_ns // 1_000_000_000, tz=zone)
