"""`tocsin logs maintain` and `verify` as cron runs them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tocsin.cli.commands import app

DAY = 86_400


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["logs", *arguments])


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Files of the runbook's folders, 2, 10, 40 and 100 days old."""
    for number, days in enumerate((2, 10, 40, 100)):
        path = tmp_path / "logs" / "errors" / f"worker-{'abcd'[number]}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"timestamp": "2026-01-01T00:00:00Z", "level": "ERROR"}\n')
        written = time.time() - days * DAY
        os.utime(path, (written, written))
    return tmp_path / "logs"


def test_the_runbook_s_script_is_one_command(logs: Path) -> None:
    archive = logs.parent / "archives"
    done = run("maintain", str(logs), "--archive-folder", str(archive), "--restore-test", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    deeds = [(one["deed"], Path(one["file"]).name) for one in told["done"]]
    assert deeds.count(("restored", "worker-b.jsonl")) == 1
    assert ("deleted", "worker-d.jsonl") in deeds
    assert [path.name for path in (archive / "errors").iterdir()] == ["worker-c.jsonl.gz"]
    assert told["disk_bytes"]["archive"] > 0


def test_a_dry_run_says_so(logs: Path) -> None:
    done = run("maintain", str(logs), "--dry-run")
    assert "dry run, nothing was changed: 3 compressed, 2 archived, 1 deleted" in done.output
    assert len(list(logs.rglob("*.jsonl"))) == 4


def test_verify_ends_with_what_it_found(logs: Path) -> None:
    assert run("verify", str(logs)).exit_code == 1
    assert run("maintain", str(logs)).exit_code == 0
    done = run("verify", str(logs))
    assert (done.exit_code, "all is well" in done.output) == (0, True)


def test_a_broken_archive_ends_with_one(logs: Path) -> None:
    run("maintain", str(logs))
    (logs / "archive" / "errors" / "worker-c.jsonl.gz").write_bytes(b"no gzip")
    done = run("verify", str(logs), "--json")
    assert done.exit_code == 1
    assert [one["kind"] for one in json.loads(done.output)["findings"]] == ["unreadable"]
    assert run("maintain", str(logs), "--restore-test").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--compress-after", "soon"), "cannot read duration 'soon'"),
        (("--compress-after", "60d"), "correct the order"),
    ],
)
def test_ages_that_cannot_be_are_named(
    logs: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    done = run("maintain", str(logs), *arguments)
    assert done.exit_code == 2
    assert said in done.output + capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run("verify", str(tmp_path / "nowhere"))
    assert done.exit_code == 2
    assert "no such folder" in done.output
