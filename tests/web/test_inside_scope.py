"""The pages about the inside of the product for a viewer of acme: globex is nowhere, and the pages are not empty."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from inside import FAULT, JOB, PATHS, PLATFORM_PATHS, SECRET, STATEMENT, open_inside
from served import Served

from tocsin.web.page import found

pytestmark = pytest.mark.xdist_group("inside")
REST = (
    "/database/statements", f"/database/statements/{STATEMENT}", "/database/series", "/database/repeats",
    "/database/slow", "/database/tenants", "/database/pools", "/dependencies", "/dependencies/series", "/caches",
    "/caches/commands", "/jobs", f"/jobs/{JOB.replace(' ', '%20')}", "/errors", "/errors/clients", "/errors/fields",
    "/isolation", "/isolation/record?month=2026-01", "/releases", "/operations", "/operations/login", "/annotations",
)  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with open_inside(tmp_path_factory.mktemp("inside")) as running:
        yield running


@pytest.mark.parametrize("path", PATHS)
def test_viewer_of_acme_never_reads_of_globex_on_a_page(site: Served, path: str) -> None:
    for query in ("", "?range=30d", "?range=15m"):
        answer = site.tom.get(path + query)
        assert answer.status_code == 200, answer.text
        assert SECRET not in answer.text.lower(), path + query


@pytest.mark.parametrize("path", REST)
def test_viewer_of_acme_never_reads_of_globex_over_rest(site: Served, path: str) -> None:
    answer = site.tom.get(f"/api/v1{path}")
    assert answer.status_code == 200, answer.text
    assert SECRET not in answer.text.lower()


@pytest.mark.parametrize("path", [*PATHS, *PLATFORM_PATHS])
def test_the_platform_reads_of_both(site: Served, path: str) -> None:
    """Otherwise the tests above would prove nothing."""
    html = site.administrator.get(path).text
    # Only acme's sign-in fails, only acme waits for the release and raises.
    is_of_acme_alone = path in ("/operations", "/releases", "/releases/shop/2.0", "/errors", f"/errors/{FAULT}")
    assert is_of_acme_alone or SECRET in html.partition("<main")[2]


def test_viewer_of_acme_sees_acme(site: Served) -> None:
    for path in ("/database", "/dependencies", "/jobs", "/isolation", "/operations"):
        assert "is-quiet" not in site.tom.get(path).text, path


@pytest.mark.parametrize("path", PATHS)
def test_globex_chosen_by_its_name_is_not_found(site: Served, path: str) -> None:
    assert site.tom.get(path, params={"tenant": "globex"}).status_code == 404


@pytest.mark.parametrize("path", PLATFORM_PATHS)
def test_processes_are_the_platforms(site: Served, path: str) -> None:
    assert site.tom.get(path).status_code == 403


@pytest.mark.parametrize("path", [*PATHS, *PLATFORM_PATHS])
def test_page_keeps_the_house_rules(site: Served, path: str) -> None:
    answer = site.administrator.get(path)
    assert len(re.findall("<h1", answer.text)) == 1
    assert 'aria-current="page"' in answer.text
    assert not re.findall(r"\sstyle=|\son[a-z]+=", answer.text)
    assert not re.findall(r'(?:src|href|action)="https?://', answer.text)
    ids = re.findall(r'\sid="([^"]+)"', answer.text)
    assert sorted(ids) == sorted(set(ids))


def test_no_two_pages_share_a_key_or_a_place_in_the_navigation() -> None:
    listed = [page for page, _ in found() if page.is_listed]
    keys = [page.key for page in listed if page.key]
    assert sorted(keys) == sorted(set(keys))
    places = [(page.group, page.order) for page in listed]
    assert sorted(places) == sorted(set(places))
