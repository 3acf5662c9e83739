"""The documentation says what is true: generated parts are fresh, links lead somewhere, everything is mentioned."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scripts.reference import DOCS, written

ROOT = DOCS.parent
PAGES = [*sorted(DOCS.glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("name", ["configuration.md", "cli.md"])
def test_generated_document_is_fresh(name: str) -> None:
    assert (DOCS / name).read_text() == written()[name], "run: python -m scripts.reference"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_exist(page: Path) -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_readme_leads_to_every_document() -> None:
    linked = set(re.findall(r"\]\(docs/([\w-]+\.md)", (ROOT / "README.md").read_text()))

    assert {page.name for page in DOCS.glob("*.md")} <= linked
