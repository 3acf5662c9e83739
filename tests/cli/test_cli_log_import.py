"""`tocsin logs import`: old files into a server, once, with what could not be read told."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ingest.log_rows import log_rows
from ingest.serving import Ingest, http_server, ingest_of
from tocsin.cli.commands import app

Import = Callable[..., Result]
NOW = int(time.time())


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    with ingest_of(tmp_path / "spool") as made:
        yield made


@pytest.fixture
def run(ingest: Ingest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Import]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    with http_server(ingest.gate) as port:
        yield lambda *arguments: CliRunner().invoke(
            app, ["logs", "import", *map(str, arguments), "--url", f"http://127.0.0.1:{port}"]
        )


def line(number: int, **more: object) -> str:
    return json.dumps({"timestamp": NOW + number / 1000, "level": "info", "message": f"m{number}", **more}) + "\n"


def test_files_and_folders_are_imported_with_what_their_lines_do_not_say(
    ingest: Ingest, run: Import, tmp_path: Path
) -> None:
    folder = tmp_path / "old" / "2026"
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_text(line(0) + line(1, tenant="globex", service="cart"))
    (folder / "b.log.gz").write_bytes(gzip.compress(line(2).encode()))
    (folder / "picture.png").write_bytes(b"\x89PNG")
    result = run(tmp_path / "old", "--tenant", "acme", "--service", "shop")
    assert result.exit_code == 0, result.output
    assert "3 records of 2 files are stored" in result.output
    rows = sorted(log_rows(ingest), key=lambda row: row.message)
    assert [(row.message, row.resource["service.name"], row.severity) for row in rows] == [
        ("m0", "shop", 9), ("m1", "cart", 9), ("m2", "shop", 9)
    ]  # fmt: skip
    assert [row.attributes.get("tocsin.tenant") or row.resource["tocsin.tenant"] for row in rows] == [
        "acme", "globex", "acme"
    ]  # fmt: skip
    assert rows[2].resource["log.file.path"] == str(folder / "b.log.gz")


def test_a_second_run_sends_only_what_is_new(ingest: Ingest, run: Import, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("".join(line(number) for number in range(5000)))
    assert "5,000 records" in run(file).output
    with file.open("a") as more:
        more.write(line(5000))
    assert "1 record" in run(file).output
    assert "5,001 records" in run(file, "--again").output
    # The server knows the two batches that are the same, the third has a line more.
    assert {row.message for row in log_rows(ingest)} == {f"m{number}" for number in range(5001)}


def test_lines_that_cannot_be_read_are_counted_and_shown(ingest: Ingest, run: Import, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes((line(0) + '{"message": "cut\nplain\n\n').encode() + b"\xff\xfe\n" + line(1).encode().rstrip())
    result = run(file)
    assert result.exit_code == 1
    assert "3 lines could not be read" in result.output
    assert f'{file}:2: no JSON object: \'{{"message": "cut\'' in result.output
    assert [row.message for row in log_rows(ingest)] == ["m0", "m1"]


def test_plain_lines_are_taken_on_request(ingest: Ingest, run: Import, tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(NOW))
    file.write_text(f"{at} ERROR no\n")
    assert run(file, "--plain", "--timezone", "UTC").exit_code == 0
    (row,) = log_rows(ingest)
    assert (row.body, row.severity, row.time_ns) == (f"{at} ERROR no", 17, NOW * 10**9)


@pytest.mark.parametrize(
    ("time", "reason", "advice"),
    [
        ("2001-01-01T00:00:00Z", "time 2001-01-01 00:00 UTC is older than the retention", "raise ingest.max_age_days"),
        ("2199-01-01T00:00:00Z", "time 2199-01-01 00:00 UTC is in the future", "raise ingest.max_future_seconds"),
    ],
)
def test_what_the_server_refuses_is_told_with_what_to_do(
    ingest: Ingest, run: Import, tmp_path: Path, time: str, reason: str, advice: str
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(line(0) + f'{{"message": "refused", "time": "{time}"}}\n')
    result = run(file)
    assert result.exit_code == 1
    assert f"1 was refused: {reason}" in result.output
    assert advice in result.output
    assert [row.message for row in log_rows(ingest)] == ["m0"]


def test_what_is_refused_for_the_same_cause_is_told_once(ingest: Ingest, run: Import, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    old = (f'{{"message": "old", "time": "2001-01-{day:02}T00:00:00Z"}}\n' for day in range(1, 29))
    file.write_text("".join([*old, '{"message": "early", "time": "2199-01-01T00:00:00Z"}\n']) * 100)
    output = run(file).output
    assert "2,800 were refused: time 2001-01-01 00:00 to 2001-01-28 00:00 UTC is older than the retention" in output
    assert "100 were refused: time 2199-01-01 00:00 UTC is in the future" in output
    assert output.count("refused") == 2


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["/nowhere.jsonl"], "there is no such file"),
        (["/proc/self/fdinfo", "--timezone", "Mars/Olympus"], "there is no such time zone"),
    ],
)
def test_mistakes_are_told(run: Import, arguments: list[str], cause: str) -> None:
    result = run(*arguments)
    assert result.exit_code != 0
    assert cause in result.output


def test_a_server_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    file = tmp_path / "a.jsonl"
    file.write_text(line(0))
    result = CliRunner().invoke(app, ["logs", "import", str(file), "--url", "http://127.0.0.1:9"])
    assert result.exit_code == 2
    assert "cannot reach http://127.0.0.1:9" in result.output
