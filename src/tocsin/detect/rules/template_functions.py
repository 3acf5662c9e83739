"""What a template may call: Go's built-in functions and those that Prometheus adds."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote_plus, urlsplit

from tocsin.query.gotemplate import format as go_format
from tocsin.query.gotemplate.builtins import BUILTINS, compiled, replace_all, title
from tocsin.query.gotemplate.parse import TemplateError
from tocsin.query.promql.literals import parse_duration_ms, parse_number

Sample = dict[str, Any]
"""{"Labels": …, "Value": …}, as `query` gives them."""

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


def duration_seconds(text: str) -> float:
    try:
        return parse_duration_ms(text) / 1000
    except ValueError as error:
        raise TemplateError(str(error)) from error


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **BUILTINS,
    "urlQueryEscape": lambda text: quote_plus(str(text)),
    "first": first,
    "label": lambda name, sample: sample["Labels"].get(name, ""),
    "value": lambda sample: sample["Value"],
    "strvalue": lambda sample: sample["Labels"].get("__value__", ""),
    "sortByLabel": lambda name, samples: sorted(samples, key=lambda sample: sample["Labels"].get(name, "")),
    "args": lambda *values: {f"arg{place}": value for place, value in enumerate(values)},
    "reReplaceAll": replace_all,
    "match": lambda pattern, text: bool(compiled(pattern).search(text)),
    "safeHtml": lambda text: text,
    "title": title,
    "toUpper": lambda text: str(text).upper(),
    "toLower": lambda text: str(text).lower(),
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

IN_CONTEXT = {"and", "or", "query", "tmpl", "externalURL", "pathPrefix"}
"""Functions that need the run of a template rather than their arguments alone."""

NAMES = {*FUNCTIONS, *IN_CONTEXT}


def path_prefix(external_url: str) -> str:
    return urlsplit(external_url).path
