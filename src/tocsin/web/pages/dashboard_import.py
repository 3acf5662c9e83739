"""Bringing a board in from Grafana: paste or choose its JSON, see what becomes of it, then keep it."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, UploadFile
from starlette.responses import Response

from tocsin.model.access import Role
from tocsin.model.dashboard_text import write_dashboard
from tocsin.model.grafana_import import from_grafana
from tocsin.model.grafana_provisioning import read_provisioning
from tocsin.model.yaml_text import TextError
from tocsin.storage.control import Taken
from tocsin.web.boards import doubts
from tocsin.web.dashboards import shipped
from tocsin.web.page import Page
from tocsin.web.refusals import RefusingRoute
from tocsin.web.state import control_of
from tocsin.web.view import View, view_of
from tocsin.web.words import Headline, Part

page = Page(
    id="dashboard_import",
    title="Import from Grafana",
    group="",
    path="/dashboards-import",
    order=3,
    role=Role.OPERATOR,
    parent="dashboards",
    notes_reads=False,
)
router = APIRouter(route_class=RefusingRoute)
Importing = Annotated[View, Depends(view_of(page))]


@router.get(page.path)
def ask(view: Importing) -> Response:
    said = "A dashboard of Grafana becomes one of Tocsin; what cannot be kept is listed."
    return _shown(view, Headline("quiet", (Part(said),)))


@router.post(page.path)
def bring_in(
    view: Importing,
    text: Annotated[str, Form()] = "",
    file: UploadFile | None = None,
    action: Annotated[str, Form()] = "try",
) -> Response:
    if file is not None and file.size:
        text = file.file.read().decode("utf-8", "replace")
    try:
        document = _document(text)
        if document is None:
            return _provisioning(view, text)
        dashboard, lost = from_grafana(document)
    except TextError as error:
        return _shown(view, Headline("warn", (Part(f"{error}."),)), text=text)
    result = {"lost": lost, "doubts": doubts(dashboard), "text": text, "yaml": write_dashboard(dashboard)}
    if action != "keep" or dashboard.id in shipped():
        taken = " An own board of this id comes with Tocsin: change the uid first." if dashboard.id in shipped() else ""
        return _shown(view, Headline("quiet", (Part(f"{_what(dashboard.title, lost)}{taken}"),)), **result)
    try:
        control_of(view.request).dashboards.save(
            view.principal, id=dashboard.id, title=dashboard.title, text=write_dashboard(dashboard), over_version=0
        )
    except Taken:
        said = f"There is a board '{dashboard.id}' already; delete it first, or change the uid in the JSON."
        return _shown(view, Headline("warn", (Part(said),)), **result)
    link = view.link(f"/dashboards/{dashboard.id}")
    return _shown(view, Headline("ok", (Part(dashboard.title, link), Part(" is here."))), is_kept=True, **result)


def _what(title: str, lost: list[str]) -> str:
    if not lost:
        return f"{title} can be kept whole."
    return f"{title} can be kept but for {len(lost)} thing{'s' if len(lost) != 1 else ''}, listed below."


def _document(text: str) -> dict[str, Any] | None:
    """None for what is no JSON object: perhaps a provisioning file. Raises TextError for deep nesting."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _provisioning(view: View, text: str) -> Response:
    report = read_provisioning(text)
    known, unknown = len(report.understood), len(report.unsupported)
    said = f"A provisioning file: {known} entries have a meaning here, {unknown} settings do not."
    return _shown(
        view, Headline("quiet", (Part(said),)), text=text, lost=report.unsupported, understood=report.understood
    )


def _shown(view: View, headline: Headline, **result: Any) -> Response:
    blank: dict[str, Any] = {"text": "", "lost": [], "doubts": [], "yaml": "", "understood": [], "is_kept": False}
    return view.render(headline=headline, **{**blank, **result})
