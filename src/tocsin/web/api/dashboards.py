"""Boards for programs: list, read, write, delete; to and from Grafana."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Body, Depends, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field

from tocsin.model.dashboard import Dashboard
from tocsin.model.dashboard_text import plain_dashboard, read_dashboard, write_dashboard
from tocsin.model.grafana_export import to_grafana
from tocsin.model.grafana_import import from_grafana
from tocsin.model.grafana_provisioning import read_provisioning
from tocsin.model.yaml_text import TextError
from tocsin.storage.control import ControlStore
from tocsin.web.api.contract import BEARER, CONFLICT, MISSING, REFUSALS
from tocsin.web.auth import Anybody, Operator
from tocsin.web.boards import Board, board_of, boards, doubts
from tocsin.web.refusals import RefusingRoute
from tocsin.web.state import control_of

router = APIRouter(
    prefix="/api/v1/dashboards",
    tags=["dashboards"],
    dependencies=[Depends(BEARER)],
    responses=REFUSALS,
    route_class=RefusingRoute,
)
YAML = "application/yaml"


class BoardSummary(BaseModel):
    """A board in the list."""

    id: str
    title: str
    description: str
    tags: list[str]
    panels: int
    version: int = Field(description="0 while it is as it was shipped")
    is_shipped: bool
    changed_at: datetime | None
    changed_by: str


class BoardList(BaseModel):
    dashboards: list[BoardSummary]


class Checked(BaseModel):
    """What is wrong with a text; `doubts` are queries that do not read as PromQL."""

    problems: list[str]
    doubts: list[str]


class Saved(BaseModel):
    id: str
    version: int
    doubts: list[str]


class Imported(BaseModel):
    """An imported board; `lost` names everything that could not be kept."""

    id: str
    version: int
    saved: bool
    lost: list[str]
    text: str


class Provisioned(BaseModel):
    """What provisioning files say, and what of it has no meaning here."""

    understood: list[str]
    unsupported: list[str]


@router.get("", summary="List dashboards")
def list_dashboards(request: Request, principal: Anybody) -> BoardList:
    return BoardList(dashboards=[_summary(board) for board in boards(control_of(request), principal)])


async def body_text(request: Request) -> str:
    """Dependency: the body as text, whatever it says it is."""
    try:
        return (await request.body()).decode()
    except UnicodeDecodeError as error:
        raise HTTPException(422, "cannot read this text: it is no UTF-8; convert it") from error


BodyText = Annotated[str, Depends(body_text)]


@router.post("/check", summary="Check a text without saving it")
def check(operator: Operator, text: BodyText) -> Checked:
    try:
        return Checked(problems=[], doubts=doubts(read_dashboard(text)))
    except TextError as error:
        return Checked(problems=[str(problem) for problem in error.problems], doubts=[])


@router.post("/import/grafana", summary="Import a dashboard of Grafana", responses=CONFLICT)
def import_grafana(
    request: Request,
    operator: Operator,
    document: Annotated[dict[str, Any], Body()],
    dry_run: Annotated[bool, Query(description="Only tell what would become of it")] = False,
    overwrite: Annotated[bool, Query(description="Replace a board of the same id")] = False,
) -> Imported:
    try:
        dashboard, lost = from_grafana(document)
    except TextError as error:
        raise HTTPException(422, str(error)) from error
    text, version = write_dashboard(dashboard), 0
    if not dry_run:
        over = None if overwrite else 0
        version = _save(control_of(request), operator, dashboard, text, over)
    return Imported(id=dashboard.id, version=version, saved=not dry_run, lost=lost, text=text)


@router.post("/import/provisioning", summary="Read a provisioning file of Grafana")
def import_provisioning(operator: Operator, text: BodyText) -> Provisioned:
    """grafana-datasources.yml or grafana-dashboards.yml as the body: what it asks for, and what Tocsin does with it."""
    try:
        report = read_provisioning(text)
    except TextError as error:
        raise HTTPException(422, str(error)) from error
    return Provisioned(understood=report.understood, unsupported=report.unsupported)


@router.get("/{id}", summary="Read a dashboard", responses=MISSING)
def read(request: Request, principal: Anybody, id: str, format: Literal["json", "yaml"] = "json") -> Response:
    board = _board(request, principal, id)
    headers = {"ETag": f'"{board.version}"'}
    if format == "yaml":
        return Response(write_dashboard(board.dashboard), media_type=YAML, headers=headers)
    return _json(plain_dashboard(board.dashboard), headers)


@router.put("/{id}", summary="Write a dashboard", responses=CONFLICT)
def write(
    request: Request,
    operator: Operator,
    id: str,
    text: BodyText,
    over_version: Annotated[int | None, Query(description="Refuse when there is another version by now")] = None,
) -> Saved:
    """The board as YAML or JSON in the body."""
    try:
        dashboard = read_dashboard(text, id)
    except TextError as error:
        raise HTTPException(422, "; ".join(str(problem) for problem in error.problems[:20])) from error
    if dashboard.id != id:
        raise HTTPException(422, f"cannot save dashboard '{id}': the text is of '{dashboard.id}'; make both the same")
    version = _save(control_of(request), operator, dashboard, write_dashboard(dashboard), over_version)
    return Saved(id=id, version=version, doubts=doubts(dashboard))


@router.delete("/{id}", status_code=204, summary="Delete a dashboard, or give up its changes", responses=MISSING)
def delete(request: Request, operator: Operator, id: str) -> Response:
    control_of(request).dashboards.delete(operator, id)
    return Response(status_code=204)


@router.get("/{id}/grafana", summary="Export a dashboard for Grafana", responses=MISSING)
def export_grafana(request: Request, principal: Anybody, id: str) -> Response:
    """Grafana's classic JSON; import it there and choose the Prometheus data source that reads from Tocsin."""
    board = _board(request, principal, id)
    return _json(
        to_grafana(board.dashboard), {"Content-Disposition": f'attachment; filename="{board.dashboard.id}.json"'}
    )


def _json(value: Any, headers: dict[str, str]) -> Response:
    return Response(orjson.dumps(value, option=orjson.OPT_INDENT_2), media_type="application/json", headers=headers)


def _board(request: Request, principal: Anybody, id: str) -> Board:
    board = board_of(control_of(request), principal, id)
    if board is None:
        raise HTTPException(404, f"cannot find dashboard '{id[:80]}': there is none, or it is not yours to see")
    return board


def _save(control: ControlStore, operator: Operator, dashboard: Dashboard, text: str, over: int | None) -> int:
    return control.dashboards.save(
        operator, id=dashboard.id, title=dashboard.title, text=text, over_version=over
    ).version


def _summary(board: Board) -> BoardSummary:
    dashboard, stored = board.dashboard, board.stored
    return BoardSummary(
        id=dashboard.id,
        title=dashboard.title,
        description=dashboard.description,
        tags=list(dashboard.tags),
        panels=sum(1 for panel in dashboard.panels if panel.type != "row"),
        version=board.version,
        is_shipped=board.is_shipped,
        changed_at=stored.changed_at if stored else None,
        changed_by=stored.changed_by if stored else "",
    )
