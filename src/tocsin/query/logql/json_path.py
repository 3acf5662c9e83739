"""Paths into JSON, as `servers[0].name` and `headers["User-Agent"]`."""

from __future__ import annotations

import re

from tocsin.query.promql.literals import unquote

_STEP = re.compile(r'\.?([A-Za-z_][A-Za-z0-9_-]*)|\[(\d{1,9})\]|\[("(?:[^"\\]|\\["\\/bfnrt])*")\]')


class PathError(ValueError):
    """A text that is no path."""


def json_path(text: str) -> tuple[str | int, ...]:
    """Keys and indexes. Raises PathError."""
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None or (text[at] == "." and not steps):
            raise PathError(
                f"cannot read the path {text[:60]!r} at character {at + 1}: write request.headers[0] or "
                'request["User-Agent"]'
            )
        name, index, quoted = found.groups()
        steps.append(name if name is not None else int(index) if index is not None else unquote(quoted))
        at = found.end()
    if not steps:
        raise PathError("cannot read an empty path: name a field, as status")
    return tuple(steps)
