"""Values as Go and Prometheus' template functions print them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

from tocsin.query.promql.literals import format_number, quote
from tocsin.query.templates.go_time import Duration, formatted
from tocsin.query.templates.values import Struct

_VERB = re.compile(r"%([-+# 0]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])")
LARGE, SMALL = ("k", "M", "G", "T", "P", "E", "Z", "Y"), ("m", "u", "n", "p", "f", "a", "z", "y")
_WIDEST = 200


def shown(value: Any) -> str:
    """As `%v` prints it."""
    match value:
        case None:
            return "<no value>"
        case bool():
            return "true" if value else "false"
        case float():
            return float_text(value)
        case datetime():
            return time_text(value)
        case Duration():
            return str(value)
        case Struct():
            return "{" + " ".join(shown(one) for one in value.values()) + "}"
        case dict():
            return "map[" + " ".join(f"{key}:{shown(value[key])}" for key in sorted(value)) + "]"
        case list() | tuple():
            return "[" + " ".join(shown(one) for one in value) + "]"
    return str(value)


def float_text(value: float) -> str:
    """The shortest digits that read back as the same, with an exponent below 1e-4 and from 1e6 on."""
    if not math.isfinite(value) or value == 0:
        return format_number(value)
    text = next(text for digits in range(18) if float(text := f"{value:.{digits}e}") == value)
    mantissa, _, exponent = text.partition("e")
    power = int(exponent)
    if -4 <= power < 6:
        return format_number(value)
    return f"{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"


def four(value: float) -> str:
    """`%.4g`."""
    if not math.isfinite(value):
        return format_number(value)
    return f"{value:.4g}"


def humanize(value: float) -> str:
    if value == 0 or not math.isfinite(value):
        return four(value)
    prefix = ""
    if abs(value) >= 1:
        value, prefix = _scaled(value, LARGE, 1000)
    else:
        value, prefix = _raised(value)
    return four(value) + prefix


def humanize1024(value: float) -> str:
    if abs(value) <= 1 or not math.isfinite(value):
        return four(value)
    value, prefix = _scaled(value, tuple(f"{one}i" for one in ("k", *LARGE[1:])), 1024)
    return four(value) + prefix


def humanize_duration(value: float) -> str:
    if not math.isfinite(value):
        return four(value)
    if value == 0:
        return "0s"
    if abs(value) < 1:
        scaled, prefix = _raised(value)
        return f"{four(scaled)}{prefix}s"
    sign, value = ("-", -value) if value < 0 else ("", value)
    whole = int(value)
    days, hours, minutes, seconds = whole // 86_400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    if minutes:
        return f"{sign}{minutes}m {seconds}s"
    return f"{sign}{four(value)}s"


def humanize_percentage(value: float) -> str:
    return f"{four(value * 100)}%"


def humanize_timestamp(value: float) -> str:
    if not math.isfinite(value):
        return four(value)
    return time_text(to_time(value))


def to_time(value: float) -> datetime:
    """Raises ValueError for a time that is none."""
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(f"{format_number(value)} cannot be represented as a time") from error


def time_text(moment: datetime) -> str:
    return formatted(moment, "2006-01-02 15:04:05.999999999 -0700 MST")


def _scaled(value: float, prefixes: tuple[str, ...], base: int) -> tuple[float, str]:
    prefix = ""
    for one in prefixes:
        if abs(value) < base:
            break
        prefix, value = one, value / base
    return value, prefix


def _raised(value: float) -> tuple[float, str]:
    prefix = ""
    for one in SMALL:
        if abs(value) >= 1:
            break
        prefix, value = one, value * 1000
    return value, prefix


def sprintf(form: str, values: list[Any]) -> str:
    """Go's fmt.Sprintf for the verbs that templates use."""
    left = list(values)

    def fill(match: re.Match[str]) -> str:
        flags, width, precision, verb = match.groups()
        if verb == "%":
            return "%"
        if not left:
            return f"%!{verb}(MISSING)"
        text = _verb(verb, left.pop(0), flags, precision)
        return _padded(text, flags, min(int(width), _WIDEST)) if width else text

    text = _VERB.sub(fill, form)
    if left:
        text += "%!(EXTRA " + ", ".join(f"{_kind(one)}={shown(one)}" for one in left) + ")"
    return text


def _verb(verb: str, value: Any, flags: str, precision: str | None) -> str:
    digits = min(int(precision), _WIDEST) if precision else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if verb in "feEgG" and is_number and isinstance(value, float):
        return _float(verb, value, flags, digits)
    if verb in "dxXob" and is_number and isinstance(value, int):
        return ("+" if "+" in flags and value >= 0 else "") + format(value, verb)
    if verb == "v":
        return shown(value)
    if verb == "s" and not is_number and not isinstance(value, bool):
        text = shown(value)
        return text if digits is None else text[:digits]
    if verb == "q" and isinstance(value, str):
        return quote(value)
    if verb == "t" and isinstance(value, bool):
        return shown(value)
    if verb == "x" and isinstance(value, str):
        return value.encode().hex()
    return f"%!{verb}({_kind(value)}={shown(value)})"


def _float(verb: str, value: float, flags: str, digits: int | None) -> str:
    if not math.isfinite(value):
        text = format_number(value)
        return text if "+" in flags else text.removeprefix("+")
    if verb in "gG" and digits is None:
        text = float_text(value)
    else:
        text = format(value, f".{6 if digits is None else digits}{verb}")
    return f"+{text}" if "+" in flags and value >= 0 else text


def _padded(text: str, flags: str, width: int) -> str:
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags:
        sign, rest = (text[0], text[1:]) if text[:1] in "+-" and text else ("", text)
        return sign + rest.rjust(width - len(sign), "0")
    return text.rjust(width)


def _kind(value: Any) -> str:
    kinds: dict[type, str] = {str: "string", float: "float64", int: "int", bool: "bool"}
    return kinds.get(type(value), "map[string]string" if isinstance(value, dict) else "<nil>")
