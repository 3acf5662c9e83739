"""Durations, sizes and numbers as LogQL and log lines write them."""

from __future__ import annotations

import math
import re

from tocsin.query.promql.literals import parse_number

_NANOSECONDS = {
    "ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
    "d": 86_400 * 10**9, "w": 604_800 * 10**9, "y": 31_536_000 * 10**9,
}  # fmt: skip
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|[smhdwy])")
_DURATION = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|[smhdwy]))+")
_BYTES = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([kKmMgGtTpPeE]?)([iI]?)([bB]?)")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5, "e": 6}
LONGEST_MS = 100 * 365 * 86_400_000


def duration_seconds(text: str) -> float:
    """`1h30m`, `1.5s`, `250µs`, `0`. Raises ValueError."""
    if text in ("0", "+0", "-0"):
        return 0.0
    if _DURATION.fullmatch(text) is None:
        raise ValueError(f"{text[:40]!r} is no duration such as 1h30m, 1.5s or 250ms")
    seconds = math.fsum(float(count) * _NANOSECONDS[unit] for count, unit in _PART.findall(text)) / 1e9
    return -seconds if text[0] == "-" else seconds


def duration_ms(text: str) -> int:
    """The same in whole milliseconds, for ranges and offsets. Raises ValueError."""
    nanoseconds = sum(round(float(count) * _NANOSECONDS[unit]) for count, unit in _PART.findall(text))
    found = nanoseconds // 1_000_000
    if found > LONGEST_MS:
        raise ValueError("durations end at 100 years")
    return found


def size_bytes(text: str) -> float:
    """`512`, `20MB` (millions), `5KiB` (of 1,024). Raises ValueError."""
    found = _BYTES.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text[:40]!r} is no size such as 512B, 20MB or 5KiB")
    count, prefix, binary, _ = found.groups()
    return float(math.floor(float(count) * (1024 if binary else 1000) ** _POWERS[prefix.lower()]))


_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[iI]nf(?:inity)?|[nN]a[nN])")


def number(text: str) -> float:
    """A number as Go reads one. Raises ValueError."""
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(f"{text[:40]!r} is no number")
    sign = -1.0 if text[0] == "-" else 1.0
    bare = text.lstrip("+-")
    return sign * (parse_number(bare) if bare[:2] in ("0x", "0X") else float(bare))
