"""`tocsin data cleanup`, `hold` and `release` against a running server."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx2
import pytest
from running import Run
from served import Served

from otlp import log_record, log_request
from waiting import eventually

pytestmark = pytest.mark.xdist_group("commands")

DAY_NS = 86_400 * 10**9


_numbers = itertools.count()


@dataclass(frozen=True)
class OldLines:
    """Lines of two tenants that no other test has: of each 3 from 10 days ago and 2 from now."""

    site: Served
    initech: str
    hooli: str

    def left(self, tenant: str) -> int:
        asked = {"range": "30d", "tenant": tenant, "limit": 100}
        return len(self.site.administrator.get("/api/v1/logs", params=asked).json()["lines"])


@pytest.fixture
def old(metrics_server: Served) -> OldLines:
    number, now = next(_numbers), time.time_ns()
    made = OldLines(metrics_server, f"initech-{number}", f"hooli-{number}")
    for tenant in (made.initech, made.hooli):
        times = [now - 10 * DAY_NS] * 3 + [now] * 2
        records = [log_record("old", time_ns=at, attrs={"tocsin.tenant": tenant}) for at in times]
        answer = httpx2.post(
            f"{metrics_server.url}/v1/logs",
            content=log_request(records).SerializeToString(),
            headers={"content-type": "application/x-protobuf"},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
    eventually(
        lambda: made.left(made.initech) == made.left(made.hooli) == 5, "all lines are visible", pause_seconds=0.1
    )
    return made


def test_cleanup_tells_first_and_deletes_only_what_is_not_on_hold(
    run: Run, old: OldLines, metrics_server: Served
) -> None:
    assert run("data", "hold", old.hooli, "--reason", "case 7").exit_code == 0
    assert f"{old.hooli}: since" in run("data", "holds").stdout
    told = run("data", "cleanup", "--older-than=5days", "--signal", "logs", "--dry-run")
    assert told.exit_code == 0, told.output
    assert "would delete" in told.stdout
    assert f"on hold, kept: {old.hooli}" in told.stdout
    assert (old.left(old.initech), old.left(old.hooli)) == (5, 5)

    done = json.loads(run("data", "cleanup", "--older-than=5d", "--signal", "logs", "--json").stdout)
    assert [one["rows"] for one in done["deleted"] if one["table"] == "logs"] == [3]
    assert (old.left(old.initech), old.left(old.hooli)) == (2, 5)

    refused = run("data", "cleanup", "--older-than=5d", "--tenant", old.hooli)
    assert refused.exit_code != 0
    assert "on legal hold" in refused.output
    assert run("data", "release", old.hooli, "--reason", "closed").exit_code == 0
    assert run("data", "cleanup", "--older-than=5 days", "--signal", "logs", "--tenant", old.hooli).exit_code == 0
    assert old.left(old.hooli) == 2
    entries = metrics_server.administrator.get("/api/v1/audit").json()["entries"]
    assert {"hold.place", "hold.lift", "data.cleanup"} <= {one["action"] for one in entries}


@pytest.mark.parametrize(
    ("given", "said"),
    [(["--older-than=12h"], "such as 30days"), (["--older-than=9d", "--signal", "smells"], "signals are traces")],
)
def test_cleanup_that_cannot_be_read_is_refused(run: Run, given: list[str], said: str) -> None:
    answer = run("data", "cleanup", *given)
    assert answer.exit_code != 0
    assert said in answer.output


def test_only_administrators_delete_and_hold(metrics_server: Served) -> None:
    for tenant in ("acme", "globex"):
        asked = {"older_than": "9d", "tenant": tenant}
        assert metrics_server.tom.post("/api/v1/data/cleanup", json=asked).status_code == 403
        assert metrics_server.tom.post("/api/v1/data/holds", json={"tenant": tenant, "reason": "x"}).status_code == 403
    assert metrics_server.tom.get("/api/v1/data/holds").status_code == 403


def test_only_days_whose_export_is_complete_go(run: Run, old: OldLines, metrics_server: Served) -> None:
    before = old.left(old.initech)
    day = datetime.fromtimestamp(time.time() - 10 * 86_400, UTC).date().isoformat()
    clean = ("data", "cleanup", "--older-than=5d", "--signal", "logs", "--json")
    assert json.loads(run(*clean, "--exported-only", "cold").stdout)["rows"] == 0
    written = run("data", "export", "cold", "--signal", "logs", "--from", day, "--to", day, "--verify", "--json")
    assert written.exit_code == 0, written.output
    told = json.loads(written.stdout)
    (file,) = told["exported"]
    assert told["verified"] == [file | {"problem": ""}]
    assert file["rows"] >= 6
    gone = json.loads(run(*clean, "--exported-only", "cold").stdout)
    assert [(one["table"], one["day"], one["rows"]) for one in gone["deleted"]] == [("logs", day, file["rows"])]
    assert old.left(old.initech) == before - 3
    again = run("data", "export", "cold", "--verify")
    assert again.exit_code == 0
    assert "verified 1 files" in again.stdout


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["../x", "--from", "2026-01-01", "--to", "2026-01-02"], "not below"),
        (["cold", "--from", "2026-01-02", "--to", "2026-01-01"], "days (UTC) that are over"),
        (["cold", "--from", "2026-01-01", "--to", "2999-01-01"], "days (UTC) that are over"),
        (["cold", "--from", "2026-01-01", "--to", "2026-01-01", "--signal", "rates"], "signals are traces"),
    ],
)
def test_exports_that_make_no_sense_are_refused(run: Run, given: list[str], said: str) -> None:
    answer = run("data", "export", *given)
    assert answer.exit_code != 0
    assert said in answer.output


def test_only_administrators_export(metrics_server: Served) -> None:
    asked = {"signals": ["logs"], "first": "2026-01-01", "last": "2026-01-01", "target": "cold", "tenant": "acme"}
    assert metrics_server.tom.post("/api/v1/data/exports", json=asked).status_code == 403
    assert metrics_server.tom.get("/api/v1/data/exports", params={"target": "cold"}).status_code == 403
