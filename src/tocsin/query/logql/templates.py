"""Templates of `line_format` and `label_format`: Go's, with Loki's functions; the dot holds the labels of a line."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import urllib.parse
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from tocsin.query.logql.literals import duration_seconds, size_bytes
from tocsin.query.templates.functions import GO, compiled, printed, replace_all, title, truth
from tocsin.query.templates.go_format import shown
from tocsin.query.templates.parse import Template, TemplateError, parse_template
from tocsin.query.templates.run import carried_out

__all__ = ["TemplateError", "filled", "parsed"]

LONGEST_TEXT = 65_536
_IN_CONTEXT = ("__line__", "__timestamp__")
_LAYOUT = re.compile(
    r"2006|01|02|03|04|05|06|15|January|Jan|Monday|Mon|_2|PM|pm|MST|Z07:00|-07:00|-0700|Z0700|\.0+|\.9+|,0+|1|2|3"
)


def _integer(value: Any) -> int:
    """Go's cast: what is no number is 0."""
    if isinstance(value, str):
        try:
            return int(value, 10)
        except ValueError:
            return int(_decimal(value))
    return int(value) if isinstance(value, int | float) else 0


def _decimal(value: Any) -> float:
    if isinstance(value, str):
        try:
            found = float(value)
        except ValueError:
            return 0.0
        return found if math.isfinite(found) else 0.0
    return float(value) if isinstance(value, int | float) else 0.0


