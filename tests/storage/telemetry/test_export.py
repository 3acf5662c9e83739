"""Days as Parquet: what is read back is what is stored, and what was changed is noticed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from otlp import NOW_NS, exception, log_record, log_request, span, trace_request
from s3_bucket import running_bucket
from tocsin.storage.telemetry.chdb import ChdbEngine
from tocsin.storage.telemetry.export import (
    EXPORTED,
    ExportError,
    day_content,
    days_between,
    export_day,
    place_of,
    verify_file,
)

DAY = datetime.fromtimestamp(NOW_NS / 1e9, UTC).date()


@pytest.fixture
def filled(engine: ChdbEngine, put: Callable[..., None]) -> ChdbEngine:
    lines = [log_record(body, attrs={"tocsin.tenant": who, "n": 7}) for who in ("acme", "globex") for body in "abc"]
    broken = span("GET /", events=[exception("ValueError", "no 'x'\n\\", "File x")])
    put(log_request(lines), trace_request([broken, span("GET /b")]))
    engine.execute(
        f"INSERT INTO samples (name, series, tenant, time, value) SELECT 'up', number % 3, 'acme', "
        f"toDateTime64('{DAY} 10:00:00', 3, 'UTC'), if(number = 0, nan, number) FROM numbers(9)"
    )
    engine.execute(f"INSERT INTO series (name, day, id, tenant) SELECT 'up', '{DAY}', number, 'acme' FROM numbers(3)")
    return engine


@pytest.mark.parametrize("signal", ["logs", "traces", "metrics"])
def test_what_is_read_back_is_what_is_stored(filled: ChdbEngine, tmp_path: Path, signal: str) -> None:
    place = place_of(tmp_path, "cold")
    done = export_day(filled, place, signal, DAY)
    assert done
    for one in done:
        file = tmp_path / "cold" / one.file
        assert (one.rows, one.content) == day_content(filled, signal, one.table, DAY)
        assert one.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
        assert file.read_bytes()[:4] == b"PAR1"
        assert verify_file(filled, place, one) == ""
    assert place.manifest() == sorted(done, key=lambda one: one.file)


def test_a_tenants_export_has_its_rows_only(filled: ChdbEngine, tmp_path: Path) -> None:
    place = place_of(tmp_path, "cold")
    (done,) = export_day(filled, place, "logs", DAY, "acme")
    rows = filled.query(f"SELECT DISTINCT tenant FROM file('{tmp_path}/cold/{done.file}')", {}, {}, 30).rows
    assert (rows, done.rows) == ([["acme"]], 3)
    assert export_day(filled, place, "logs", DAY, "o'neil\\") == []


def test_an_export_again_replaces_the_former(filled: ChdbEngine, tmp_path: Path) -> None:
    place = place_of(tmp_path, "cold")
    (first,) = export_day(filled, place, "logs", DAY)
    filled.execute(f"INSERT INTO logs (time, tenant, body) VALUES ('{DAY} 01:00:00', 'acme', 'late')")
    assert day_content(filled, "logs", "logs", DAY)[0] == first.rows + 1
    (again,) = export_day(filled, place, "logs", DAY)
    assert again.rows == first.rows + 1
    assert place.manifest() == [again]


def test_a_changed_or_missing_file_is_noticed(filled: ChdbEngine, tmp_path: Path) -> None:
    place = place_of(tmp_path, "cold")
    (done,) = export_day(filled, place, "logs", DAY)
    file = tmp_path / "cold" / done.file
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"x")
    assert "SHA-256" in verify_file(filled, place, done)
    file.unlink()
    assert "not there" in verify_file(filled, place, done)


@pytest.mark.parametrize("target", ["../else", "/etc", "a/../../b", "s3://", "s3://UPPER/x", "s3://bucket/a'b"])
def test_exports_go_nowhere_else(tmp_path: Path, target: str) -> None:
    with pytest.raises(ExportError, match="cannot export to"):
        place_of(tmp_path / "exports", target)


def test_s3_is_asked_through_the_engine(tmp_path: Path) -> None:
    place = place_of(tmp_path, "s3://cold-box/tocsin/")
    assert place.source("logs.parquet", "`a` String").startswith("s3('s3://cold-box/tocsin/logs.parquet', 'Parquet'")
    assert place.folder == tmp_path / "s3-cold-box-tocsin"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an S3 with one bucket, cold-box."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with running_bucket("cold-box") as url:
        yield url


def test_what_is_read_back_from_s3_is_what_is_stored(filled: ChdbEngine, tmp_path: Path, s3: str) -> None:
    place = place_of(tmp_path, "s3://cold-box/of/tocsin", s3)
    (done,) = export_day(filled, place, "logs", DAY)
    assert (done.rows, done.content) == day_content(filled, "logs", "logs", DAY)
    assert place.manifest() == [done]
    assert verify_file(filled, place, done) == ""
    assert "differs" in verify_file(filled, place, replace(done, content="1"))
    missing = verify_file(filled, place, replace(done, file="gone.parquet"))
    assert missing.startswith("it cannot be read: ")


def test_bucket_that_is_not_there_is_told_with_what_to_look_at(filled: ChdbEngine, tmp_path: Path, s3: str) -> None:
    place = place_of(tmp_path, "s3://nobody/of/tocsin", s3)
    with pytest.raises(ExportError) as caught:
        export_day(filled, place, "logs", DAY)
    said = str(caught.value)
    assert said.startswith(f"cannot export to 's3://nobody/of/tocsin/logs-{DAY}.parquet': ")
    assert "bucket does not exist" in said
    assert f"the bucket is there at {s3}" in said
    assert place.manifest() == []


def test_days_are_counted_with_both_ends() -> None:
    assert list(days_between(date(2026, 2, 28), date(2026, 3, 1))) == [date(2026, 2, 28), date(2026, 3, 1)]


def test_every_exported_table_has_a_day(engine: ChdbEngine) -> None:
    for signal, tables in EXPORTED.items():
        for table in tables:
            assert day_content(engine, signal, table, DAY)[0] == 0
