"""What a board is drawn with, out of the request: whose series, which values its variables have."""

from __future__ import annotations

from dataclasses import replace

from tocsin.model.dashboard import Dashboard
from tocsin.query import variables
from tocsin.web.metrics import in_environment, promql_settings_of, reader_for
from tocsin.web.panels import Drawing
from tocsin.web.view import View

PREFIX = "var-"
"""Before the name of a variable in the address, as Grafana has it."""

PANEL_SECONDS = 15.0


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
