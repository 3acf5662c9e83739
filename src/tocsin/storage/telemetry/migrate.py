"""Brings the telemetry schema to the newest numbered file in `schema/`; each runs once, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from string import Template

from tocsin.storage.telemetry.engine import Engine

# How many past inserts a table remembers by token: a segment is retried within seconds, not after this many others.
DEDUPLICATION_WINDOW = 10_000

EMBEDDED = {
    "on_cluster": "",
    "replicated": "",
    "table_settings": ", ".join(
        (
            f"non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}",
            "default_compression_codec = 'ZSTD(1)'",
            # A fresh part is one file, quick to write and to sync; merges make it columnar later.
            "min_bytes_for_wide_part = 134217728",
            # The spool lets go of a segment once it is inserted, so the part must have reached the disk by then.
            "fsync_after_insert = 1",
            "fsync_part_directory = 1",
            "ttl_only_drop_parts = 1",
            # A changed retention reads the time column of what is stored, and rewrites nothing.
            "materialize_ttl_recalculate_only = 1",
        )
    ),
}


def migrate(engine: Engine, words: dict[str, str] | None = None) -> list[str]:
    """Apply what is missing and answer the names of the files applied.

    `words` fills the schema's placeholders; the embedded engine's are the default.
    """
    engine.execute(
        "CREATE TABLE IF NOT EXISTS migrations (name String, applied DateTime) ENGINE = MergeTree ORDER BY name"
    )
    done = {row[0] for row in engine.query("SELECT name FROM migrations", {}, {}, 30).rows}
    applied = []
    for name, text in _schema_files():
        if name in done:
            continue
        for statement in _statements(Template(text).substitute(words or EMBEDDED)):
            engine.execute(statement)
        engine.execute(f"INSERT INTO migrations VALUES ('{name}', now())")
        applied.append(name)
    return applied


def _schema_files() -> Iterator[tuple[str, str]]:
    for file in sorted(files("tocsin.storage.telemetry").joinpath("schema").iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".sql"):
            yield file.name, file.read_text("utf-8")


def _statements(text: str) -> Iterator[str]:
    without_comments = re.sub(r"^--.*$", "", text, flags=re.MULTILINE)
    for statement in re.split(r";\s*$", without_comments, flags=re.MULTILINE):
        if statement.strip():
            # A crash between two statements of a file must not block the next start.
            yield re.sub(r"^CREATE (TABLE|MATERIALIZED VIEW)", r"CREATE \1 IF NOT EXISTS", statement.strip())
