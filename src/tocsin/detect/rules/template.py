"""Fills the templates of labels and annotations, within bounds, as Prometheus' rule templates are filled.

A template that fails gives a text that says so: an alert without its words is better than no alert.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tocsin.detect.rules import template_functions as functions
from tocsin.query.gotemplate.parse import Template, TemplateError, parse_template
from tocsin.query.gotemplate.run import Run

__all__ = ["Subject", "TemplateError", "check_template", "filled"]

VARIABLES = ("$", "$labels", "$value", "$externalLabels", "$externalURL")

Ask = Callable[[str], Sequence[functions.Sample]]
"""Evaluates the PromQL of `query` at the time of the rule."""


def _no_query(text: str) -> Sequence[functions.Sample]:
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
    return parse_template(text, functions.NAMES, VARIABLES)


def check_template(text: str) -> None:
    """Raises TemplateError when the text cannot be a template."""
    if "{{" in text:
        _parsed(text)


def filled(text: str, subject: Subject) -> str:
    """The text with its actions carried out. Raises TemplateError."""
    if "{{" not in text:
        return text
    dot = {
        "Labels": dict(subject.labels), "Value": subject.value,
        "ExternalLabels": dict(subject.external_labels), "ExternalURL": subject.external_url,
    }  # fmt: skip
    values = (dot, dot["Labels"], subject.value, dot["ExternalLabels"], subject.external_url)
    return _Run(_parsed(text), subject).text(dot, dict(zip(VARIABLES, values, strict=True)))


class _Run(Run):
    def __init__(self, template: Template, subject: Subject) -> None:
        super().__init__(template, functions.FUNCTIONS)
        self._subject = subject

    def called(self, name: str, arguments: list[Any]) -> Any:
        match name:
            case "query":
                return list(self._subject.ask(str(arguments[0])))
            case "externalURL":
                return self._subject.external_url
            case "pathPrefix":
                return functions.path_prefix(self._subject.external_url)
            case "tmpl":
                return self.captured(str(arguments[0]), arguments[1] if len(arguments) > 1 else None)
        return super().called(name, arguments)