def _divided(left: Any, right: Any) -> int:
    below = _integer(right)
    if below == 0:
        raise TemplateError("division by zero")
    above = _integer(left)
    return int(math.copysign(abs(above) // abs(below), above * below)) if above else 0


def _remainder(left: Any, right: Any) -> int:
    return _integer(left) - _divided(left, right) * _integer(right)


def _part(start: Any, end: Any, text: Any) -> str:
    """substr: a start below 0 is the beginning, an end below 0 or behind the text its end."""
    first, last, whole = max(0, _integer(start)), _integer(end), shown(text)
    return whole[first:] if last < 0 or last > len(whole) else whole[first:last]


def _truncated(count: Any, text: Any) -> str:
    size, whole = _integer(count), shown(text)
    return whole[size:] if size < 0 else whole[:size]


def _padded(count: Any, text: Any, side: str) -> str:
    width, whole = min(_integer(count), LONGEST_TEXT), shown(text)
    return whole.ljust(width) if side == "right" else whole.rjust(width)


def _repeated(count: Any, text: Any) -> str:
    times, whole = max(0, _integer(count)), shown(text)
    if times * len(whole) > LONGEST_TEXT:
        raise TemplateError(f"repeat makes more than {LONGEST_TEXT} characters")
    return whole * times


def _indented(count: Any, text: Any) -> str:
    return "\n".join(" " * min(_integer(count), 1000) + line for line in shown(text).split("\n"))


def _default(otherwise: Any, value: Any = "") -> Any:
    return value if truth(value) else otherwise


def _from_json(text: Any) -> Any:
    try:
        return json.loads(shown(text))
    except (ValueError, RecursionError) as error:
        raise TemplateError("error calling fromJson: the text is no JSON") from error


def _decoded(text: Any) -> str:
    try:
        return base64.b64decode(shown(text)).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return shown(text)


def _counted(pattern: Any, text: Any) -> int:
    return sum(1 for _ in compiled(shown(pattern)).finditer(shown(text)))


def _replaced_literally(pattern: Any, replacement: Any, text: Any) -> str:
    return replace_all(shown(pattern), shown(replacement).replace("$", "$$"), shown(text))


_CODES = {
    "2006": "%Y", "06": "%y", "01": "%m", "1": "%-m", "January": "%B", "Jan": "%b", "02": "%d", "2": "%-d", "_2": "%e",
    "15": "%H", "03": "%I", "3": "%-I", "04": "%M", "05": "%S", "PM": "%p", "pm": "%P", "Monday": "%A", "Mon": "%a",
    "MST": "UTC", "Z07:00": "Z", "-07:00": "+00:00", "-0700": "+0000", "Z0700": "Z",
}  # fmt: skip


def go_date(layout: str, moment: datetime, nanosecond: int = 0) -> str:
    """A time by Go's layout of the second of January 2006."""

    def fill(found: re.Match[str]) -> str:
        part = found.group()
        if part[0] in ".," and part[1] in "09":
            digits = f"{nanosecond:09d}"[: len(part) - 1]
            return part[0] + digits if part[1] == "0" else (part[0] + digits.rstrip("0")).rstrip(".,")
        return moment.strftime(_CODES[part])

    return _LAYOUT.sub(fill, layout)


def _date(layout: Any, moment: Any) -> str:
    if not isinstance(moment, Moment):
        raise TemplateError("date needs a time such as __timestamp__")
    return go_date(shown(layout), moment.at, moment.ns % 10**9)


class Moment:
    """A time of nanoseconds, as templates hold it."""

    def __init__(self, ns: int) -> None:
        self.ns = ns
        self.at = datetime.fromtimestamp(ns // 10**9, UTC)

    def __str__(self) -> str:
        fraction = f".{self.ns % 10**9:09d}".rstrip("0").rstrip(".")
        return f"{self.at:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


def _to_date(layout: Any, text: Any, *more: Any) -> Moment:
    form = _LAYOUT.sub(lambda found: _CODES.get(found.group(), "").replace("-", ""), shown(layout))
    try:
        return Moment(
            round(datetime.strptime(shown(more[0] if more else text), form).replace(tzinfo=UTC).timestamp()) * 10**9
        )
    except ValueError as error:
        raise TemplateError(f"cannot read {shown(text)[:40]!r} as a time") from error


def _epoch(divisor: int) -> Callable[[Any], str]:
    def epoch(moment: Any) -> str:
        if not isinstance(moment, Moment):
            raise TemplateError("unixEpoch needs a time such as __timestamp__")
        return str(moment.ns // divisor)

    return epoch


def _unix_to_time(text: Any) -> Moment:
    digits = shown(text)
    if not digits.isdecimal() or len(digits) not in (5, 10, 13, 16, 19):
        raise TemplateError(f"cannot read {digits[:40]!r} as a Unix time")
    scale = {5: 86_400 * 10**9, 10: 10**9, 13: 10**6, 16: 10**3, 19: 1}[len(digits)]
    return Moment(int(digits) * scale)


_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": lambda *values: sum(map(_integer, values)),
    "sub": lambda left, right: _integer(left) - _integer(right),
    "mul": lambda *values: math.prod(map(_integer, values)),
    "div": _divided,
    "mod": _remainder,
    "addf": lambda *values: math.fsum(map(_decimal, values)),
    "subf": lambda first, *values: _decimal(first) - math.fsum(map(_decimal, values)),
    "mulf": lambda *values: math.prod(map(_decimal, values)),
    "divf": lambda first, *values: _decimal(first) / math.prod(map(_decimal, values)),
    "ceil": lambda value: float(math.ceil(_decimal(value))),
    "floor": lambda value: float(math.floor(_decimal(value))),
    "round": lambda value, digits, *_: (
        math.floor(_decimal(value) * 10 ** _integer(digits) + 0.5) / 10 ** _integer(digits)
    ),
    "max": lambda *values: max(map(_integer, values)),
    "min": lambda *values: min(map(_integer, values)),
    "maxf": lambda *values: max(map(_decimal, values)),
    "minf": lambda *values: min(map(_decimal, values)),
    "int": _integer,
    "float64": _decimal,
}

_TEXT: dict[str, Callable[..., Any]] = {
    "ToLower": lambda text: shown(text).lower(),
    "ToUpper": lambda text: shown(text).upper(),
    "lower": lambda text: shown(text).lower(),
    "upper": lambda text: shown(text).upper(),
    "title": lambda text: title(shown(text)),
    "Replace": lambda text, old, new, count: shown(text).replace(shown(old), shown(new), _integer(count)),
    "replace": lambda old, new, text: shown(text).replace(shown(old), shown(new)),
    "Trim": lambda text, cut: shown(text).strip(shown(cut)),
    "TrimLeft": lambda text, cut: shown(text).lstrip(shown(cut)),
    "TrimRight": lambda text, cut: shown(text).rstrip(shown(cut)),
    "TrimPrefix": lambda text, cut: shown(text).removeprefix(shown(cut)),
    "TrimSuffix": lambda text, cut: shown(text).removesuffix(shown(cut)),
    "TrimSpace": lambda text: shown(text).strip(),
    "trim": lambda text: shown(text).strip(),
    "trimAll": lambda cut, text: shown(text).strip(shown(cut)),
    "trimPrefix": lambda cut, text: shown(text).removeprefix(shown(cut)),
    "trimSuffix": lambda cut, text: shown(text).removesuffix(shown(cut)),
    "substr": _part,
    "trunc": _truncated,
    "alignLeft": lambda count, text: _padded(count, _truncated(count, text), "right"),
    "alignRight": lambda count, text: _padded(count, shown(text)[-max(_integer(count), 1) :], "left"),
    "indent": _indented,
    "nindent": lambda count, text: "\n" + _indented(count, text),
    "repeat": _repeated,
    "contains": lambda part, text: shown(part) in shown(text),
    "hasPrefix": lambda part, text: shown(text).startswith(shown(part)),
    "hasSuffix": lambda part, text: shown(text).endswith(shown(part)),
    "eq": lambda left, *rights: any(shown(left) == shown(right) for right in rights),
    "regexReplaceAll": lambda pattern, text, replacement: replace_all(shown(pattern), shown(replacement), shown(text)),
    "regexReplaceAllLiteral": lambda pattern, text, replacement: _replaced_literally(pattern, replacement, text),
    "count": _counted,
    "urlencode": lambda text: urllib.parse.quote_plus(shown(text)),
    "urldecode": lambda text: urllib.parse.unquote_plus(shown(text)),
    "b64enc": lambda text: base64.b64encode(shown(text).encode()).decode(),
    "b64dec": _decoded,
    "fromJson": _from_json,
    "default": _default,
    "bytes": lambda text: size_bytes(shown(text)),
    "duration": lambda text: duration_seconds(shown(text)),
    "duration_seconds": lambda text: duration_seconds(shown(text)),
    "adler32": lambda text: str(zlib.adler32(shown(text).encode())),
    "date": _date,
    "toDate": _to_date,
    "unixEpoch": _epoch(10**9),
    "unixEpochMillis": _epoch(10**6),
    "unixEpochNanos": _epoch(1),
    "unixToTime": _unix_to_time,
    "now": lambda: Moment(int(datetime.now(UTC).timestamp()) * 10**9),
    "print": printed,
}

FUNCTIONS = {**GO, **_ARITHMETIC, **_TEXT}


@lru_cache(maxsize=512)
def parsed(text: str) -> Template:
    """Raises TemplateError."""
    return parse_template(text, {*FUNCTIONS, *_IN_CONTEXT, "and", "or"})


def filled(template: Template, labels: Mapping[str, str], line: str, time_ns: int) -> str:
    """Raises TemplateError."""
    of_line = {"__line__": lambda: line, "__timestamp__": lambda: Moment(time_ns)}
    return carried_out(template, {**FUNCTIONS, **of_line}, dict(labels))
