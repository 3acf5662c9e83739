"""What templates may call: Go's functions, those that Prometheus adds, and those it shares with Alertmanager."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus, urlsplit

import re2

from tocsin.query.promql.literals import parse_duration_ms, parse_number
from tocsin.query.templates import go_format
from tocsin.query.templates.parse import TemplateError
from tocsin.query.templates.values import HtmlText, Struct

Sample = dict[str, Any]
"""{"Labels": …, "Value": …}, as `query` gives them."""

_GROUP = re.compile(r"\$(?:\{(\w+)\}|(\w+))|\$\$")
_PLAIN_DOMAIN = re.compile(r"\d+\.\d+\.\d+\.\d+|\[?[0-9a-fA-F:]*:[0-9a-fA-F:]+\]?")


def number(value: Any) -> float:
    """A number, or a text that is one."""
    if isinstance(value, str):
        try:
            return parse_number(value)
        except ValueError as error:
            raise TemplateError(f"cannot use '{value[:40]}' as a number: it is none") from error
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TemplateError(f"cannot use {go_format.shown(value)[:40]} as a number")
    return float(value)


def truth(value: Any) -> bool:
    """Go's: zero, empty and nil are false; NaN is not zero."""
    return bool(value) or isinstance(value, Struct)


def first(samples: Sequence[Sample]) -> Sample:
    if not samples:
        raise TemplateError("first() called on vector with no elements")
    return samples[0]


def strip_port(host: str) -> str:
    head, colon, port = host.rpartition(":")
    return head.strip("[]") if colon and port.isdigit() and (":" not in head or head.startswith("[")) else host


def strip_domain(host: str) -> str:
    bare = strip_port(host)
    port = host[len(bare) :] if host.startswith(bare) else ""
    return host if _PLAIN_DOMAIN.fullmatch(bare) else bare.split(".")[0] + port


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


def duration_seconds(text: str) -> float:
    try:
        return parse_duration_ms(text) / 1000
    except ValueError as error:
        raise TemplateError(str(error)) from error


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


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TemplateError(f"wrong type for value; {name} expects string, got {go_format.shown(value)[:40]}")
    return value


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


def _sliced(value: Any, *ends: int) -> Any:
    if not isinstance(value, str | list | tuple) or len(ends) > 2:
        raise TemplateError(f"error calling slice: can't slice {go_format.shown(value)[:40]}")
    return value[slice(*ends)] if len(ends) == 2 else value[ends[0] :] if ends else value


GO: dict[str, Callable[..., Any]] = {
    "not": lambda value: not truth(value),
    **{name: compared(name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    "len": _length,
    "index": index,
    "print": printed,
    "println": lambda *values: " ".join(go_format.shown(one) for one in values) + "\n",
    "printf": lambda form, *values: go_format.sprintf(str(form), list(values)),
    "html": lambda *values: html.escape(printed(*values)),
    "urlquery": lambda *values: quote_plus(printed(*values)),
    "slice": _sliced,
}
"""What every Go template may call; `and` and `or` are the run's."""

BOTH: dict[str, Callable[..., Any]] = {
    "reReplaceAll": replace_all,
    "match": lambda pattern, text: bool(compiled(pattern).search(text)),
    "safeHtml": HtmlText,
    "toUpper": lambda text: _text("toUpper", text).upper(),
    "toLower": lambda text: _text("toLower", text).lower(),
}
"""What Prometheus and Alertmanager add alike."""

PROMETHEUS: dict[str, Callable[..., Any]] = {
    **GO,
    **BOTH,
    "urlQueryEscape": lambda text: quote_plus(str(text)),
    "first": first,
    "label": lambda name, sample: sample["Labels"].get(name, ""),
    "value": lambda sample: sample["Value"],
    "strvalue": lambda sample: sample["Labels"].get("__value__", ""),
    "sortByLabel": lambda name, samples: sorted(samples, key=lambda sample: sample["Labels"].get(name, "")),
    "args": lambda *values: {f"arg{place}": value for place, value in enumerate(values)},
    "title": title,
    "graphLink": lambda expr: f"/graph?g0.expr={quote_plus(expr)}&g0.tab=0",
    "tableLink": lambda expr: f"/graph?g0.expr={quote_plus(expr)}&g0.tab=1",
    "stripPort": strip_port,
    "stripDomain": strip_domain,
    "humanize": lambda value: go_format.humanize(number(value)),
    "humanize1024": lambda value: go_format.humanize1024(number(value)),
    "humanizeDuration": lambda value: go_format.humanize_duration(number(value)),
    "humanizePercentage": lambda value: go_format.humanize_percentage(number(value)),
    "humanizeTimestamp": lambda value: go_format.humanize_timestamp(number(value)),
    "toTime": lambda value: go_format.to_time(number(value)),
    "parseDuration": duration_seconds,
}


def path_prefix(external_url: str) -> str:
    return urlsplit(external_url).path
