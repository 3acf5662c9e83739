"""Numbers, durations and strings between text and value, by the rules of Go's strconv that Prometheus uses."""

from __future__ import annotations

import math
import re

DURATION_MS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_LONGEST_MS = (2**63 - 1) // 1_000_000  # a Go duration is nanoseconds in 64 bits
_OCTAL = re.compile(r"0[0-7_]+")

_ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34}
_NAMED = {7: "\\a", 8: "\\b", 12: "\\f", 10: "\\n", 13: "\\r", 9: "\\t", 11: "\\v", 92: "\\\\", 34: '\\"'}


def parse_number(text: str) -> float:
    """Decimal, hexadecimal, octal (leading zero), with `_` between digits, Inf and NaN. Raises ValueError."""
    if _OCTAL.fullmatch(text):
        return float(int(text.replace("_", ""), 8))
    if text[:2] in ("0x", "0X"):
        return float(int(text, 16))
    return float(text)


def parse_duration_ms(text: str) -> int:
    """`1h30m` in milliseconds. Raises ValueError with Prometheus' words."""
    if text == "0":
        return 0
    if not text:
        raise ValueError("empty duration string")
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"not a valid duration string: {quote(text)}")
    duration_ms = sum(
        int(count) * unit for count, unit in zip(match.groups(), DURATION_MS.values(), strict=True) if count
    )
    if duration_ms > _LONGEST_MS:
        raise ValueError("duration out of range")
    return duration_ms


def format_duration(duration_ms: int) -> str:
    """The shortest text of units that divide it, as `1h30m`; years, weeks and days only when they divide exactly."""
    if duration_ms == 0:
        return "0s"
    sign, rest = ("-", -duration_ms) if duration_ms < 0 else ("", duration_ms)
    text = ""
    for unit in ("y", "w", "d"):
        if rest % DURATION_MS[unit] == 0 and rest:
            text += f"{rest // DURATION_MS[unit]}{unit}"
            rest = 0
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, DURATION_MS[unit])
        if count:
            text += f"{count}{unit}"
    return sign + text


def format_float(value: float) -> str:
    """As Prometheus' API prints a sample value: shortest digits that round-trip, never an exponent."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(float(value))  # a NumPy float has another repr
    if "e" in text:
        text = _without_exponent(text)
    return text.removesuffix(".0")


def _without_exponent(text: str) -> str:
    mantissa, exponent = text.split("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    shift = int(exponent)
    if shift < 0:
        digits = "0" * (-shift) + whole + fraction
        return f"{sign}{digits[: len(digits) - len(fraction) + shift - (len(whole) - 1)] or '0'}." + (
            "0" * (-shift - 1) + whole + fraction
        )
    digits = whole + fraction.ljust(shift, "0")
    return sign + digits[: len(whole) + shift] + ("." + digits[len(whole) + shift :] if len(fraction) > shift else "")


def format_number(value: float) -> str:
    """As Go's `%v` and `%g` print a float: an exponent below 1e-4 and from 1e21 on."""
    if math.isnan(value) or math.isinf(value):
        return format_float(value)
    if value != 0 and not 1e-4 <= abs(value) < 1e21:
        mantissa, _, exponent = repr(float(value)).partition("e")
        if not exponent:
            mantissa, _, exponent = _scientific(value).partition("e")
        power = int(exponent)
        return f"{mantissa.removesuffix('.0')}e{'-' if power < 0 else '+'}{abs(power):02d}"
    return format_float(value)


def _scientific(value: float) -> str:
    for digits in range(17):
        text = f"{value:.{digits}e}"
        if float(text) == value:
            return text
    return f"{value:.17e}"


def quote(text: str) -> str:
    """In double quotes, with Go's escapes: a quoted string reads back as itself, whatever it holds."""
    out = ['"']
    for character in text:
        code = ord(character)
        if code in _NAMED:
            out.append(_NAMED[code])
        elif 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8
            out.append(f"\\x{code - 0xDC00:02x}")
        elif character.isprintable() or character == " ":
            out.append(character)
        elif code < 0x80:
            out.append(f"\\x{code:02x}")
        else:
            out.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return "".join(out) + '"'


def unquote(text: str) -> str:
    """The value of a string literal, quotes included; the lexer has checked its escapes."""
    body = text[1:-1]
    if text[0] == "`":
        return body.replace("\r", "")
    if "\\" not in body:
        return body
    out = bytearray()
    at = 0
    while at < len(body):
        character = body[at]
        at += 1
        if character != "\\":
            out += character.encode("utf-8", "surrogateescape")
            continue
        kind = body[at]
        at += 1
        if kind in _ESCAPES:
            out.append(_ESCAPES[kind])
        elif kind == "x":
            out.append(int(body[at : at + 2], 16))
            at += 2
        elif kind in "uU":
            width = 4 if kind == "u" else 8
            out += chr(int(body[at : at + width], 16)).encode()
            at += width
        else:
            out.append(int(body[at - 1 : at + 2], 8))
            at += 2
    return out.decode("utf-8", "surrogateescape")
