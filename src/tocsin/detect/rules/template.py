"""Fills the templates of labels and annotations, as Prometheus' rule templates are filled.

A template that fails gives a text that says so: an alert without its words is better than no alert.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tocsin.query.templates.functions import PROMETHEUS, Sample, path_prefix
from tocsin.query.templates.parse import Template, TemplateError, parse_template
from tocsin.query.templates.run import IN_RUN, carried_out

__all__ = ["Subject", "TemplateError", "check_template", "filled"]

VARIABLES = ("$labels", "$value", "$externalLabels", "$externalURL")
_NAMES = frozenset({*PROMETHEUS, *IN_RUN, "query", "externalURL", "pathPrefix"})

Ask = Callable[[str], Sequence[Sample]]
"""Evaluates the PromQL of `query` at the time of the rule."""


def _no_query(text: str) -> Sequence[Sample]:
    raise TemplateError(f"cannot ask '{text[:60]}': there is nothing to query here")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a template is filled with. value None: there is none yet, as when a file is checked."""

    labels: Mapping[str, str]
    value: float
    external_labels: Mapping[str, str] = field(default_factory=dict)
    external_url: str = ""
    ask: Ask = _no_query


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Template:
    return parse_template(text, _NAMES, VARIABLES)


def check_template(text: str) -> None:
    """Raises TemplateError when the text cannot be a template."""
    if "{{" in text:
        _parsed(text)


def filled(text: str, subject: Subject) -> str:
    """The text with its actions carried out. Raises TemplateError."""
    if "{{" not in text:
        return text
    dot: dict[str, Any] = {
        "Labels": dict(subject.labels), "Value": subject.value,
        "ExternalLabels": dict(subject.external_labels), "ExternalURL": subject.external_url,
    }  # fmt: skip
    values = (dot["Labels"], subject.value, dot["ExternalLabels"], subject.external_url)
    variables = dict(zip(VARIABLES, values, strict=True))
    functions: dict[str, Callable[..., Any]] = {
        **PROMETHEUS,
        "query": lambda text: list(subject.ask(str(text))),
        "externalURL": lambda: subject.external_url,
        "pathPrefix": lambda: path_prefix(subject.external_url),
    }
    return carried_out(_parsed(text), functions, dot, variables)
