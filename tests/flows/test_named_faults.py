"""Each fault of the demo is named by Tocsin: what is wrong, for whom, and at which line, as a person reads it.

One server, product and traffic for all. A fault is looked at in the time since it was switched on, so that the ones
before it are not in the way; memory leaks from the beginning, because that takes longest to be sure of, and faults that
other pages tell of are switched on together.
"""

from __future__ import annotations

import html
import inspect
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from demo.product import balances, exports, ledger, rendering
from demo.product.routes import dashboard, live, projects, reports
from demo_process import Demo, start_demo

from waiting import eventually

pytestmark = pytest.mark.xdist_group("demo faults")
NAMED_SECONDS = 60.0
"""A fault has to be named within; each needs some requests that meet it."""
SURE_SECONDS = 240.0
"""A leak has to be named within, with what grows: the demo takes three minutes to be sure."""
QUIET_STATEMENTS = 1000
"""So many statements are looked at before anything is wrong."""
OPTIONS = ("--rate", "25")
ENVIRON = {
    "TOCSIN_RULES_IS_PACKS_ON": "false",
    "TOCSIN_WRITER_IDLE_SECONDS": "5",  # the server's work is nearly all inserts, however much is in each
}

FIRST_THREE = {"slow-query": "", "cross-tenant-read": "acme", "job-failing": "acme"}
NEXT_TWO = {"n+1": "", "cache-cold": ""}
"""Faults and whom they hurt; '' is everybody."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = start_demo(tmp_path_factory.mktemp("faults"), "faults", OPTIONS, ENVIRON)
    yield running
    if running.process.poll() is None:
        running.interrupt()


@pytest.fixture(scope="module")
def tocsin(demo: Demo) -> Iterator[httpx2.Client]:
    """An administrator; pages forget what was chosen on others."""
    with demo.client() as client:
        client.headers["accept"] = "text/html"
        yield client


@dataclass
class Look:
    """What Tocsin says of the time since a moment."""

    tocsin: httpx2.Client
    since: float

    def said(self, path: str) -> str:
        """The sentences that open a page, as text on one line."""
        answer = self.tocsin.get(path, params=self._window())
        assert answer.status_code == 200, answer.text
        self.tocsin.cookies.clear()
        found = re.search(r'<div class="opening is-\w+">(.*?)</div>', answer.text, re.DOTALL)
        assert found, answer.text
        return " ".join(html.unescape(re.sub(r"<[^>]+>", "", found[1])).split())

    def ask(self, path: str) -> Any:
        answer = self.tocsin.get(f"/api/v1{path}", params=self._window())
        assert answer.status_code == 200, answer.text
        return answer.json()

    def says(self, path: str, *words: str, seconds: float = NAMED_SECONDS) -> str:
        """The sentences, once all of these words are in them."""
        return eventually(
            lambda: self.said(path),
            f"{path} says {words}",
            seconds,
            pause_seconds=1.0,
            is_it=lambda said: all(word in said for word in words),
        )

    def _window(self) -> dict[str, str]:
        return {"start": f"{self.since:.3f}", "end": f"{time.time() + 1:.3f}"}


@pytest.fixture
def look(tocsin: httpx2.Client) -> Look:
    return Look(tocsin, time.time())


@contextmanager
def broken(demo: Demo, fault: str, tenant: str = "") -> Iterator[None]:
    demo.switch(fault, True, tenant)
    try:
        yield
    finally:
        demo.switch(fault, False)


def broken_together(demo: Demo, tocsin: httpx2.Client, faults: dict[str, str]) -> Look:
    """The time since all of them are."""
    since = Look(tocsin, time.time())
    for fault, tenant in faults.items():
        demo.switch(fault, True, tenant)
    return since


def mended(demo: Demo, faults: dict[str, str]) -> None:
    for fault in faults:
        demo.switch(fault, False)


def line(function: Callable[..., object], words: str) -> str:
    """`demo/product/ledger.py:73`: the line of a function with these words, its path as short as the SDK tells it."""
    rows, first = inspect.getsourcelines(function)
    number = next(number for number, row in enumerate(rows, first) if words in row)
    return f"{'/'.join(Path(inspect.getfile(function)).parts[-3:])}:{number}"


@pytest.fixture(scope="module")
def quiet(demo: Demo, tocsin: httpx2.Client) -> Look:
    """The time without a fault, long enough to tell."""
    look = Look(tocsin, time.time())

    def statements() -> int:
        return sum(each["total"] for each in look.ask("/isolation")["coverage"])

    eventually(lambda: statements() >= QUIET_STATEMENTS, "statements were looked at", pause_seconds=1.0)
    return look


@pytest.fixture(scope="module")
def leaking(demo: Demo, quiet: Look) -> Look:
    """The time since memory leaks."""
    since = Look(quiet.tocsin, time.time())
    demo.switch("leak", True)
    return since


@pytest.fixture(scope="module")
def first_three(demo: Demo, leaking: Look) -> Look:
    """The time since these are broken, each told on another page."""
    return broken_together(demo, leaking.tocsin, FIRST_THREE)


@pytest.fixture(scope="module")
def next_two(demo: Demo, leaking: Look, first_three: Look) -> Look:
    """The time since these are, and the three before are not."""
    mended(demo, FIRST_THREE)
    time.sleep(max(0.0, leaking.since + 15 - time.time()))  # the time before has to have look-ups
    return broken_together(demo, leaking.tocsin, NEXT_TWO)


@pytest.fixture(scope="module")
def one_by_one(demo: Demo, next_two: Look) -> None:
    """Only memory leaks; what comes now would be in each other's way."""
    mended(demo, NEXT_TWO)


