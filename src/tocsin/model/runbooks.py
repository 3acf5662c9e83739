"""Where the runbooks of the shipped rules are read: on the server's own pages, whatever a rule file calls them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

SHIPPED = re.compile(r"docs/runbooks/([a-z0-9-]+)\.md")
_NAME = re.compile(r"[a-z0-9-]{1,80}")


def runbook_link(said: str, base: str) -> str:
    """The address of a runbook: that of the page for one of ours, what an annotation says of any other."""
    found = SHIPPED.fullmatch(said.strip())
    return f"{base.rstrip('/')}/runbooks/{found[1]}" if found else said


def runbook(name: str) -> str | None:
    """Its text in Markdown; None where there is none of that name."""
    file = _folder() / f"{name}.md"
    return file.read_text("utf-8") if _NAME.fullmatch(name) and file.is_file() else None


@cache
def _folder() -> Path:
    """In the package, or beside the sources it was installed from."""
    inside = Path(__file__).parents[1] / "runbooks"
    return inside if inside.is_dir() else Path(__file__).parents[3] / "docs" / "runbooks"
