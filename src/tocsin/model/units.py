"""Durations and sizes as people write them: "30d", "15m", "250ms", "64MB"."""

from __future__ import annotations

import re

SECONDS_PER = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
BYTES_PER = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
BYTES_PER |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
BYTES_PER_LOWER = {unit.lower(): factor for unit, factor in BYTES_PER.items()}

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]+)")


def seconds_from(text: str) -> float:
    """Seconds in a duration such as "250ms", "15m" or "1h30m".

    Raises ValueError when a part has no unit or is no number.
    """
    compact = text.strip()
    parts = _DURATION_PART.findall(compact)
    if not parts or _DURATION_PART.sub("", compact).strip():
        raise ValueError(f"cannot read duration '{text}': expected a number and ms, s, m, h, d or w, such as 15m")
    return sum(float(number) * SECONDS_PER[unit] for number, unit in parts)


def days_from(text: str) -> int:
    """Whole days in "30days", "30 days", "30d", "4 weeks", "720h" or "30".

    Raises ValueError for less than a day, parts of days and anything else.
    """
    compact = re.sub(r"\s+", "", text.lower())
    compact = f"{compact}d" if compact.isdecimal() else re.sub(r"(day|week|hour)s?$", lambda it: it[1][0], compact)
    try:
        days = seconds_from(compact) / SECONDS_PER["d"]
    except ValueError:
        days = 0
    if days < 1 or days != int(days) or days > 36_600:
        raise ValueError(f"cannot read age '{text[:40]}': expected whole days, 1 or more, such as 30days or 30d")
    return int(days)


def bytes_from(text: str) -> int:
    """Bytes in a size such as "64MB" (10^6) or "64MiB" (2^20); the case of the unit does not matter.

    Raises ValueError when the unit is missing or unknown.
    """
    found = _SIZE.fullmatch(text.strip())
    factor = BYTES_PER_LOWER.get(found[2].lower()) if found else None
    if found is None or factor is None:
        raise ValueError(f"cannot read size '{text}': expected a number and B, kB, MB, GB, KiB, MiB or GiB, as in 64MB")
    return int(float(found[1]) * factor)


def duration_text(seconds: float) -> str:
    """The shortest exact way to write a duration: 900.0 gives "15m"."""
    for unit in ("d", "h", "m", "s"):
        if seconds and seconds % SECONDS_PER[unit] == 0:
            return f"{seconds / SECONDS_PER[unit]:.0f}{unit}"
    return f"{seconds * 1000:g}ms" if seconds else "0s"


def size_text(size_bytes: int) -> str:
    """The shortest exact way to write a size: 64000000 gives "64MB"."""
    for unit in ("TB", "GB", "MB", "kB", "TiB", "GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % BYTES_PER[unit] == 0:
            return f"{size_bytes // BYTES_PER[unit]}{unit}"
    return f"{size_bytes}B"
