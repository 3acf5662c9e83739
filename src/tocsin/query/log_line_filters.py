"""Line filters as SQL over the bodies of `logs`: exact, with what the word index can answer beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tocsin.query.log_labels import Parameters
from tocsin.query.logql.expressions import LineFilter, LineMatch
from tocsin.query.logql.line_pattern import LinePattern, filter_pattern

_WORD = re.compile(r"[A-Za-z0-9\x80-\U0010ffff]+")
_LITERALS = re.compile(r"(\(\?i\))?\(?([A-Za-z0-9 _:/=,\"'-]+(?:\|[A-Za-z0-9 _:/=,\"'-]+)*)\)?")
_PART = re.compile(r"[0-9A-JL-Za-jl-z]{4,}")
"""What the engine looks up within longer words: four characters and more, and without a k, because in any case of
letters the sign of kelvin is one, too."""


@dataclass(frozen=True, slots=True)
class _Found:
    """hint: what surely holds for a line that passes and is answered from the index, or ''; exact: the condition."""

    hint: str
    exact: str


def line_filter_sql(stage: LineFilter, parameters: Parameters, *, indexed: bool) -> str:
    """A condition that holds for exactly the lines that pass. Without `indexed`, without help by the word index, which
    is quicker where many lines pass and only the newest are wanted. No match may be of IP addresses."""
    is_wanted = stage.operator in ("|=", "|~", "|>")
    found = [_match(stage.operator, match, parameters, indexed and is_wanted) for match in stage.matches]
    exact = _either([one.exact for one in found])
    if not is_wanted:
        return f"NOT ({exact})"
    # Hints stand apart: within each alternative the engine would read every body to decide it.
    hint = _either([one.hint for one in found])
    return f"{hint} AND {exact}" if hint else exact


def longest_part(text: str) -> str:
    """The longest part of a word of the text that the index looks up within longer words; '' when there is none."""
    return max(_PART.findall(text), key=len, default="")


def _either(conditions: list[str]) -> str:
    """'' when one of them is: then nothing is known."""
    if "" in conditions:
        return ""
    return conditions[0] if len(conditions) == 1 else f"({' OR '.join(f'({one})' for one in conditions)})"


def _match(operator: str, match: LineMatch, parameters: Parameters, indexed: bool) -> _Found:
    if operator in ("|=", "!="):
        return _contains(match.value, parameters, indexed)
    if operator in ("|>", "!>"):
        return _pattern(filter_pattern(match.value), parameters, indexed)
    exact = f"match(body, {parameters.text(f'(?-s:{match.value})')})"
    literals = _LITERALS.fullmatch(match.value)
    hint = _either([_hint(word, parameters) for word in literals[2].split("|")]) if literals and indexed else ""
    return _Found(hint, exact)


def _contains(text: str, parameters: Parameters, indexed: bool) -> _Found:
    if not text:
        return _Found("", "1")
    hint = _hint(text, parameters) if indexed else ""
    return _Found(hint, f"position(body, {parameters.text(text)}) > 0")


def _hint(text: str, parameters: Parameters) -> str:
    """What surely holds for a body with this text in it, in any case of letters, and is answered from the index."""
    words = [(found.start(), found.end(), found.group()) for found in _WORD.finditer(text)]
    whole = [word.lower() for start, end, word in words if start > 0 and end < len(text) and word.isascii()]
    if whole:
        return f"hasAllTokens(body, {parameters.texts(whole)})"
    part = longest_part(text)
    return f"body ILIKE {parameters.text(f'%{part}%')}" if part else ""


def _pattern(pattern: LinePattern, parameters: Parameters, indexed: bool) -> _Found:
    if not pattern.captures:
        return _contains(pattern.literals[0], parameters, indexed)
    text = ".+".join(re.escape(literal) for literal in pattern.literals)
    exact = f"match(body, {parameters.text(f'(?s)^{text}$')})"
    hints = [hint for literal in pattern.literals if indexed and (hint := _hint(literal, parameters))]
    return _Found(" AND ".join(hints), exact)
