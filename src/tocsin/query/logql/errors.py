"""What can go wrong with a LogQL query; each message is meant for whoever asked."""

from __future__ import annotations

from tocsin.query.promql.errors import Position

__all__ = ["LimitError", "LogQLError", "ParseError", "PipelineError", "Position"]


class LogQLError(Exception):
    """A query cannot be answered."""


class ParseError(LogQLError):
    """The text is not LogQL, or LogQL that is not answered here. `hint`: what to write instead, '' when unknown."""

    def __init__(self, reason: str, position: Position, text: str, hint: str = "") -> None:
        line, column = line_and_column(text, position)
        said = f"parse error at line {line}, col {column}: {reason}"
        super().__init__(f"{said}; {hint}" if hint else said)
        self.reason = reason
        self.position = position
        self.hint = hint


class PipelineError(LogQLError):
    """A line could not be read by the pipeline of a metric query, and nothing skips such lines."""


class LimitError(LogQLError):
    """Answering would take more lines, series, points or time than the settings allow."""


def too_many_series(most: int) -> LimitError:
    return LimitError(
        f"the query makes more than {most} series; add labels to the selector, or put fewer into sum by (…)"
    )


def line_and_column(text: str, position: Position) -> tuple[int, int]:
    """Both from 1, in characters."""
    before = text[: position.start]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
