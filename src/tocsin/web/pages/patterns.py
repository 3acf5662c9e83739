"""Patterns: what the logs say, each thing once, with how often, for whom and since when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException
from starlette.responses import Response

from tocsin.model.log_levels import LEVELS
from tocsin.query.begun import begin
from tocsin.query.log_patterns import LogPattern, compared, log_patterns
from tocsin.web import headline, pattern_headline
from tocsin.web.charts import spark
from tocsin.web.page import Page
from tocsin.web.sorting import in_order, read_sorting
from tocsin.web.view import View, view_of

page = Page(id="patterns", title="Patterns", group="Explore", path="/patterns", order=6, key="f")
router = APIRouter()

MOST = 300
TABS = {"all": "all", "new": "new", "errors": "errors"}


@dataclass(frozen=True, slots=True)
class PatternRow:
    """A pattern as the table shows it. factor: against the time before, None when it had none there."""

    pattern: LogPattern
    factor: float | None
    verdict: str

    def spark(self) -> tuple[str, str]:
        return spark(self.pattern.course, 120, 24)

    @property
    def tone(self) -> str:
        level = self.pattern.level
        return "bad" if level in pattern_headline.BAD else "c3" if level == "warn" else "c1"

    def is_in(self, tab: str) -> bool:
        if tab == "new":
            return self.pattern.is_new
        return tab == "all" or self.pattern.level in pattern_headline.BAD


COLUMNS: dict[str, Callable[[PatternRow], Any]] = {
    "pattern": lambda row: row.pattern.text.lower(),
    "level": lambda row: LEVELS.index(row.pattern.level) if row.pattern.level in LEVELS else None,
    "service": lambda row: row.pattern.service.lower(),
    "lines": lambda row: row.pattern.lines,
    "first": lambda row: row.pattern.first_ns,
    "last": lambda row: row.pattern.last_ns,
}


@router.get(page.path)
def patterns(
    view: Annotated[View, Depends(view_of(page))], tab: str = "all", sort: str = "", service: str = ""
) -> Response:
    if tab not in TABS:
        raise HTTPException(400, f"cannot show '{tab[:40]}' patterns: pick one of {', '.join(TABS)}")
    sorting = read_sorting(sort, COLUMNS)
    asked = replace(view.filter, service=service or None)
    asked_changes = begin(compared, view.store, view.scope, asked, view.before(asked), limit=MOST)
    found = log_patterns(view.store, view.scope, asked, limit=MOST)
    if not found and not view.has_data:
        return view.render(headline=headline.nothing_yet(), is_new=True)
    changes = asked_changes.result()
    of_pattern = {(one.pattern.service, one.pattern.id): one for one in changes}
    rows = []
    for one in found:
        change = of_pattern.get((one.service, one.id))
        rows.append(PatternRow(one, change.factor if change else None, change.verdict if change else "same"))
    return view.render(
        headline=pattern_headline.patterns(view.speech, found, changes),
        is_new=False,
        rows=in_order([row for row in rows if row.is_in(tab)], sorting, COLUMNS),
        tab=tab,
        tabs=[(name, words, sum(row.is_in(name) for row in rows)) for name, words in TABS.items()],
        sorting=sorting,
        service=service,
        services=sorted({one.service for one in found}),
    )
