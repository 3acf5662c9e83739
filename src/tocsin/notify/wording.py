"""Fills the templates in a channel's settings for one notification; a field whose template fails keeps our words."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from tocsin.query.templates.parse import TemplateError

HTML_FIELDS = frozenset({"html"})

Expand = Callable[[str, bool], str]
"""Carries out a template; whether it is HTML. Raises TemplateError."""


def worded(settings: Any, expand: Expand) -> tuple[Any, dict[str, str]]:
    """The settings with every template carried out, and what failed by field. Those fields are as if not set."""
    changes: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        try:
            if isinstance(value, str) and "{{" in value:
                changes[field.name] = expand(value, field.name in HTML_FIELDS)
            elif isinstance(value, tuple) and any(isinstance(one, str) and "{{" in one for one in value):
                changes[field.name] = tuple(expand(one, False) for one in value)
        except TemplateError as error:
            failed[field.name] = str(error)
            changes[field.name] = "" if isinstance(value, str) else ()
    return (dataclasses.replace(settings, **changes) if changes else settings), failed


def has_templates(settings: Any) -> bool:
    """Whether there is anything to fill, which most settings have not."""
    values = (getattr(settings, field.name) for field in dataclasses.fields(settings))
    return any("{{" in text for value in values for text in ((value,) if isinstance(value, str) else _texts(value)))


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, tuple) else ()
