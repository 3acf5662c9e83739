"""Matchers as text, in the two syntaxes of Alertmanager: with names in UTF-8 and quotes, and the classic one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tocsin.model.silence import LabelMatcher
from tocsin.query.promql.matchers import Matcher, MatchOperator, PatternError

_TOKEN = re.compile(r'\s*(?:(=~|!~|!=|=)|([{},])|"((?:[^"\\]|\\.)*)"|([^{}!=~,\\"\'`\s]+))', re.DOTALL)
_CLASSIC = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
_OPERATORS: dict[tuple[bool, bool], MatchOperator] = {
    (False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~",
}  # fmt: skip


class MatcherError(ValueError):
    """A matcher that cannot be read, or whose pattern RE2 does not take."""


def read_matchers(text: str) -> tuple[Matcher, ...]:
    """All matchers of a text such as `severity="page", team=~"a|b"`, with braces or without. Raises MatcherError."""
    try:
        return _utf8(text)
    except MatcherError as problem:
        try:
            return _classic(text)
        except MatcherError:
            raise problem from None


def matcher_of(plain: LabelMatcher) -> Matcher:
    """Raises MatcherError."""
    return _matcher(plain.name, _OPERATORS[plain.is_regex, plain.is_equal], plain.value)


def plain_matcher(matcher: Matcher) -> LabelMatcher:
    return LabelMatcher(
        matcher.name, matcher.value, is_regex="~" in matcher.operator, is_equal=matcher.operator in ("=", "=~")
    )


def in_order(matchers: Iterable[Matcher]) -> tuple[Matcher, ...]:
    """As Alertmanager sorts those of a route, on which the key of its groups depends."""
    return tuple(
        sorted(matchers, key=lambda each: (each.name, each.value, ("=", "!=", "=~", "!~").index(each.operator)))
    )


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    return all(matcher.matches(labels.get(matcher.name, "")) for matcher in matchers)


def matchers_text(matchers: Iterable[Matcher]) -> str:
    return "{" + ",".join(str(matcher) for matcher in matchers) + "}"


def _matcher(name: str, operator: MatchOperator, value: str) -> Matcher:
    try:
        return Matcher(name, operator, value)
    except PatternError as error:
        raise MatcherError(f"cannot use matcher {name}{operator}{value!r}: {error}; correct the pattern") from error


def _utf8(text: str) -> tuple[Matcher, ...]:
    tokens = _tokens(text)
    if tokens and tokens[0] == ("mark", "{"):
        if tokens[-1] != ("mark", "}"):
            raise _unreadable(text, "it opens a brace that nothing closes")
        tokens = tokens[1:-1]
    found = []
    while tokens:
        kinds = [kind for kind, _ in tokens[:3]]
        if (
            len(kinds) < 3
            or kinds[0] not in ("word", "quoted")
            or kinds[1] != "operator"
            or kinds[2] in ("mark", "operator")
        ):
            raise _unreadable(text, 'it is no list of matchers such as severity="page"')
        if not tokens[0][1]:
            raise _unreadable(text, "a label has no name")
        operator: MatchOperator = tokens[1][1]  # type: ignore[assignment]  # the pattern of tokens knows these alone
        found.append(_matcher(tokens[0][1], operator, tokens[2][1]))
        tokens = tokens[3:]
        if tokens and tokens.pop(0) != ("mark", ","):
            raise _unreadable(text, "a comma is missing between two matchers")
    return tuple(found)


def _tokens(text: str) -> list[tuple[str, str]]:
    found, place = [], 0
    end = len(text.rstrip())
    while place < end:
        token = _TOKEN.match(text, place)
        if token is None:
            raise _unreadable(text, f"character {place + 1} is not expected")
        operator, mark, quoted, word = token.groups()
        if operator:
            found.append(("operator", operator))
        elif mark:
            found.append(("mark", mark))
        elif quoted is not None:
            found.append(("quoted", _unescaped(quoted, text)))
        else:
            found.append(("word", word))
        place = token.end()
    return found


def _classic(text: str) -> tuple[Matcher, ...]:
    inner = text.strip()
    if inner.startswith("{"):
        if not inner.endswith("}"):
            raise _unreadable(text, "it opens a brace that nothing closes")
        inner = inner[1:-1]
    found = []
    for part in _split(inner):
        read = _CLASSIC.fullmatch(part)
        if read is None:
            raise _unreadable(text, "it is no list of matchers")
        value = read[3]
        if value.startswith('"'):
            if len(value) < 2 or not value.endswith('"'):
                raise _unreadable(text, "a quote is not closed")
            value = value[1:-1]
        if re.search(r'(?<!\\)"', value):
            raise _unreadable(text, "a quote within a value has no backslash")
        value = _unescaped(value, text) if read[3].startswith('"') else value
        operator: MatchOperator = read[2]  # type: ignore[assignment]  # the pattern knows these alone
        found.append(_matcher(read[1], operator, value))
    return tuple(found)


def _split(text: str) -> list[str]:
    """At commas outside of quotes; empty parts at the end are dropped."""
    parts = re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^,])+', text, re.DOTALL)
    return [part for part in parts if part.strip()]


def _unescaped(quoted: str, text: str) -> str:
    def one(found: re.Match[str]) -> str:
        if found[1] not in _ESCAPES:
            raise _unreadable(text, f"\\{found[1]} is no escape")
        return _ESCAPES[found[1]]

    return re.sub(r"\\(.)", one, quoted, flags=re.DOTALL)


def _unreadable(text: str, cause: str) -> MatcherError:
    return MatcherError(f'cannot read matchers {text[:200]!r}: {cause}; write them as name="value", comma between')
