"""What the language needs of whatever holds the series."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from tocsin.model.histogram import NativeHistogram

Operator = Literal["=", "!=", "=~", "!~"]


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label; a label that a series does not have is ''."""

    name: str
    operator: Operator
    value: str

    def matches(self, text: str) -> bool:
        """Whether a label's value meets the condition. Regular expressions are anchored at both ends."""
        if self.operator == "=":
            return text == self.value
        if self.operator == "!=":
            return text != self.value
        return (re.fullmatch(self.value, text, re.DOTALL) is not None) == (self.operator == "=~")


@dataclass(frozen=True, slots=True)
class Hints:
    """What is asked of the samples: the source may read less, or coarser, where the answer stays right."""

    start_ms: int
    end_ms: int
    step_ms: int
    range_ms: int
    function: str = ""  # the call or aggregation right above the selector
    grouping: tuple[str, ...] = ()
    by: bool = False


@dataclass(slots=True)
class Series:
    """Samples of one series, times in milliseconds and rising. `histograms[i]` belongs to `timestamps[i]`."""

    labels: Mapping[str, str]
    timestamps: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    histograms: Sequence[NativeHistogram | None] | None = None


class Source(Protocol):
    """Something that holds series."""

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: Hints) -> list[Series]:
        """The series that meet all matchers, with their samples after start_ms up to end_ms, sorted by labels."""
