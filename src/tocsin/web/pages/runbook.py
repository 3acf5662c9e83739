"""Runbook: what to look at and what to do when a shipped rule fires."""

from __future__ import annotations

import html
import re
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from markupsafe import Markup
from starlette.responses import Response

from tocsin.model.runbooks import runbook as text_of
from tocsin.web.page import Page
from tocsin.web.ruling import visible_groups
from tocsin.web.view import View, view_of

page = Page(
    id="runbook", title="Runbook", group="", path="/runbooks/{name}", order=4, parent="rules", notes_reads=False
)
router = APIRouter()


@router.get(page.path)
def runbook(view: Annotated[View, Depends(view_of(page))], name: str) -> Response:
    text = text_of(name)
    if text is None:
        raise HTTPException(404, f"There is no runbook {name[:80]}; the rule names another, or none.")
    title, _, rest = text.partition("\n")
    rules = [
        state
        for run in visible_groups(view.request, view.principal)
        for state in run.states
        if state.rule.annotations.get("runbook_url", "").endswith(f"/{name}.md")
    ]
    return view.render(
        page_title=title.removeprefix("# ").strip(),
        heading=title.removeprefix("# ").strip(),
        paragraphs=[drawn(part) for part in rest.split("\n\n") if part.strip()],
        rules=rules,
    )


def drawn(paragraph: str) -> Markup:
    """What runbooks use of Markdown: bold words and code."""
    safe = html.escape(" ".join(paragraph.split()))
    safe = re.sub(r"`([^`]+)`", r'<code class="mono">\1</code>', safe)
    return Markup(re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", safe))
