"""Operations: what must not fail, how often it succeeds, and for whom it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.query import operations as query
from tocsin.query.operations import OperationRow
from tocsin.web import operation_headline
from tocsin.web.page import Page
from tocsin.web.sorting import in_order, read_sorting
from tocsin.web.view import View, view_of

page = Page(id="operations", title="Operations", group="Customers", path="/operations", order=3, key="x")
router = APIRouter()

COLUMNS: dict[str, Callable[[OperationRow], Any]] = {
    "name": lambda row: row.operation,
    "rate": lambda row: row.rate,
    "success": lambda row: row.now.success_ratio,
    "failures": lambda row: row.now.failure,
    "p95": lambda row: row.now.p95_seconds,
}


@router.get(page.path)
def operations(view: Annotated[View, Depends(view_of(page))], sort: str = "") -> Response:
    sorting = read_sorting(sort, COLUMNS)
    rows = query.operations(view.store, view.scope, view.filter)
    return view.render(
        headline=operation_headline.listing(view.speech, rows),
        rows=in_order(rows, sorting, COLUMNS),
        sorting=sorting,
    )
