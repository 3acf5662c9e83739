"""ClickHouse's Native format as NumPy arrays: columns of numbers, of arrays of them, and of text.

An answer is a run of blocks. Each: number of columns, number of rows, then per column its name, its type and its data;
an array column's data are the rows' ends in the flat values, and these values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tocsin.storage.telemetry.engine import Column, EngineError

TYPES: dict[str, np.dtype[Any]] = {
    "UInt32": np.dtype("<u4"),
    "UInt64": np.dtype("<u8"),
    "Int64": np.dtype("<i8"),
    "Float64": np.dtype("<f8"),
}


def read_native(answer: bytes) -> dict[str, Column]:
    """All blocks of an answer as one array a column, or as a list of arrays for a column of arrays."""
    reader = _Reader(answer)
    blocks: dict[str, list[Column]] = {}
    while not reader.is_over:
        columns, rows = reader.number(), reader.number()
        for _ in range(columns):
            name, kind = reader.text(), reader.text()
            blocks.setdefault(name, []).append(reader.column(kind, rows))
    return {name: _joined(parts) for name, parts in blocks.items()}


class _Reader:
    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._at = 0

    @property
    def is_over(self) -> bool:
        return self._at >= len(self._answer)

    def number(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self._answer[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def text(self) -> str:
        length = self.number()
        self._at += length
        return self._answer[self._at - length : self._at].decode()

    def column(self, kind: str, rows: int) -> Column:
        if kind == "String":
            return [self.text() for _ in range(rows)]
        if kind.startswith("Array("):
            ends = self._numbers("UInt64", rows)
            values = self._numbers(kind[6:-1], int(ends[-1]) if rows else 0)
            return np.split(values, ends[:-1].astype(np.intp)) if rows else []
        return self._numbers(kind, rows)

    def _numbers(self, kind: str, count: int) -> npt.NDArray[Any]:
        if kind not in TYPES:
            raise EngineError(f"cannot read a column of type {kind} as numbers; cast it to Int64, UInt64 or Float64")
        values = np.frombuffer(self._answer, TYPES[kind], count, self._at)
        self._at += values.nbytes
        return values


def _joined(parts: list[Column]) -> Column:
    if isinstance(parts[0], list):
        return [row for part in parts for row in part]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
