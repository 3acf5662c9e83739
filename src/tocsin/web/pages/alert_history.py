"""History: every change of every alert within the chosen time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.model.alert_state import Change
from tocsin.web import alert_headline
from tocsin.web.page import Page
from tocsin.web.state import control_of
from tocsin.web.view import View, view_of

page = Page(id="alert_history", title="Alert history", group="", path="/alerts/history", order=3, parent="alerts")
router = APIRouter()

ROWS = 100
MOST_READ = 20_000
SHOWN = {"": "all", "firing": "fired", "notified": "told", "suppressed": "held back", "acknowledged": "taken"}


@router.get(page.path)
def alert_history(
    view: Annotated[View, Depends(view_of(page))], change: str = "", name: str = "", before_id: int | None = None
) -> Response:
    alerts = control_of(view.request).alerts
    start, end = (datetime.fromtimestamp(at / 1e9, UTC) for at in (view.window.start_ns, view.window.end_ns))
    tenant = view.choice.tenant or ""
    everything = alerts.history(view.scope, start=start, end=end, tenant=tenant, limit=MOST_READ)
    chosen = change if change in {each.value for each in Change} else ""
    rows = alerts.history(
        view.scope, start=start, end=end, tenant=tenant, name=name, change=chosen, before_id=before_id, limit=ROWS
    )
    return view.render(
        headline=alert_headline.history(view.speech, everything, len(everything) < MOST_READ),
        rows=rows,
        start=start,
        end=end,
        older=rows[-1].id if len(rows) == ROWS else None,
        shown=SHOWN,
        change=chosen,
        name=name,
        is_narrowed=bool(chosen or name),
    )
