"""Channels: whom Tocsin can tell, whether that works, and what it told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from tocsin.model.access import Role
from tocsin.model.notification import Outcome
from tocsin.model.path_check import CHECK
from tocsin.notify.overview import channel_states
from tocsin.web import channels_headline
from tocsin.web.api.notify import deliverer_of, path_of, preview_summary, summaries_of
from tocsin.web.page import Page
from tocsin.web.view import View, view_of

page = Page(
    id="channels",
    title="Channels",
    group="Settings",
    path="/settings/channels",
    order=5,
    role=Role.ADMIN,
    notes_reads=False,
)
router = APIRouter()

PAGE_ROWS = 50
SHOWN = {"": "everything", Outcome.FAILED.value: "failed", Outcome.RETRYING.value: "waiting"}


@router.get(page.path)
def channels(
    view: Annotated[View, Depends(view_of(page))],
    receiver: str = "",
    outcome: str = "",
    before_id: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
    preview: bool = False,
) -> Response:
    deliverer = deliverer_of(view.request)
    states = channel_states(deliverer, datetime.fromtimestamp(view.now_ns / 1e9, tz=UTC))
    wanted = outcome if outcome in SHOWN else ""
    rows = deliverer.deliveries.newest(
        limit=PAGE_ROWS + 1,
        before_id=before_id,
        outcome=wanted,
        receiver=receiver,
        without_title="" if receiver or wanted else CHECK,  # the card above tells of these; hundreds a day here
    )
    return view.render(
        headline=channels_headline.channels(states),
        states=[one for one in states if not one.problem or one.last or one.receiver == "default"],
        unusable=[one for one in states if one.problem and one.receiver == one.channel],
        path=next(iter(reversed(path_of(view.request).results)), None),
        path_interval=deliverer.settings.test_interval_seconds,
        summaries=summaries_of(view.request),
        summary_times=deliverer.settings,
        preview=preview_summary(view.request, view.principal) if preview else None,
        notes=deliverer.notes(),
        rows=rows[:PAGE_ROWS],
        older=rows[PAGE_ROWS - 1].id if len(rows) > PAGE_ROWS else None,
        receiver=receiver,
        outcome=wanted,
        shown=SHOWN,
    )
