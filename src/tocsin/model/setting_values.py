"""Reads one setting's value from what a file, a variable or an option holds, and prints it back."""

from __future__ import annotations

import math
import types
from enum import Enum
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from tocsin.model.settings import ByName, SettingInfo, Unit
from tocsin.model.units import bytes_from, duration_text, seconds_from, size_text

MASK = "********"
TRUE_WORDS = frozenset({"true", "1", "yes", "on"})
FALSE_WORDS = frozenset({"false", "0", "no", "off"})
SECONDS_PER_UNIT = {"seconds": 1.0, "hours": 3600.0, "days": 86400.0}
UNIT_EXAMPLES = {
    "seconds": 'a number of seconds or a duration such as "15m"',
    "hours": 'a number of hours or a duration such as "30d"',
    "days": 'a number of days or a duration such as "36h"',
    "bytes": 'a number of bytes or a size such as "64MB"',
}


class ValueProblem(ValueError):
    """A value of the wrong type; the message says what was expected."""


def read_value(hint: Any, info: SettingInfo, raw: Any, bare_unit: Unit = "") -> Any:
    """`raw` as the field's type `hint`; text is parsed, a bare number counts `bare_unit` or else the field's unit.

    Raises ValueProblem naming what is expected.
    """
    inner, is_optional = unwrapped(hint)
    if raw is None and is_optional:
        return None
    if inner == ByName:
        return _by_name(info, raw)
    if info.unit in UNIT_EXAMPLES and inner in (int, float):
        return _quantity(inner, info.unit, raw, bare_unit or info.unit)
    if get_origin(inner) is tuple:
        return _strings(raw)
    return _plain(inner, raw)


def unwrapped(hint: Any) -> tuple[Any, bool]:
    """(the type inside, whether None is allowed) of a field's type."""
    if get_origin(hint) in (Union, types.UnionType):
        inside = [part for part in get_args(hint) if part is not type(None)]
        return inside[0], len(inside) < len(get_args(hint))
    return hint, False


def type_text(hint: Any, info: SettingInfo) -> str:
    """What a value may be, in words for the reference and for errors."""
    inner, _ = unwrapped(hint)
    if inner == ByName:
        return f"a table of {info.unit} by name (in a variable: name=30d,other=7d)"
    if info.unit in UNIT_EXAMPLES and inner in (int, float):
        return UNIT_EXAMPLES[info.unit]
    if isinstance(inner, type) and issubclass(inner, Enum):
        return "one of " + ", ".join(str(choice.value) for choice in inner)
    if get_origin(inner) is tuple:
        return "a list of texts (in a variable: separated by commas)"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}
    return words.get(inner, str(inner)) + (f" of {info.unit}" if info.unit else "")


def printed(value: Any, info: SettingInfo) -> str:
    """The value as a person would write it; a secret that is set is masked."""
    if value is None or value == "" or value == ():
        return ""
    if info.is_secret:
        return MASK
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)) and info.unit in UNIT_EXAMPLES:
        return size_text(int(value)) if info.unit == "bytes" else duration_text(value * SECONDS_PER_UNIT[info.unit])
    if isinstance(value, tuple):
        return ",".join(_item_text(item, info) for item in value)
    return str(value.value) if isinstance(value, Enum) else str(value)


def _item_text(item: Any, info: SettingInfo) -> str:
    return f"{item[0]}={printed(item[1], info)}" if isinstance(item, tuple) else str(item)


def _by_name(info: SettingInfo, raw: Any) -> ByName:
    if isinstance(raw, str):
        raw = {name: value for name, _, value in (part.partition("=") for part in _strings(raw))}
    if not isinstance(raw, dict) or not all(isinstance(name, str) and name.strip() for name in raw):
        raise ValueProblem(type_text(ByName, info))
    return tuple((name.strip(), _quantity(float, info.unit, value, info.unit)) for name, value in sorted(raw.items()))


def _plain(wanted: Any, raw: Any) -> Any:
    if wanted is bool:
        return _boolean(raw)
    if wanted in (int, float):
        return _number(wanted, raw)
    if wanted is str and isinstance(raw, str):
        return raw
    if wanted is Path and isinstance(raw, (str, Path)):
        return Path(raw)
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return _choice(wanted, raw)
    raise ValueProblem(_expected(wanted))


def _boolean(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    word = raw.strip().lower() if isinstance(raw, str) else None
    if word in TRUE_WORDS or word in FALSE_WORDS:
        return word in TRUE_WORDS
    raise ValueProblem(_expected(bool))


def _number(wanted: type[int] | type[float], raw: Any) -> int | float:
    if isinstance(raw, bool) or not isinstance(raw, (int, float, str)):
        raise ValueProblem(_expected(wanted))
    try:
        number = float(raw)
    except ValueError as error:
        raise ValueProblem(_expected(wanted)) from error
    if not math.isfinite(number) or (wanted is int and number != int(number)):
        raise ValueProblem(_expected(wanted))
    return int(number) if wanted is int else number


def _quantity(wanted: type[int] | type[float], unit: Unit, raw: Any, bare_unit: Unit) -> int | float:
    """A duration or size in the field's unit."""
    try:
        bare = _number(float, raw)
    except ValueProblem:
        return _quantity_with_unit(wanted, unit, raw)
    if bare < 0:
        raise ValueProblem(UNIT_EXAMPLES[unit] + ", not below 0")
    return _number(wanted, bare * SECONDS_PER_UNIT.get(bare_unit, 1.0) / SECONDS_PER_UNIT.get(unit, 1.0))


def _quantity_with_unit(wanted: type[int] | type[float], unit: Unit, raw: Any) -> int | float:
    try:
        amount = bytes_from(raw) if unit == "bytes" else seconds_from(raw) / SECONDS_PER_UNIT[unit]
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueProblem(UNIT_EXAMPLES[unit]) from error
    if wanted is int and amount != int(amount):
        raise ValueProblem(f"{UNIT_EXAMPLES[unit]}, in whole {unit}")
    return wanted(amount)


def _strings(raw: Any) -> tuple[str, ...]:
    if isinstance(raw, str):
        return tuple(part.strip() for part in raw.split(",") if part.strip())
    if isinstance(raw, (list, tuple)) and all(isinstance(part, str) for part in raw):
        return tuple(raw)
    raise ValueProblem("a list of texts, or one text separated by commas")


def _choice(wanted: type[Enum], raw: Any) -> Enum:
    for choice in wanted:
        if raw is choice or (isinstance(raw, str) and raw.strip().lower() == str(choice.value).lower()):
            return choice
    raise ValueProblem(_expected(wanted))


def _expected(wanted: Any) -> str:
    return type_text(wanted, SettingInfo(help=""))
