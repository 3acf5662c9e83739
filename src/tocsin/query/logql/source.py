"""What LogQL reads lines from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from tocsin.query.logql.expressions import LogQuery, Stage
from tocsin.query.logql.line import Line
from tocsin.query.promql.source import Series


class LineSource(Protocol):
    """Lines within a scope, filled by `query/log_source.py`."""

    lines_read: int
    bytes_read: int

    def lines(
        self,
        query: LogQuery,
        start_ns: int,
        end_ns: int,
        *,
        newest_first: bool = True,
        most: int = ...,
        names: frozenset[str] | None = None,
    ) -> Iterator[tuple[list[Line], tuple[Stage, ...]]]:
        """Lines of [start, end) that may pass the pipeline, some at a time, with the stages still to be applied.

        most: so many lines are enough when no stage is left. names: the structured metadata wanted; None is all.
        """

    def counts(
        self,
        query: LogQuery,
        by: Sequence[str] | None,
        edges_ms: tuple[int, int],
        bucket_ms: int,
        *,
        in_bytes: bool,
        max_series: int,
    ) -> list[Series] | None:
        """Lines (or bytes) of (start, end] per bucket, each at its end, by these labels or by stream; None when the
        pipeline needs each line."""

    def is_canceled(self) -> bool:
        """Whether nobody waits for the answer any longer."""