def test_nothing_is_wrong_before_any_fault(quiet: Look) -> None:
    isolation = quiet.ask("/isolation")
    assert (isolation["state"], isolation["crossings"]) == ("ok", [])
    assert [each["tenant"] for each in isolation["coverage"] if each["read_others"] or each["read_by_others"]] == []
    assert [one["pid"] for one in quiet.ask("/runtime")["processes"] if one["is_leaking"]] == []
    assert "kept the event loop" not in quiet.said("/runtime")
    assert quiet.ask("/database/repeats")["repeats"] == []
    assert [each["health"] for each in quiet.ask("/dependencies")["dependencies"] if each["calls"]["errors"]] == []
    assert [each["name"] for each in quiet.ask("/jobs")["jobs"] if each["failures"]] == []
    assert quiet.ask("/errors")["errors"] == []


def test_slow_query_is_named_with_its_line_and_its_plan(first_three: Look) -> None:
    at = line(ledger._unindexed_account_ranks, "session.execute(statement)")
    plan = "its plan reads all of ledger_entries"
    first_three.says("/database", "one slow statement, SELECT … ledger_entries", at, plan)
    worst = first_three.ask("/database/slow")["slow"][0]
    assert "/api/v1/projects/{project_id}/reports/{report_id}" in worst["caller"]
    assert worst["line"] == f"{at} in _unindexed_account_ranks"
    said = first_three.said(f"/database/{worst['digest']}")
    assert said.startswith("It is slow:")
    assert at in said


def test_failing_jobs_are_named_with_tenant_and_line(first_three: Look) -> None:
    # The statements come round every minute; exports are there before.
    first_three.says("/jobs", "run_export", "failed", "for acme")
    names = {each["name"] for each in first_three.ask("/jobs")["jobs"] if each["failures"]}
    [export] = [name for name in names if name.endswith("run_export")]
    job = first_three.ask(f"/jobs/{export}")
    assert [each["tenant"] for each in job["jobs"][0]["hurt"]] == ["acme"]
    assert job["failing_line"].startswith(f"{line(exports.run_export, 'write_text')} in run_export")


def test_other_tenants_rows_are_named_with_line_and_tenants(first_three: Look) -> None:
    at = line(reports.recent_reports, "session.execute")
    first_three.says("/isolation", "were read in acme's requests: GET /api/v1/reports/recent", at)
    found = first_three.ask("/isolation")["crossings"]
    assert {each["tenant"] for each in found} == {"acme"}
    assert "acme" not in {each["row_tenant"] for each in found}
    assert {f"{each['code_path']}:{each['code_line']}" for each in found} == {at}


