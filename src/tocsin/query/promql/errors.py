"""What can go wrong with a query, worded as Prometheus words it where Prometheus has the error."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Position:
    """Where an expression stands in the query text, in characters: start included, end not."""

    start: int
    end: int

    def to(self, other: Position) -> Position:
        return Position(self.start, other.end)

    def line_and_column(self, text: str) -> str:
        """`line:column` of the start, both from 1; the column counts bytes as Prometheus does."""
        if not text:
            return "unknown position"
        before = text[: self.start]
        line_start = before.rfind("\n") + 1
        column = len(before[line_start:].encode("utf-8", "surrogatepass")) + 1
        return f"{before.count(chr(10)) + 1}:{column}"


class PromQLError(Exception):
    """A query cannot be answered; the message is meant for whoever asked."""


class ParseError(PromQLError):
    """The text is not PromQL. `reason` is the message without its position."""

    def __init__(self, reason: str, position: Position, text: str) -> None:
        super().__init__(f"{position.line_and_column(text)}: parse error: {reason}")
        self.reason = reason
        self.position = position


class EvaluationError(PromQLError):
    """The query is PromQL, but has no answer on this data."""


class LimitError(PromQLError):
    """Answering would take more samples, series, points or time than the settings allow."""


class QueryTimeoutError(LimitError):
    """The query ran longer than the settings allow."""


class QueryCanceledError(PromQLError):
    """Whoever asked no longer waits for the answer."""
