"""The contract a ClickHouse fills, embedded in this process or a cluster behind HTTP; nothing above knows which."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from tocsin.model.expected import ExpectedError
from tocsin.storage.telemetry.decode import Signal

Value = str | int | float | bool | Sequence[str] | Sequence[int]


class EngineError(ExpectedError):
    """The engine did not carry out a statement. `retryable` says whether the same statement may succeed later."""

    def __init__(self, message: str, *, code: int = 0, retryable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable


class QueryTimeoutError(EngineError):
    """A query ran past its time limit and was stopped."""


@dataclass(frozen=True, slots=True)
class Rows:
    """An answer: column names and one list per row, plus what it cost."""

    columns: list[str]
    rows: list[list[Any]]
    rows_read: int = 0
    seconds: float = 0.0

    def dicts(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


Column = npt.NDArray[Any] | list[Any]
"""A column of numbers as one array; of arrays of numbers as one array a row; of text as a list."""


class Engine(Protocol):
    """What the telemetry store needs of a ClickHouse."""

    def version(self, signal: Signal) -> int | None:
        """Another number once rows of the signal were written; None where others write them, too."""

    def query(
        self, sql: str, parameters: Mapping[str, Value], settings: Mapping[str, Value], max_seconds: float
    ) -> Rows:
        """Run one SELECT. `{name:Type}` in the text takes `parameters[name]`.

        Raises QueryTimeoutError past `max_seconds`, EngineError for everything else.
        """

    def query_arrays(
        self, sql: str, parameters: Mapping[str, Value], settings: Mapping[str, Value], max_seconds: float
    ) -> dict[str, Column]:
        """Run one SELECT whose columns are 64-bit numbers, arrays of such, or text; the answer by name, as NumPy
        arrays that cannot be written to. No Python runs per number. Raises what `query` raises.
        """

    def stream_arrays(
        self, sql: str, parameters: Mapping[str, Value], settings: Mapping[str, Value], max_seconds: float
    ) -> Generator[dict[str, Column]]:
        """The same block by block as the engine finds the rows; nothing is held but the block at hand. Closing it
        stops the SELECT."""

    def execute(self, sql: str) -> None:
        """Run one statement that answers nothing (schema changes)."""

    def execute_aside(self, sql: str) -> None:
        """Run one statement that takes long and must hold up no insert."""

    def insert_segment(self, signal: Signal, segment: Path, token: str) -> None:
        """Decode the length-delimited OTLP messages in `segment` and store them once per `token`, however often
        it is called. Raises EngineError; a retryable one says nothing about the segment's content."""

    def close(self) -> None:
        """Release the engine; pending merges stop."""
