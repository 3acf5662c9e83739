"""Carries out the Go templates of an alertmanager.yml: those in fields of receivers, and the files it names.

Source: prometheus.io/docs/alerting/latest/notifications (data, functions) and the documentation of Go's html/template
for what a value becomes in HTML.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_plus

import orjson

from tocsin.model.notification import Notification
from tocsin.notify.default_templates import DEFAULT_TEMPLATES
from tocsin.notify.render import html_of, text_of
from tocsin.notify.template_data import data_of, plain
from tocsin.query.templates import go_format
from tocsin.query.templates.functions import BOTH, GO, number
from tocsin.query.templates.go_time import Duration, formatted
from tocsin.query.templates.parse import Template, TemplateError, parse_template
from tocsin.query.templates.parse import Text as TextNode
from tocsin.query.templates.run import IN_RUN, carried_out
from tocsin.query.templates.values import HtmlText, in_zone, since

OUR_MAIL = "email.default.html"
_WORD = re.compile(r"\w[\w']*")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "+": "&#43;", "\0": "\ufffd"}
_ADDRESS = re.compile(r"""(?:href|src|action)\s*=\s*(?:"[^"]*|'[^']*|[^\s"'>]*)$""", re.IGNORECASE)
_SCHEME = re.compile(r"[^/?#]*:")
_SAFE_SCHEMES = ("http:", "https:", "mailto:")


def _titled(text: str) -> str:
    return _WORD.sub(lambda match: match[0][:1].upper() + match[0][1:].lower(), text)


def _duration_text(value: Any) -> str:
    if isinstance(value, Duration):
        return go_format.humanize_duration(value / 1e9)
    return go_format.humanize_duration(number(value))


def _joined(separator: str, texts: Sequence[str]) -> str:
    if isinstance(texts, str):
        raise TemplateError("wrong type for value; join expects a list of strings")
    return separator.join(str(one) for one in texts)


def _dictionary(*pairs: Any) -> dict[str, Any]:
    if len(pairs) % 2:
        raise TemplateError("dict needs a value for every key")
    return {str(name): value for name, value in zip(pairs[::2], pairs[1::2], strict=True)}


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **GO,
    **BOTH,
    "title": _titled,
    "trimSpace": lambda text: text.strip(),
    "join": _joined,
    "safeUrl": HtmlText,
    "urlUnescape": unquote_plus,
    "stringSlice": lambda *texts: list(texts),
    "date": lambda layout, moment: formatted(moment, layout),
    "tz": in_zone,
    "since": since,
    "humanizeDuration": _duration_text,
    "toJson": lambda value: orjson.dumps(plain(value)).decode(),
    "list": lambda *values: list(values),
    "append": lambda listed, *values: [*listed, *values],
    "dict": _dictionary,
}
_NAMES = frozenset({*FUNCTIONS, *IN_RUN})


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Template:
    return parse_template(text, _NAMES)


@dataclass(frozen=True, slots=True)
class Templates:
    """Templates by name. `expand` carries one out; it fits `contract.Expand`."""

    defined: Mapping[str, tuple[Any, ...]] = field(default_factory=lambda: _parsed(DEFAULT_TEMPLATES).defined)

    @classmethod
    def of_files(cls, files: Iterable[Path]) -> Templates:
        """The default ones, and over them those of files. Raises TemplateError with the file's name."""
        defined = dict(_parsed(DEFAULT_TEMPLATES).defined)
        for file in files:
            try:
                read = parse_template(file.read_text("utf-8"), _NAMES)
            except (TemplateError, OSError, UnicodeDecodeError) as error:
                raise TemplateError(f"cannot use template file '{file}': {error}; correct it there") from error
            defined |= {file.name: read.nodes, **read.defined}
        return cls(defined)

    def expand(self, text: str, notification: Notification, receiver: str, is_html: bool = False) -> str:
        """Raises TemplateError."""
        if "{{" not in text:
            return text
        defined = dict(self.defined)
        if f'"{OUR_MAIL}"' in text and OUR_MAIL not in defined:
            defined[OUR_MAIL] = (TextNode(html_of(text_of(notification))),)
        escape = _html_escaped if is_html else None
        return carried_out(_parsed(text), FUNCTIONS, data_of(notification, receiver), None, defined, escape)


def check_template(text: str) -> None:
    """Raises TemplateError when the text cannot be a template."""
    if "{{" in text:
        _parsed(text)


def _html_escaped(value: Any, before: str) -> str:
    """A value in HTML: text as it stands; an address only where its scheme runs nothing."""
    text = go_format.shown(value)
    if isinstance(value, HtmlText):
        return text
    if _ADDRESS.search(before[-300:]):
        scheme = _SCHEME.match(text)
        if scheme and before[-1:] in "\"'=" and not scheme[0].lower().startswith(_SAFE_SCHEMES):
            return "#ZgotmplZ"
        text = quote(text, safe="%!#$&'()*+,/:;=?@[]~")
    return "".join(_ENTITIES.get(letter, letter) for letter in text)
