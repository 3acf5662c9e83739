"""`tocsin logs analyze` over files: every flag of the runbook, right about times, honest about what it cannot read."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from log_lines import LINES


def stamp(minutes: float, form: str = "Z") -> str:
    at = datetime.now(UTC) - timedelta(minutes=minutes)
    if form == "naive":
        return at.replace(tzinfo=None).isoformat()
    if form == "offset":
        return (at + timedelta(hours=5)).replace(tzinfo=None).isoformat() + "+05:00"
    if form == "comma":
        return at.strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
    if form == "epoch":
        return str(at.timestamp())
    return at.replace(tzinfo=None).isoformat() + "Z"


def written(folder: Path, name: str, rows: list[Any]) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def ran(*given: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tocsin", "logs", "analyze", *map(str, given)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def report(*given: object) -> Any:
    done = ran(*given, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def view(said: Any, id: str) -> Any:
    return next(one for one in said["views"] if one["id"] == id)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runbook's folders, with times of every form and lines that nobody can read."""
    folder = tmp_path_factory.mktemp("logs")
    forms = ("Z", "naive", "offset", "comma", "epoch")
    errors: list[Any] = [
        {
            "timestamp": stamp(30, form),
            "error_type": "PaymentError",
            "message": f"payment {number} failed",
            "tenant_id": "acme",
        }
        for number, form in enumerate(forms)
    ]
    errors += [{"timestamp": stamp(180, form), "error_type": "OldError", "message": "old"} for form in forms]
    errors += ["{broken", '"a text"', '{"timestamp": "yesterday", "error_type": "Lost"}', ""]
    written(folder, "errors/2026-11-21.jsonl", errors)
    slow = [
        {"timestamp": stamp(2), "message": "done", "response_time": seconds, "path": "/reports"}
        for seconds in (2.5, 1.5, 9)
    ]
    written(folder, "performance/2026-11-20.jsonl.gz", slow)
    card = {"time": stamp(1), "exception.type": "CardError", "tenant": "globex"}
    written(folder, "app.log", [
        {"level": "ERROR", "msg": "cannot charge card 17"} | card,
        {"level": "error", "msg": "cannot charge card 18"} | card,
        {"time": stamp(1), "level": "INFO", "msg": "Slow query detected: SELECT 1 (700 ms)"},
        {"time": stamp(1), "level": "INFO", "msg": "Order 4711 placed", "tenant": "acme"},
        {"time": stamp(1), "level": "WARNING", "msg": "Brute force suspected: 40 attempts"},
        {"time": stamp(1), "level": "WARNING", "msg": "Failed login for bob"},
    ])  # fmt: skip
    written(folder, "notes.txt", ["no log"])
    return folder


def test_errors_of_the_last_hour_are_counted_whatever_their_time_is_written_like(logs: Path) -> None:
    said = report(logs, "--errors", "--last-hour")
    found = {(one["what"], one["pattern"]): one["lines"] for one in view(said, "errors")["findings"]}
    assert found == {("PaymentError", "payment <*> failed"): 5, ("CardError", "cannot charge card <*>"): 2}
    assert (said["unreadable"], said["undated"], said["outside"]) == (2, 1, 5)
    assert said["unreadable_examples"] == ["{broken", '"a text"'] or set(said["unreadable_examples"]) == {"{broken"}


def test_files_are_read_whole_without_a_time(logs: Path) -> None:
    said = report(logs, "--errors")
    assert view(said, "errors")["lines"] == 13  # the one without a time among them
    assert said["files"] == 3


def test_every_flag_of_the_runbook_works_and_they_can_be_joined(logs: Path) -> None:
    said = report(logs, "--slow-queries", "--threshold=500ms", "--security", "--suspicious", "--business-events",
                  "--summary", "--performance", "--timeframe", "1")  # fmt: skip
    assert {one["id"]: one["lines"] for one in said["views"]} == {
        "slow-queries": 1, "performance": 3, "security": 2, "suspicious": 1, "business-events": 6,
    }  # fmt: skip
    assert view(said, "performance")["findings"][0]["most_seconds"] == 9
    assert view(said, "performance")["findings"][0]["what"] == "/reports"
    assert said["tenants"] == {"acme": 6, "globex": 2}


