"""What a question is narrowed to: a window of time, and optionally an environment, tenant, service and endpoint."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tocsin.model.tenant import Scope
from tocsin.model.window import Window
from tocsin.storage.telemetry.engine import Value

START, END = "{start:DateTime64(9)}", "{end:DateTime64(9)}"
"""The window as parameters of a statement, in the form of `seconds_text`."""
# Five minutes are counted in seconds of 32 bits.
_LAST_KEY = "toDateTime64('2106-02-07 00:00:00', 9, 'UTC')"

STEPS_SECONDS = (10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)


@dataclass(frozen=True, slots=True)
class Filter:
    """None leaves a dimension open; '' asks for telemetry that names none."""

    window: Window
    environment: str | None = None
    tenant: str | None = None
    service: str | None = None
    method: str | None = None
    route: str | None = None

    def step_seconds(self, points: int = 90) -> int:
        """A round step that cuts the window into about `points` parts, at most that many."""
        wanted = self.window.seconds / points
        return next((step for step in STEPS_SECONDS if step >= wanted), STEPS_SECONDS[-1])

    def aligned(self, step_seconds: int) -> Filter:
        """The same with its window widened to whole steps."""
        step_ns = step_seconds * 10**9
        start = self.window.start_ns // step_ns * step_ns
        end = -(-self.window.end_ns // step_ns) * step_ns
        return replace(self, window=Window(start, end))

    def narrowed(self, scope: Scope) -> Scope:
        """`scope` cut down to the tenant asked for, so that the engine enforces the choice like any other scope."""
        return scope.narrowed_to(self.tenant)

    def conditions(self, time_column: str = "time", *, by_five_minutes: bool = False) -> str:
        """A WHERE condition over the columns environment, service, method and route and the given time column.

        by_five_minutes: for logs and exceptions, whose key begins so; that of spans, which have a `start`, always does.
        """
        is_keyed = by_five_minutes or time_column.rpartition(".")[2] == "start"
        parts = [within(time_column) if is_keyed else f"{time_column} >= {START} AND {time_column} < {END}"]
        parts += [f"{name} = {{{name}:String}}" for name in self._chosen()]
        return " AND ".join(parts)

    def series_conditions(self, time_column: str) -> str:
        """The same over series joined as `i`, whose method and route are labels."""
        labels = (f"i.labels['{name}'] = {{{name}:String}}" for name in ("method", "route") if name in self._chosen())
        return " AND ".join((replace(self, method=None, route=None).conditions(time_column), *labels))

    def parameters(self) -> dict[str, Value]:
        """The values `conditions` refers to."""
        window: dict[str, Value] = {
            "start": seconds_text(self.window.start_ns),
            "end": seconds_text(self.window.end_ns),
        }
        return window | self._chosen()

    def _chosen(self) -> dict[str, Value]:
        named = {"environment": self.environment, "service": self.service, "method": self.method, "route": self.route}
        return {name: value for name, value in named.items() if value is not None}


def within(column: str, start: str = START, end: str = END) -> str:
    """A condition for [start, end) over the time of a table that is ordered by five minutes: spans, logs, exceptions.

    The engine does not conclude five minutes from the times themselves: without saying them it reads all of a day.
    """
    last = f"least({end}, {_LAST_KEY})"
    return (
        f"toStartOfFiveMinutes({column}) BETWEEN toStartOfFiveMinutes({start}) AND toStartOfFiveMinutes({last}) "
        f"AND {column} >= {start} AND {column} < {end}"
    )


def seconds_text(time_ns: int) -> str:
    """Nanoseconds since 1970, or 0 for what lies before, as a decimal number of seconds, exact."""
    seconds, nanoseconds = divmod(max(0, time_ns), 10**9)
    return f"{seconds:010d}.{nanoseconds:09d}"  # fewer digits would be read as a year
