"""Names of attributes as labels: letters, digits and `_`; a dot and whatever else reads as `_`."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import product

_OTHER = re.compile(r"[^A-Za-z0-9_]")
MOST_DOTS = 4


@lru_cache(maxsize=8192)
def label_name(attribute: str) -> str:
    name = _OTHER.sub("_", attribute)
    return f"_{name}" if name[:1].isdecimal() else name


@lru_cache(maxsize=1024)
def attribute_names(label: str) -> tuple[str, ...]:
    """The attributes that a label may stand for: with a dot wherever the label has `_`, likeliest first."""
    parts = label.split("_")
    gaps = len(parts) - 1
    if gaps == 0:
        return (label,)
    if gaps > MOST_DOTS or "" in parts:
        dotted = [".".join(parts), "-".join(parts)]
        dotted += [".".join([*parts[:at], "_".join(parts[at:])]) for at in range(1, gaps)]
        return tuple(dict.fromkeys([label, *dotted]))
    found = []
    for marks in product("_.", repeat=gaps):
        found.append("".join(part + mark for part, mark in zip(parts, (*marks, ""), strict=True)))
    return tuple(dict.fromkeys([label, ".".join(parts), *found, "-".join(parts)]))
