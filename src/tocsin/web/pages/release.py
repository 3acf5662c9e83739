"""Release: one release against the one before, endpoint by endpoint and tenant by tenant."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from starlette.responses import Response

from tocsin.model.window import Window
from tocsin.query import red
from tocsin.query.deployments import predecessor
from tocsin.query.deployments import releases as all_releases
from tocsin.query.release_compare import Change
from tocsin.query.releases import found_release, report
from tocsin.query.significance import Verdict
from tocsin.web import charts, release_headline
from tocsin.web.page import Page
from tocsin.web.view import View, view_of

page = Page(
    id="release", title="Release", group="Explore", path="/releases/{service}/{release}", order=11, parent="releases"
)
router = APIRouter()

SHOWN, MOST_FAULTS = 15, 8
HOUR_NS = 3600 * 10**9
LEAST_NS = 900 * 10**9
"""Before and after the deploy, on the charts of a release that is quite new."""


@router.get(page.path)
def release(view: Annotated[View, Depends(view_of(page))], service: str, release: str, all: bool = False) -> Response:
    every = all_releases(view.store, service, view.choice.environment, view.scope)
    one = found_release(every, release)
    if one is None:
        where = f" in {view.choice.environment}" if view.choice.environment else ""
        raise HTTPException(404, f"No release {release} of {service} was seen{where}.")
    done = report(view.store, view.scope, one, predecessor(every, one), view.now_ns, view.choice.tenant)
    reach = min(HOUR_NS, max(LEAST_NS, view.now_ns - one.at_ns))
    window = Window(max(0, one.at_ns - reach), max(one.at_ns + 1, min(one.at_ns + reach, view.now_ns)))
    asked = replace(view.filter, window=window, service=service, environment=one.environment)
    series = red.series(view.store, view.scope, asked)
    found = done.comparison
    endpoints, tenants = (found.endpoints, _tenants(found.tenants)) if found else ([], [])
    shown = None if all else SHOWN
    return view.render(
        page_title=f"{service} {release}",
        service=service,
        report=done,
        headline=release_headline.of_release(view.speech, done),
        facts=release_headline.facts(done),
        charts=charts.red_charts(series, window),
        endpoints=endpoints[:shown],
        endpoints_left=len(endpoints) - len(endpoints[:shown]),
        tenants=tenants[:shown],
        tenants_left=len(tenants) - len(tenants[:shown]),
        most_faults=MOST_FAULTS,
        flags=[(change, release_headline.flag_words(change)) for change in done.flags],
        p_words=release_headline.p_words,
        Verdict=Verdict,
        rest=view.rest(
            "/releases/compare", service=service, to=release, **{"from": done.before.release if done.before else ""},
            environment=one.environment,
        ),
    )  # fmt: skip


def _tenants(changes: list[Change]) -> list[Change]:
    """The tenants whose requests changed; who has none that did is left out."""
    return [change for change in changes if change.verdict in (Verdict.WORSE, Verdict.BETTER)]