def test_n_plus_one_is_named_with_its_line_and_endpoint(next_two: Look) -> None:
    next_two.says("/database", "(N+1)", "times in each GET /api/v1/projects at product/routes/projects.py:")
    lines = {each["line"] for each in next_two.ask("/database/repeats")["repeats"]}
    expected = [line(projects._summary, words) for words in ("project.owner.name", "len(project.reports)")]
    assert {f"{at} in _summary" for at in expected} <= lines


def test_cold_cache_is_named_with_what_the_database_is_asked_instead(next_two: Look) -> None:
    said = next_two.says("/dependencies", "The cache balance finds ", "GET /api/v1/dashboard runs SELECT …")
    found = re.search(r"The cache balance finds (\d+) %", said)
    assert found is not None
    assert int(found[1]) < 40  # it was above 80; what was found a moment before is counted a moment later
    assert line(dashboard._balance, "session.execute(statement)") in said


def test_dead_dependency_is_named_with_its_endpoint_and_line(demo: Demo, one_by_one: None, look: Look) -> None:
    with broken(demo, "dependency-down"):
        look.says(
            "/dependencies",
            "127.0.0.1:9 does not answer: POST /api/v1/invoices/{invoice_id}/render depends on it.",
            "ConnectError",
            f"called at {line(rendering.Renderer.render, 'client.post')}",
        )


def test_leak_is_told_with_its_rate_and_worker(demo: Demo, leaking: Look, one_by_one: None) -> None:
    """Before the faults that stop the traffic, and with it the leak."""
    names = ("of tallyroom leaks ", " an hour")
    said = leaking.says("/runtime", *names, seconds=SURE_SECONDS)
    [process] = [one for one in leaking.ask("/runtime")["processes"] if one["is_leaking"]]
    assert f"worker {process['pid']} of tallyroom" in said.lower()
    demo.switch("leak", False)


def test_errors_of_one_tenant_are_named_with_line_and_tenant(demo: Demo, one_by_one: None, look: Look) -> None:
    with broken(demo, "errors-for-one-tenant", "acme"):
        look.says("/", "fails for acme")
        look.says("/errors", "MissingRateError began with release 2.14.0 at", "and hits acme on ")
        # One group for each function that converts. The faults before may have an error or two on their way.
        groups = [each for each in look.ask("/errors")["errors"] if each["type"].endswith("MissingRateError")]
        for group in groups:
            look.says(f"/errors/{group['fingerprint']}", f"In {line(ledger.convert, 'raise MissingRateError')}")
    assert {tuple(group["tenants"]) for group in groups} == {("acme",)}


def test_call_that_keeps_the_event_loop_is_named_with_its_line(demo: Demo, one_by_one: None, look: Look) -> None:
    with broken(demo, "blocking-call"):
        at = line(live.list_notifications, "time.sleep")
        kept = "GET /api/v1/notifications kept the event loop of tallyroom "
        look.says("/runtime", kept, f" at {at}", "time.sleep(_BLOCKING_SECONDS)")
        worst = look.ask("/runtime")["blocking"][0]
    assert worst["line"] == f"{at} in list_notifications"
    assert worst["endpoints"] == ["GET /api/v1/notifications"]


def test_noisy_neighbour_is_named_on_the_database_and_its_statement_with_its_line(
    demo: Demo, one_by_one: None, look: Look
) -> None:
    with broken(demo, "noisy-neighbour"):
        look.says("/database", "initech takes ", "of database time with ", line(balances._page, "session.execute"))
    noisy = [each["tenant"] for each in look.ask("/database/tenants")["tenants"] if each["is_noisy"]]
    assert noisy == ["initech"]


def test_exhausted_pool_is_named_with_who_keeps_its_connections(demo: Demo, one_by_one: None, look: Look) -> None:
    with broken(demo, "pool-exhaustion"):
        at = line(dashboard._search, "session.scalars(projects.limit(20))")
        said = look.says("/database", "The pool of ", "got no connection", "GET /api/v1/search keeps a connection", at)
    assert "was full for" in said or "ran out" in said
