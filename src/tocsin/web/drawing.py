"""What a board is drawn with, out of the request: whose series, which values its variables have."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from weakref import WeakKeyDictionary

from tocsin.model.dashboard import Dashboard
from tocsin.model.window import Window
from tocsin.query import evaluate, variables
from tocsin.query.evaluate import Evaluated
from tocsin.query.filters import Filter
from tocsin.query.metric_reader import MetricReader
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.promql.source import Grid
from tocsin.query.variables import Values, substituted
from tocsin.web.charts import Marker
from tocsin.web.metrics import in_environment, promql_settings_of, reader_for
from tocsin.web.slow_answers import SlowAnswers
from tocsin.web.view import View

PREFIX = "var-"
"""Before the name of a variable in the address, as Grafana has it."""

PANEL_SECONDS = 15.0
SERVICE_VARIABLES = ("service", "service_name", "job", "app")
"""Variables of boards that choose services, as metrics and logs both name them."""

_answers: WeakKeyDictionary[object, SlowAnswers] = WeakKeyDictionary()  # by app: several may run in one process
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Drawing:
    """What all panels of a board share while it is drawn."""

    view: View
    reader: MetricReader
    settings: QuerySettings
    values: Values
    markers: Sequence[Marker] = ()

    @property
    def window(self) -> Window:
        return self.view.window

    @property
    def services(self) -> tuple[str, ...]:
        """Those that a variable chooses; () is all of them."""
        chosen = next((self.values[name] for name in SERVICE_VARIABLES if name in self.values), None)
        return () if chosen is None or chosen.is_all else tuple(chosen.values)

    @property
    def filter(self) -> Filter:
        """The reader's choice, narrowed to the service when one is chosen."""
        return replace(self.view.filter, service=self.services[0]) if len(self.services) == 1 else self.view.filter

    def text(self, expr: str, step_ms: int) -> str:
        """A query with the values of its variables."""
        return substituted(expr, self.values, self.window, step_ms)

    def at_end(self, expr: str, step_ms: int, kept_seconds: float = 0.0) -> Evaluated:
        """At the end of the time shown; asked once in `kept_seconds` at most."""
        end_ms, text = self.window.end_ns // 1_000_000, self.text(expr, step_ms)
        ask = partial(evaluate.at, self.reader, text, end_ms, self.settings)
        return self._kept((text, 0, 0), end_ms, ask, kept_seconds)

    def over(self, expr: str, grid: Grid, kept_seconds: float = 0.0) -> Evaluated:
        text = self.text(expr, grid.step_ms)
        ask = partial(evaluate.over, self.reader, text, grid, self.settings)
        return self._kept((text, grid.step_ms, len(grid)), grid.end_ms, ask, kept_seconds)

    def _kept(
        self, asked: tuple[str, int, int], end_ms: int, ask: Callable[[], Evaluated], least_seconds: float
    ) -> Evaluated:
        choice = self.view.choice
        key = (repr(self.view.scope.narrowed_to(choice.tenant)), choice.environment, *asked)
        with _lock:
            kept = _answers.setdefault(self.view.request.app, SlowAnswers())
        return kept.of(key, end_ms, ask, least_seconds)


def drawing_of(view: View, dashboard: Dashboard) -> Drawing:
    settings = promql_settings_of(view.request)
    settings = replace(settings, timeout_seconds=min(PANEL_SECONDS, settings.timeout_seconds))
    scope = view.scope.narrowed_to(view.choice.tenant)
    reader = in_environment(reader_for(view.request, scope), view.choice.environment)
    asked: dict[str, list[str]] = {}
    for name, value in view.request.query_params.multi_items():
        if name.startswith(PREFIX):
            asked.setdefault(name.removeprefix(PREFIX), []).append(value[:500])
    values = variables.choose(dashboard, asked, reader, view.window, settings)
    return Drawing(view, reader, settings, values)
