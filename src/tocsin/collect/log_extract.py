"""Values out of JSON and logfmt: paths of JMESPath's basic kind, and pairs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

Expression = Callable[[Any], Any]
_STEP = re.compile(r'\.?([A-Za-z_][\w]*|"(?:[^"\\]|\\.)*")|\[(-?\d+)\]')
_LOGFMT = re.compile(r'([^\s="]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))')


def expression(text: str) -> Expression:
    """A path such as a, a.b, "@timestamp" or a.b[0]. Raises ValueError for more of JMESPath than that."""
    steps: list[str | int] = []
    position = 0
    while position < len(text):
        found = _STEP.match(text, position)
        if found is None or (position == 0 and text[0] == "."):
            raise ValueError(
                f"JMESPath expression {text[:60]!r} is not supported at {text[position:][:20]!r}; there are names, "
                "dots, quoted names and indexes"
            )
        name = found[1]
        steps.append(int(found[2]) if name is None else orjson.loads(name) if name[0] == '"' else name)
        position = found.end()

    def read(value: Any) -> Any:
        for step in steps:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        # What is no plain value goes on as its JSON, for a later json stage.
        return orjson.dumps(value).decode() if isinstance(value, (dict, list)) else value

    return read


def logfmt_pairs(text: str) -> dict[str, str]:
    """key=value and key="quoted value"; words without a value are left out."""
    return {
        found[1]: re.sub(r'\\(["\\])', r"\1", found[2]) if found[2] is not None else found[3]
        for found in _LOGFMT.finditer(text)
    }
