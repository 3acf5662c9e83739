"""label_replace, label_join, and the order in which people expect labels with numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from tocsin.query.promql.calls import Function, FunctionCall
from tocsin.query.promql.errors import EvaluationError
from tocsin.query.promql.matchers import NAME, PatternError, compile_pattern
from tocsin.query.promql.matrix import Matrix, merged
from tocsin.query.promql.source import Labels

_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")
_CHUNKS = re.compile(r"(\d+|\D+)")


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Digits compare as numbers: `4m5` before `4m600`."""
    return [
        (0, int(chunk), chunk) if chunk.isascii() and chunk.isdigit() else (1, 0, chunk)
        for chunk in _CHUNKS.findall(text)
    ]


def _is_label_name(name: str) -> bool:
    return bool(name) and not any(0xD800 <= ord(character) <= 0xDFFF for character in name)


def _relabeled(value: Matrix, destination: str, change: Callable[[Labels], str | None]) -> Matrix:
    """With the destination set to what `change` says, removed for '', left alone for None."""
    labels, drops = [], value.drops.copy()
    for row, before in enumerate(value.labels):
        text = change(before)
        after = before
        if text is not None:
            after = {name: held for name, held in before.items() if name != destination}
            if text:
                after[destination] = text
            if destination == NAME:
                drops[row] = False
        labels.append(after)
    return merged(Matrix(labels, value.values.copy(), value.present.copy(), _copied(value), drops))


def _copied(value: Matrix) -> np.ndarray | None:
    return None if value.histograms is None else value.histograms.copy()


def _label_replace(call: FunctionCall) -> Matrix:
    destination, replacement, source, pattern = (call.string(index) for index in range(1, 5))
    try:
        compiled = compile_pattern(pattern)
    except PatternError as error:
        raise EvaluationError(f"invalid regular expression in label_replace(): {pattern}") from error
    if not _is_label_name(destination):
        raise EvaluationError(f"invalid destination label name in label_replace(): {_readable(destination)}")

    def change(labels: Labels) -> str | None:
        match = compiled.search(labels.get(source, ""))
        return None if match is None else _readable(expanded(replacement, match))

    return _relabeled(call.vector(0), destination, change)


def _readable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def expanded(template: str, match: Any) -> str:
    """`$1`, `${1}`, `$name`; what no group is called is empty."""

    def group(reference: re.Match[str]) -> str:
        name = reference.group(1) or reference.group(2)
        if name is None:
            return "$"
        try:
            return match.group(int(name) if name.isdigit() else name) or ""
        except (IndexError, KeyError):
            return ""

    return _REFERENCE.sub(group, template)


def _label_join(call: FunctionCall) -> Matrix:
    destination, separator = call.string(1), call.string(2)
    sources = [call.string(index) for index in range(3, len(call))]
    for source in sources:
        if not _is_label_name(source):
            raise EvaluationError(f"invalid source label name in label_join(): {_readable(source)}")
    if not _is_label_name(destination):
        raise EvaluationError(f"invalid destination label name in label_join(): {_readable(destination)}")
    return _relabeled(
        call.vector(0), destination, lambda labels: separator.join(labels.get(source, "") for source in sources)
    )


FUNCTIONS: dict[str, Function] = {"label_join": _label_join, "label_replace": _label_replace}