@pytest.mark.parametrize(
    ("window", "lines"),
    [("--last-5min", 2), ("--last-hour", 7), ("--last-24h", 12), ("--since=2h", 7), ("--timeframe=4", 12)],
)
def test_check_errors_tells_scripts_by_its_exit_code(logs: Path, window: str, lines: int) -> None:
    done = ran(logs, "--check-errors", window)
    assert done.returncode == 1
    assert f"Errors: {lines}\n" in done.stdout
    assert "2 lines that are no JSON objects" in done.stderr
    assert ran(logs, "--check-errors", window, "--tenant", "initech").returncode == 0


def test_a_tenant_is_reported_alone(logs: Path) -> None:
    said = report(logs, "--errors", "--tenant", "globex")
    assert [one["what"] for one in view(said, "errors")["findings"]] == ["CardError"]
    assert said["tenants"] == {"globex": 2}


def test_naive_times_are_of_the_zone_that_is_given(tmp_path: Path) -> None:
    local = (datetime.now(UTC) - timedelta(minutes=10) + timedelta(hours=9)).replace(tzinfo=None).isoformat()
    file = written(tmp_path, "a.jsonl", [{"timestamp": local, "level": "error", "message": "x"}])
    assert view(report(file, "--errors", "--last-hour", "--timezone", "Asia/Tokyo"), "errors")["lines"] == 1


def test_views_are_those_of_the_pages(tmp_path: Path) -> None:
    rows = []
    for line in LINES:
        level = {0: "", 9: "info", 13: "warn", 16: "warn", 17: "error", 21: "fatal"}[line.severity]
        event = {"event": line.event} if line.event else {}
        rows.append(
            {
                "timestamp": stamp(1),
                "level": level,
                "message": line.message,
                "logger": line.logger,
                **line.fields,
                **event,
            }
        )
    said = report(written(tmp_path, "a.jsonl", rows))
    wanted = {one["id"]: sum(one["id"] in line.views for line in LINES) for one in said["views"]}
    assert {one["id"]: one["lines"] for one in said["views"]} == wanted


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["/nowhere"], "there is no such file or folder"),
        (["--last-hour", "--last-24h"], "several times at once"),
        (["--threshold", "soon"], "cannot read threshold 'soon'"),
        (["--timezone", "Mars"], "nobody knows it"),
    ],
)
def test_what_cannot_be_done_is_said(logs: Path, given: list[str], words: str) -> None:
    done = ran(*([] if given[0].startswith("/") else [logs]), *given)
    assert done.returncode == 2
    assert words in done.stderr


def test_odd_files_do_no_harm(tmp_path: Path) -> None:
    written(tmp_path, "empty.jsonl", [])
    (tmp_path / "binary.jsonl").write_bytes(bytes(range(256)) * 100)
    long = {"timestamp": stamp(1), "level": "error", "message": "x" * 10_000_000}
    written(
        tmp_path, "long.jsonl", [long, {"timestamp": "9999-12-31T00:00:00Z", "level": "error", "message": "future"}]
    )
    said = report(tmp_path, "--errors")
    assert view(said, "errors")["lines"] == 2
    assert said["unreadable"] >= 1


def test_a_damaged_file_is_told_and_hides_no_other(tmp_path: Path) -> None:
    line = json.dumps({"levelname": "ERROR", "message": "cannot charge card"})
    written(tmp_path, "app.jsonl.gz", [line])
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(random.Random(7).randbytes(50_000).hex().encode())[:-4000])
    said = report(tmp_path, "--errors")
    assert view(said, "errors")["lines"] == 1
    assert list(said["unreadable_files"]) == [str(cut)]
    done = ran(cut, "--check-errors")
    assert done.returncode == 2
    assert f"{cut} cannot be read to its end, left out: " in done.stderr
