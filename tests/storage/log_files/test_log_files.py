"""Log files compressed, archived, deleted and looked through, with the clock turned."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tocsin.storage.log_files import Ages, Deed, Done, Finding, LogFilesError, maintain, verify

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def write(folder: Path, name: str, days_old: int, lines: int = 3, dated: bool = True) -> Path:
    """`name` with its day in place of `{}`, holding lines of that day, last written at its end."""
    day = NOW - timedelta(days=days_old)
    path = folder / (name.format(day.strftime("%Y-%m-%d")) if dated else name)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"timestamp": day.isoformat(), "levelname": "INFO", "message": f"line {n} of {path.name}"} for n in range(lines)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    os.utime(path, (day.timestamp(), day.timestamp()))
    return path


def run(folder: Path, **options: object) -> list[Done]:
    return maintain(folder, folder / "archive", Ages(), now=NOW, **options)  # type: ignore[arg-type]


def look(folder: Path) -> list[Finding]:
    return verify(folder, folder / "archive", Ages(), now=NOW)[0]


def kinds(found: list[Finding]) -> list[str]:
    return [one.kind for one in found]


def names(done: list[Done], deed: Deed) -> list[str]:
    return [one.name for one in done if one.deed is deed]


def test_files_are_compressed_archived_and_deleted_by_age(tmp_path: Path) -> None:
    ages = (1, 7, 9, 33, 95)
    texts = {days: write(tmp_path, "errors/app-{}.jsonl", days).read_text() for days in ages}
    done = run(tmp_path)
    assert len(names(done, Deed.COMPRESSED)) == 3
    assert len(names(done, Deed.ARCHIVED)) == 2
    assert len(names(done, Deed.DELETED)) == 1
    assert sorted(path.name for path in (tmp_path / "errors").iterdir()) == [
        "app-2026-11-12.jsonl.gz", "app-2026-11-14.jsonl", "app-2026-11-20.jsonl",
    ]  # fmt: skip
    archived = tmp_path / "archive" / "errors" / "app-2026-10-19.jsonl.gz"
    assert gzip.decompress(archived.read_bytes()).decode() == texts[33]
    assert run(tmp_path) == []


def test_same_names_in_two_folders_keep_their_paths(tmp_path: Path) -> None:
    one, two = write(tmp_path, "errors/app-{}.jsonl", 40), write(tmp_path, "performance/app-{}.jsonl", 40, lines=7)
    said = [path.read_text() for path in (one, two)]
    run(tmp_path)
    archived = [tmp_path / "archive" / path.relative_to(tmp_path).with_name(path.name + ".gz") for path in (one, two)]
    assert [gzip.decompress(path.read_bytes()).decode() for path in archived] == said


def test_a_file_without_a_day_goes_by_when_it_was_written(tmp_path: Path) -> None:
    write(tmp_path, "health-checks.jsonl", 8, dated=False)
    write(tmp_path, "performance-metrics.jsonl", 0, dated=False)
    assert names(run(tmp_path), Deed.COMPRESSED) == ["health-checks.jsonl"]


def test_a_file_that_is_still_written_to_is_left(tmp_path: Path) -> None:
    path = write(tmp_path, "app-{}.jsonl", 10)
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    assert run(tmp_path) == []


def test_a_dry_run_says_the_same_and_changes_nothing(tmp_path: Path) -> None:
    for days in (1, 9, 33, 95):
        write(tmp_path, "app-{}.jsonl", days)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    planned = [(one.deed, one.name) for one in run(tmp_path, is_dry=True)]
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before
    assert planned == [(one.deed, one.name) for one in run(tmp_path)]


def test_what_is_on_hold_is_archived_and_never_deleted(tmp_path: Path) -> None:
    write(tmp_path, "audit/app-{}.jsonl", 400)
    write(tmp_path, "app-{}.jsonl", 400)
    (tmp_path / "legal-hold.txt").write_text("# case 17\naudit\n")
    done = run(tmp_path)
    assert names(done, Deed.HELD) == ["audit/app-2025-10-17.jsonl"]
    assert names(done, Deed.DELETED) == ["app-2025-10-17.jsonl"]
    assert kinds(look(tmp_path)) == []


def test_a_changed_archive_is_neither_deleted_nor_overlooked(tmp_path: Path) -> None:
    write(tmp_path, "app-{}.jsonl", 40)
    run(tmp_path)
    archived = next((tmp_path / "archive").glob("*.gz"))
    archived.write_bytes(gzip.compress(b'{"message": "forged"}\n'))
    assert kinds(look(tmp_path)) == ["checksum"]
    later = maintain(tmp_path, tmp_path / "archive", Ages(), now=NOW + timedelta(days=80))
    assert [one.deed for one in later] == [Deed.FAILED]
    assert archived.exists()


def test_what_somebody_else_archived_is_noted_before_it_is_deleted(tmp_path: Path) -> None:
    archived = tmp_path / "archive" / "old-2026-01-01.jsonl.gz"
    archived.parent.mkdir()
    archived.write_bytes(gzip.compress(b'{"timestamp": "2026-01-01T10:00:00+00:00"}\n'))
    assert run(tmp_path) == []
    assert archived.exists()
    assert names(run(tmp_path), Deed.DELETED) == ["old-2026-01-01.jsonl"]


def test_work_that_a_crash_left_is_finished(tmp_path: Path) -> None:
    source = write(tmp_path, "app-{}.jsonl", 10)
    source.with_name(source.name + ".gz").write_bytes(gzip.compress(source.read_bytes()))
    assert names(run(tmp_path), Deed.COMPRESSED) == [source.name]
    assert not source.exists()


def test_another_file_of_the_same_name_is_never_overwritten(tmp_path: Path) -> None:
    source = write(tmp_path, "app-{}.jsonl", 10)
    other = source.with_name(source.name + ".gz")
    other.write_bytes(gzip.compress(b"other\n"))
    [done] = run(tmp_path)
    assert (done.deed, "says something else" in done.reason) == (Deed.FAILED, True)
    assert source.exists()
    assert gzip.decompress(other.read_bytes()) == b"other\n"


def test_a_restore_reads_back_what_was_written(tmp_path: Path) -> None:
    for days in range(8, 60):
        write(tmp_path, "app-{}.jsonl", days)
    restored = [one for one in run(tmp_path, restores=True) if one.deed is Deed.RESTORED]
    assert len(restored) == 10
    assert {one.reason for one in restored} == {"3 lines"}


def test_a_restore_names_a_line_that_is_no_json(tmp_path: Path) -> None:
    path = write(tmp_path, "app-{}.jsonl", 10)
    stamp = path.stat().st_mtime
    path.write_text('{"a": 1}\nnot json\n')
    os.utime(path, (stamp, stamp))
    failed = [one for one in run(tmp_path, restores=True) if one.deed is Deed.FAILED]
    assert "line 2" in failed[0].reason


def test_verify_finds_a_gap(tmp_path: Path) -> None:
    for days in (1, 2, 5, 6):
        write(tmp_path, "app-{}.jsonl", days)
    assert look(tmp_path) == [Finding("gap", "app-….jsonl", "no file of 2026-11-17 to 2026-11-18")]


def test_days_that_were_deleted_or_archived_are_no_gap(tmp_path: Path) -> None:
    for days in range(1, 95):
        write(tmp_path, "app-{}.jsonl", days)
    run(tmp_path)
    assert look(tmp_path) == []


def test_verify_finds_the_same_day_twice(tmp_path: Path) -> None:
    path = write(tmp_path, "app-{}.jsonl", 3)
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    assert kinds(look(tmp_path)) == ["overlap"]


def test_verify_finds_lines_of_another_day(tmp_path: Path) -> None:
    path = write(tmp_path, "app-{}.jsonl", 5)
    with path.open("a") as file:
        file.write(json.dumps({"timestamp": NOW.isoformat()}) + "\n")
    assert [(one.kind, one.detail) for one in look(tmp_path)] == [("overlap", "it holds lines of 2026-11-21")]


def test_verify_finds_what_cannot_be_unpacked(tmp_path: Path) -> None:
    path = write(tmp_path, "app-{}.jsonl", 9)
    packed = gzip.compress(path.read_bytes())
    path.with_name(path.name + ".gz").write_bytes(packed[:-10])
    path.unlink()
    assert kinds(look(tmp_path)) == ["unreadable"]


def test_verify_finds_what_is_damaged_inside(tmp_path: Path) -> None:
    path = write(tmp_path, "app-{}.jsonl", 9)
    packed = bytearray(gzip.compress(path.read_bytes()))
    packed[len(packed) // 3] ^= 0xFF
    packed[len(packed) // 2] ^= 0xFF
    path.with_name(path.name + ".gz").write_bytes(packed)
    path.unlink()
    assert kinds(look(tmp_path)) == ["unreadable"]


def test_verify_finds_files_of_the_wrong_age(tmp_path: Path) -> None:
    write(tmp_path, "app-{}.jsonl", 20)
    [found] = look(tmp_path)
    assert (found.kind, found.detail) == ("age", "19 days old and not compressed; due after 7")


def test_verify_finds_what_is_gone(tmp_path: Path) -> None:
    write(tmp_path, "app-{}.jsonl", 10)
    run(tmp_path)
    next(tmp_path.glob("*.gz")).unlink()
    assert kinds(look(tmp_path)) == ["missing"]


def test_ages_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(LogFilesError, match="correct the order"):
        Ages(compress=timedelta(days=40))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogFilesError, match="no such folder"):
        run(tmp_path / "nowhere")
