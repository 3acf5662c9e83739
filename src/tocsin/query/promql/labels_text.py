"""A label set as text."""

from __future__ import annotations

import re

from tocsin.query.promql.literals import quote
from tocsin.query.promql.source import Labels

_PLAIN = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def labels_text(labels: Labels) -> str:
    """`{__name__="up", job="api"}`, names in order; a name that is no plain word is quoted."""
    return "{" + ", ".join(f"{name_text(name)}={quote(value)}" for name, value in sorted(labels.items())) + "}"


def name_text(name: str) -> str:
    """A label name, quoted unless it is a plain word."""
    return name if _PLAIN.fullmatch(name) else quote(name)
