"""Days of telemetry as Parquet files that the engine writes and reads back itself, with a manifest beside them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from tocsin.storage.telemetry.cleanup import LONGEST_SECONDS, TABLES, day_of
from tocsin.storage.telemetry.engine import Engine, EngineError
from tocsin.storage.telemetry.retention import quoted

# What was sent. What is computed from it stays where it is.
EXPORTED = {
    "traces": ("spans", "exceptions"),
    "logs": ("logs",),
    "events": ("events",),
    "metrics": ("series", "samples", "deltas", "native_histograms", "exemplars"),
}
_BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[\w.=-]+)*)/?")


class ExportError(ValueError):
    """A day cannot be exported, or is not as it was exported."""


@dataclass(frozen=True, slots=True)
class Exported:
    """One file. `content` is the sum of a hash of every row, whatever their order; `sha256` is '' for what lies in S3,
    where only the engine reads."""

    file: str
    signal: str
    table: str
    day: str
    tenant: str
    rows: int
    content: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where files go: `folder` on this machine holds the manifest and, without `bucket`, the files as well. `bucket` is
    s3://bucket/prefix; `endpoint` the URL of an S3 that is not Amazon's."""

    folder: Path
    bucket: str = ""
    endpoint: str = ""

    def source(self, file: str, structure: str) -> str:
        """The engine's table function for a file here."""
        if self.bucket:
            root = f"{self.endpoint.rstrip('/')}/{self.bucket.removeprefix('s3://')}" if self.endpoint else self.bucket
            return f"s3({quoted(f'{root}/{file}')}, 'Parquet', {quoted(structure)})"
        return f"file({quoted(str(self.folder / file))}, 'Parquet', {quoted(structure)})"

    def manifest(self) -> list[Exported]:
        """What the manifest lists; nothing where there is none. Raises ExportError when it cannot be read."""
        path = self.folder / "manifest.json"
        try:
            return [Exported(**entry) for entry in json.loads(path.read_text("utf-8"))["files"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ExportError(f"cannot read '{path}': {error}; restore it or export to another folder") from error

    def note(self, exported: Exported) -> None:
        """Adds a file to the manifest, in place of its former entry."""
        files = [one for one in self.manifest() if one.file != exported.file] + [exported]
        document = {"files": [asdict(one) for one in sorted(files, key=lambda one: one.file)]}
        fresh = self.folder / "manifest.json.new"
        with fresh.open("w", encoding="utf-8") as out:
            json.dump(document, out, indent=2)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(self.folder / "manifest.json")


def place_of(root: Path, target: str, endpoint: str = "") -> Place:
    """The place `target` names: a folder below `root`, or s3://bucket/prefix with its manifest below `root`.

    Raises ExportError for a folder elsewhere: exports must not write just anywhere on the server.
    """
    if target.startswith("s3://"):
        found = _BUCKET.fullmatch(target)
        if found is None:
            raise ExportError(f"cannot export to '{target[:100]}': write s3://bucket/prefix")
        return Place(root / f"s3-{found[1]}{found[2].replace('/', '-')}", target.rstrip("/"), endpoint)
    folder = (root / target).resolve()
    if not folder.is_relative_to(root.resolve()):
        raise ExportError(
            f"cannot export to '{target[:100]}': it is not below {root}; name a folder in it, or let "
            "retention.export_folder name another"
        )
    return Place(folder)


def export_day(engine: Engine, place: Place, signal: str, day: date, tenant: str = "") -> list[Exported]:
    """Writes a day of a signal, one file a table that has rows of it. Raises ExportError, EngineError, OSError."""
    place.folder.mkdir(parents=True, exist_ok=True)
    done = []
    for table in EXPORTED[signal]:
        rows, content = day_content(engine, signal, table, day, tenant)
        if rows:
            done.append(_export(engine, place, signal, table, day, tenant, (rows, content)))
    return done


def _export(
    engine: Engine, place: Place, signal: str, table: str, day: date, tenant: str, there: tuple[int, str]
) -> Exported:
    names, structure = _columns(engine, table)
    of_tenant = f"-{hashlib.sha256(tenant.encode()).hexdigest()[:12]}" if tenant else ""
    file = f"{table}{of_tenant}-{day}.parquet"
    path = place.folder / file
    with suppress(FileNotFoundError):
        if not place.bucket:
            path.unlink()
    settings = "s3_truncate_on_insert = 1, output_format_parquet_compression_method = 'zstd'"
    sql = (
        f"INSERT INTO FUNCTION {place.source(file, structure)} SELECT {names} FROM {_final(engine, table)} "
        f"WHERE {_of_day(signal, table, day, tenant)} SETTINGS {settings}"
    )
    try:
        engine.execute_aside(sql)
        written = _file_content(engine, place, table, file)
    except EngineError as error:
        if place.bucket:
            raise ExportError(f"cannot export to '{place.bucket}/{file}': {_of_s3(place, error)}") from error
        raise
    if written != there:
        raise ExportError(f"cannot export {table} of {day}: rows arrived meanwhile; export that day again")
    size = 0 if place.bucket else path.stat().st_size
    rows, content = there
    exported = Exported(
        file, signal, table, str(day), tenant, rows, content, size, "" if place.bucket else _sha256(path)
    )
    place.note(exported)
    return exported


def verify_file(engine: Engine, place: Place, exported: Exported) -> str:
    """Why the file is not as it was exported; '' when it is. Reads all of it."""
    if not place.bucket:
        path = place.folder / exported.file
        if not path.is_file():
            return "the file is not there"
        if _sha256(path) != exported.sha256:
            return "its SHA-256 differs from the manifest's"
    try:
        rows, content = _file_content(engine, place, exported.table, exported.file)
    except EngineError as error:
        if place.bucket:
            return f"it cannot be read: {_of_s3(place, error)}"
        raise
    if rows != exported.rows:
        return f"it has {rows} rows, the manifest says {exported.rows}"
    return "" if content == exported.content else "the sum of its rows differs from the manifest's"


def _of_s3(place: Place, error: EngineError) -> str:
    """Why S3 refused, and what to look at."""
    said = re.sub(r"^(Message|Code: \d+\. DB::Exception): ", "", str(error).strip())[:300].rstrip(". ")
    where = f"at {place.endpoint}" if place.endpoint else "at Amazon (retention.export_s3_endpoint names another S3)"
    return (
        f"{said}; see that the bucket is there {where} and that AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the "
        "server's environment may read and write it"
    )


def day_content(engine: Engine, signal: str, table: str, day: date, tenant: str = "") -> tuple[int, str]:
    """(rows, sum over their hashes) of a day as it is stored now."""
    where = f"WHERE {_of_day(signal, table, day, tenant)}"
    return _content(engine, _columns(engine, table)[0], f"{_final(engine, table)} {where}")


def days_between(first: date, last: date) -> Iterator[date]:
    """Both included."""
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        yield date.fromordinal(ordinal)


def _file_content(engine: Engine, place: Place, table: str, file: str) -> tuple[int, str]:
    names, structure = _columns(engine, table)
    return _content(engine, names, place.source(file, structure))


def _content(engine: Engine, names: str, source: str) -> tuple[int, str]:
    sql = f"SELECT count(), toString(sum(cityHash64({names}))) FROM {source}"
    rows, content = engine.query(sql, {}, {}, LONGEST_SECONDS).rows[0]
    return int(rows), str(content)


def _of_day(signal: str, table: str, day: date, tenant: str) -> str:
    condition = f"{day_of(TABLES[signal][table])} = toDate('{day}')"
    return f"{condition} AND tenant = {quoted(tenant)}" if tenant else condition


def _final(engine: Engine, table: str) -> str:
    """The table without the rows that merges will take out, so that a merge changes no count."""
    sql = "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"
    kind = str(engine.query(sql, {"table": table}, {}, 30).rows[0][0])
    return f"{table} FINAL" if "Replacing" in kind or "Aggregating" in kind else table


def _columns(engine: Engine, table: str) -> tuple[str, str]:
    """(names, names with types) of the columns that were sent, as the engine's SQL writes them."""
    sql = (
        "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {table:String} "
        "AND default_kind NOT IN ('MATERIALIZED', 'ALIAS') ORDER BY position"
    )
    rows = engine.query(sql, {"table": table}, {}, 30).rows
    return ", ".join(f"`{name}`" for name, _ in rows), ", ".join(f"`{name}` {kind}" for name, kind in rows)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
