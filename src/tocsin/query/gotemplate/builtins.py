"""Go's own functions in templates, and a few that both rules and lines have."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus

import re2

from tocsin.query.gotemplate import format as go_format
from tocsin.query.gotemplate.parse import TemplateError

_GROUP = re.compile(r"\$(?:\{(\w+)\}|(\w+))|\$\$")


def truth(value: Any) -> bool:
    """Go's: zero, empty and nil are false; NaN is not zero."""
    return bool(value)


def index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, "")
        elif isinstance(value, list | tuple | str) and isinstance(key, int) and 0 <= key < len(value):
            value = value[key]
        else:
            raise TemplateError(f"error calling index: no {go_format.shown(key)} in {go_format.shown(value)[:40]}")
    return value


def compared(name: str) -> Callable[..., bool]:
    def compare(left: Any, *rights: Any) -> bool:
        if not rights:
            raise TemplateError(f"error calling {name}: missing argument for comparison")
        if name == "eq":
            return any(_same_kind(name, left, right) and left == right for right in rights)
        right = rights[0]
        _same_kind(name, left, right)
        return bool({"ne": left != right}.get(name) if name == "ne" else _ordered(name, left, right))

    return compare


def _ordered(name: str, left: Any, right: Any) -> bool:
    match name:
        case "lt":
            return bool(left < right)
        case "le":
            return bool(left <= right)
        case "gt":
            return bool(left > right)
    return bool(left >= right)


def _same_kind(name: str, left: Any, right: Any) -> bool:
    kinds = [str if isinstance(one, str) else bool if isinstance(one, bool) else float for one in (left, right)]
    if kinds[0] is not kinds[1]:
        raise TemplateError(f"error calling {name}: incompatible types for comparison")
    return True


def title(text: str) -> str:
    return re.sub(r"(^|[^\w'])(\w)", lambda match: match[1] + match[2].upper(), text)


def printed(*values: Any) -> str:
    """Spaces between operands when neither is a string, as fmt.Sprint."""
    out = ""
    for place, value in enumerate(values):
        if place and not isinstance(value, str) and not isinstance(values[place - 1], str):
            out += " "
        out += go_format.shown(value)
    return out


def _length(value: Any) -> int:
    if not isinstance(value, str | list | tuple | Mapping):
        raise TemplateError(f"error calling len: {go_format.shown(value)[:40]} has no length")
    return len(value.encode()) if isinstance(value, str) else len(value)


def replace_all(pattern: str, replacement: str, text: str) -> str:
    """Go's regexp.ReplaceAllString: $1 and ${name} in the replacement."""
    wanted = compiled(pattern)

    def expanded(match: Any) -> str:
        def group(found: re.Match[str]) -> str:
            name = found[1] or found[2]
            if name is None:
                return "$"
            try:
                return match.group(int(name) if name.isdigit() else name) or ""
            except (IndexError, KeyError, re2.error):
                return ""

        return _GROUP.sub(group, replacement)

    out, at = [], 0
    for match in wanted.finditer(text):
        out += [text[at : match.start()], expanded(match)]
        at = match.end()
    return "".join([*out, text[at:]])


def compiled(pattern: str) -> Any:
    try:
        return re2.compile(pattern)
    except re2.error as error:
        raise TemplateError(f"cannot use '{pattern[:60]}' as a regular expression: {error}") from error


BUILTINS: dict[str, Callable[..., Any]] = {
    "not": lambda value: not truth(value),
    **{name: compared(name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    "len": _length,
    "index": index,
    "print": printed,
    "println": lambda *values: " ".join(go_format.shown(one) for one in values) + "\n",
    "printf": lambda form, *values: go_format.sprintf(str(form), list(values)),
    "html": lambda *values: html.escape(printed(*values)),
    "urlquery": lambda *values: quote_plus(printed(*values)),
}
