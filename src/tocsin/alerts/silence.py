"""Silences: which of them hide an alert now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from tocsin.alerts.matcher_text import MatcherError, all_match, matcher_of
from tocsin.model.silence import LabelMatcher, Silence
from tocsin.query.promql.matchers import Matcher
from tocsin.storage.control import InvalidInput


@dataclass(frozen=True, slots=True)
class Silencer:
    """Silences with their patterns compiled."""

    silences: tuple[tuple[Silence, tuple[Matcher, ...]], ...]

    @classmethod
    def over(cls, silences: Iterable[Silence]) -> Silencer:
        return cls(tuple((silence, compiled(silence.matchers)) for silence in silences))

    def silenced_by(self, labels: Mapping[str, str], now: datetime) -> list[Silence]:
        """The active silences that match."""
        return [
            silence
            for silence, matchers in self.silences
            if silence.state(now) == "active" and all_match(matchers, labels)
        ]


def compiled(matchers: Iterable[LabelMatcher]) -> tuple[Matcher, ...]:
    """Raises MatcherError."""
    return tuple(matcher_of(plain) for plain in matchers)


def checked(matchers: Iterable[LabelMatcher]) -> tuple[LabelMatcher, ...]:
    """What a silence may be made of: readable, and at least one matcher that not every alert matches.

    Raises InvalidInput.
    """
    given = tuple(matchers)
    try:
        made = compiled(given)
    except MatcherError as error:
        raise InvalidInput(str(error)) from error
    if any(not matcher.name for matcher in given):
        raise InvalidInput("cannot keep this silence: a matcher has no label name; name one, such as alertname")
    if not any(not matcher.matches("") for matcher in made):
        raise InvalidInput(
            "cannot keep this silence: it would hide every alert; give a matcher that an empty label does not match"
        )
    return given
