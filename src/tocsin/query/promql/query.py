"""What one running query carries: its source, its bounds, what it has read, and what there is to say about it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tocsin.query.promql.errors import EvaluationError, LimitError, Position, QueryCanceledError, QueryTimeoutError
from tocsin.query.promql.expressions import Duration, NumberLiteral
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.promql.source import Grid, Source


@dataclass(slots=True)
class Statistics:
    """What a query took. samples: read from the source, once each."""

    samples: int = 0
    series: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Query:
    """One query under way. `grid` is what was asked for; subqueries are evaluated on grids of their own."""

    source: Source
    text: str
    grid: Grid
    settings: QuerySettings
    is_canceled: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic
    statistics: Statistics = field(default_factory=Statistics)
    _warnings: dict[str, Position] = field(default_factory=dict)
    _infos: dict[str, Position] = field(default_factory=dict)
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = self.clock()

    @property
    def lookback_ms(self) -> int:
        return round(self.settings.lookback_seconds * 1000)

    @property
    def delayed(self) -> bool:
        return self.settings.delayed_name_removal

    def check(self) -> None:
        """Raises QueryCanceledError or QueryTimeoutError; called between nodes and within long loops."""
        self.statistics.seconds = self.clock() - self._started
        if self.is_canceled():
            raise QueryCanceledError("query was canceled in query execution")
        if self.statistics.seconds > self.settings.timeout_seconds:
            raise QueryTimeoutError("query timed out in query execution")

    def read(self, samples: int, series: int, before: int = 0) -> None:
        """Counts what a selector read, after so many series before. Raises LimitError."""
        self.statistics.samples += samples
        self.statistics.series += series
        if before + series > self.settings.max_series:
            raise LimitError(
                f"cannot evaluate the query: a selector matches {before + series} series, more than "
                f"{self.settings.max_series}; narrow its matchers or raise query.max_series"
            )
        self.hold(self.statistics.samples)

    def hold(self, samples: int) -> None:
        """Raises LimitError when so many samples are too many to hold at a time."""
        if samples > self.settings.max_samples:
            raise LimitError("query processing would load too many samples into memory in query execution")

    def hold_windows(self, series: int, steps: int) -> None:
        """The same for windows that are about to be laid, each of which takes twice what a sample takes."""
        self.hold(2 * series * steps)

    def warn(self, message: str, position: Position) -> None:
        self._warnings.setdefault(f"PromQL warning: {message}", position)

    def inform(self, message: str, position: Position) -> None:
        self._infos.setdefault(f"PromQL info: {message}", position)

    @property
    def warnings(self) -> list[str]:
        return self._placed(self._warnings)

    @property
    def infos(self) -> list[str]:
        return self._placed(self._infos)

    def _placed(self, notes: dict[str, Position]) -> list[str]:
        return [f"{message} ({position.line_and_column(self.text)})" for message, position in notes.items()]

    def milliseconds(self, duration: Duration, *, may_be_negative: bool = False) -> int:
        """A range, step or offset; arithmetic may use the step and range of the query."""
        if isinstance(duration, NumberLiteral):
            return math.trunc(round(duration.value * 1e9) / 1e6)
        seconds = self._seconds(duration)
        if seconds <= 0 and not may_be_negative:
            raise EvaluationError("duration must be greater than 0")
        if not abs(seconds) < 2**63 / 1e9:
            raise EvaluationError("duration is out of range")
        return math.trunc(round(seconds * 1000, 6))

    def _seconds(self, duration: Duration) -> float:
        if isinstance(duration, NumberLiteral):
            return duration.value
        if duration.operator == "step":
            # An instant query has no step; Prometheus counts it as zero.
            return 0.0 if self.grid.start_ms == self.grid.end_ms else self.grid.step_ms / 1000
        if duration.operator == "range":
            return (self.grid.end_ms - self.grid.start_ms) / 1000
        assert duration.right is not None
        right = self._seconds(duration.right)
        if duration.left is None:
            return -right
        return _arithmetic(duration.operator, self._seconds(duration.left), right)


def _arithmetic(operator: str, left: float, right: float) -> float:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "min":
            return min(left, right)
        case "max":
            return max(left, right)
        case "^":
            try:
                return float(math.pow(left, right))
            except (OverflowError, ValueError):
                return math.inf
    if right == 0:
        raise EvaluationError("division by zero" if operator == "/" else "modulo by zero")
    return left / right if operator == "/" else math.fmod(left, right)
