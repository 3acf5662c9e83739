"""Line filters as SQL over the bodies of `logs`: exact, with what the word index can answer beside it."""

from __future__ import annotations

import re

from tocsin.query.log_labels import Parameters
from tocsin.query.logql.expressions import LineFilter, LineMatch
from tocsin.query.logql.line_pattern import LinePattern, filter_pattern

_WORD = re.compile(r"[A-Za-z0-9\x80-\U0010ffff]+")
_LITERALS = re.compile(r"(\(\?i\))?\(?([A-Za-z0-9 _:/=,\"'-]+(?:\|[A-Za-z0-9 _:/=,\"'-]+)*)\)?")
SHORTEST_PART = 4
"""A part of a word that is shorter is in too many words for the index."""


def line_filter_sql(stage: LineFilter, parameters: Parameters, *, indexed: bool) -> str:
    """A condition that holds for exactly the lines that pass. Without `indexed`, without help by the word index, which
    is quicker where many lines pass and only the newest are wanted. No match may be of IP addresses."""
    found = [_match(stage.operator, match, parameters, indexed) for match in stage.matches]
    either = found[0] if len(found) == 1 else f"({' OR '.join(f'({one})' for one in found)})"
    return either if stage.operator in ("|=", "|~", "|>") else f"NOT ({either})"


def _match(operator: str, match: LineMatch, parameters: Parameters, indexed: bool) -> str:
    helps = indexed and operator.startswith("|")
    if operator in ("|=", "!="):
        return contains(match.value, parameters, helps)
    if operator in ("|>", "!>"):
        return _pattern(filter_pattern(match.value), parameters, helps)
    exact = f"match(body, {parameters.text(f'(?-s:{match.value})')})"
    literals = _LITERALS.fullmatch(match.value)
    if literals is None or not helps:
        return exact
    words = literals[2].split("|")
    either = [hint for word in words if (hint := _hint(word, parameters))]
    return f"({' OR '.join(f'({one})' for one in either)}) AND {exact}" if len(either) == len(words) else exact


def contains(text: str, parameters: Parameters, indexed: bool) -> str:
    if not text:
        return "1"
    exact = f"position(body, {parameters.text(text)}) > 0"
    hint = _hint(text, parameters) if indexed else ""
    return f"{hint} AND {exact}" if hint else exact


def _hint(text: str, parameters: Parameters) -> str:
    """What surely holds for a body with this text in it, in any case of letters, and is answered from the index."""
    words = [(found.start(), found.end(), found.group()) for found in _WORD.finditer(text)]
    whole = [word.lower() for start, end, word in words if start > 0 and end < len(text) and word.isascii()]
    if whole:
        return f"hasAllTokens(body, {parameters.texts(whole)})"
    parts = [word for _, _, word in words if len(word) >= SHORTEST_PART and word.isascii()]
    return f"body ILIKE {parameters.text(f'%{max(parts, key=len)}%')}" if parts else ""


def _pattern(pattern: LinePattern, parameters: Parameters, indexed: bool) -> str:
    if not pattern.captures:
        return contains(pattern.literals[0], parameters, indexed)
    text = ".+".join(re.escape(literal) for literal in pattern.literals)
    exact = f"match(body, {parameters.text(f'(?s)^{text}$')})"
    hints = [hint for literal in pattern.literals if indexed and (hint := _hint(literal, parameters))]
    return " AND ".join([*hints, exact])
