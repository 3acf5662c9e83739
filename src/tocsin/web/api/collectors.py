"""/api/v1/collectors: what the server scrapes and collects by itself."""

from __future__ import annotations

from fastapi import APIRouter, Depends, HTTPException, Request

from tocsin.collect.scrape_config import ScrapeConfigError
from tocsin.web.api.contract import BEARER, REFUSALS, Problem, Shown
from tocsin.web.auth import Operator

router = APIRouter(prefix="/api/v1/collectors", tags=["monitoring"], dependencies=[Depends(BEARER)], responses=REFUSALS)


class Restarted(Shown):
    """The scrape jobs that run now, collectors included."""

    jobs: list[str]


@router.post("/restart", summary="Scrape and collect anew", responses={400: {"model": Problem}})
def restart(request: Request, _: Operator) -> Restarted:
    """By the scrape configuration as it is now; one that cannot be used is told and changes nothing."""
    server = request.app.state.tocsin
    try:
        server.restart_collectors()
    except ScrapeConfigError as error:
        raise HTTPException(400, str(error)) from error
    return Restarted(jobs=server.scraper.job_names)
