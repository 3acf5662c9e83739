"""Files of one day each, written by several processes."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

import tocsin
from tocsin.sdk.logs import files, output
from tocsin.sdk.logs.files import DatedFileHandler
from waiting import await_exit

WRITER = """
import logging, sys, tocsin
tocsin.logs.to_file(sys.argv[1], max_bytes=int(sys.argv[3]))
for number in range(500):
    logging.getLogger("shop").info("line %d %s", number, "x" * 200, extra={"process_number": int(sys.argv[2])})
"""


def record(text: str = "hello") -> logging.LogRecord:
    return logging.LogRecord("shop", logging.INFO, "app.py", 1, text, (), None)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_each_day_has_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC).timestamp()
    monkeypatch.setattr(files.time, "time", lambda: now)
    handler = DatedFileHandler(tmp_path / "logs" / "app.jsonl")
    handler.handle(record("before"))
    now += 2
    handler.handle(record("after"))
    handler.close()
    assert names(tmp_path / "logs") == ["app-2026-11-21.jsonl", "app-2026-11-22.jsonl"]
    assert (tmp_path / "logs" / "app-2026-11-22.jsonl").read_text() == "after\n"


def test_a_large_day_has_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
    monkeypatch.setattr(files.time, "time", lambda: now)
    handler = DatedFileHandler(tmp_path / "app.jsonl", max_bytes=10)
    for _ in range(3):
        handler.handle(record("0123456789"))
        now += 2
    handler.close()
    assert names(tmp_path) == ["app-2026-11-21.1.jsonl", "app-2026-11-21.2.jsonl", "app-2026-11-21.jsonl"]


def test_a_file_that_was_taken_away_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(files.time, "time", lambda: now)
    handler = DatedFileHandler(tmp_path / "app.jsonl")
    handler.handle(record("one"))
    [path] = tmp_path.iterdir()
    path.unlink()
    now += 2
    handler.handle(record("two"))
    handler.close()
    assert path.read_text() == "two\n"


@pytest.mark.parametrize("max_bytes", [0, 60_000])
def test_several_processes_write_whole_lines_and_lose_none(tmp_path: Path, max_bytes: int) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "app.jsonl")]
    running = [subprocess.Popen([*command, str(number), str(max_bytes)]) for number in range(4)]
    assert [await_exit(process) for process in running] == [0] * 4
    lines = [json.loads(line) for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    assert len(lines) == 2000
    assert {line["process_number"] for line in lines} == {0, 1, 2, 3}


def test_a_folder_that_cannot_be_written_to_harms_nobody(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("no folder")
    handler = DatedFileHandler(tmp_path / "logs" / "app.jsonl")
    handler.handle(record())
    handler.close()
    assert output.lost.pop("file") == 1


def test_errors_can_have_a_file_of_their_own(tmp_path: Path) -> None:
    level = logging.getLogger().level
    everything = tocsin.logs.to_file(tmp_path / "app.jsonl")
    errors = tocsin.logs.to_file(tmp_path / "errors" / "app.jsonl", level="ERROR")
    try:
        logging.getLogger("shop").info("fine")
        logging.getLogger("shop").error("not fine")
    finally:
        tocsin.logs.off(everything)
        tocsin.logs.off(errors)
        logging.getLogger().setLevel(level)
    [path] = (tmp_path / "errors").iterdir()
    assert [json.loads(line)["message"] for line in path.read_text().splitlines()] == ["not fine"]
