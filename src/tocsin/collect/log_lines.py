"""Entries of a pipeline as log records."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache

from tocsin.collect.log_entry import Entry, Run
from tocsin.ingest.log_batch import LogBatch
from tocsin.ingest.loki_parse import note_metadata
from tocsin.ingest.stream_labels import Origin, origin_of
from tocsin.model.log_line import LogLine, read_line

IS_CUT = "tocsin.log.is_cut"
STATED_TIME = "tocsin.log.stated_time"
"""What a line says of its time when that cannot be: it lies in the future."""


def batch_of(
    entries: Iterable[Entry],
    path: str,
    tenant: str,
    run: Run,
    *,
    zone: tzinfo | None,
    max_future_ns: int,
) -> LogBatch:
    """One request of these entries of a file, observed when the run says."""
    batch = LogBatch()
    for place, entry in enumerate(entries):
        origin = _origin(tuple(entry.labels.items()), path, entry.tenant or tenant)
        line = read_line(entry.line.removesuffix("\n"), zone)
        if entry.has_stated_time or not line.time_ns:
            line.time_ns = entry.time_ns
        _settle_time(line, run, place, max_future_ns)
        if origin.severity_text:
            line.severity, line.severity_text = origin.severity or line.severity, origin.severity_text
        for name, value in entry.metadata.items():
            note_metadata(line, name, value)
        if entry.is_cut:
            line.attributes[IS_CUT] = True
        batch.add(origin.resource, line, run.now_ns)
    return batch


def _settle_time(line: LogLine, run: Run, place: int, max_future_ns: int) -> None:
    """A line without a time, or with one that cannot be, was written when it was read; the order of lines is kept."""
    if line.time_ns > run.now_ns + max_future_ns:
        stated = datetime.fromtimestamp(min(line.time_ns / 1e9, 253_402_300_799), UTC)
        line.attributes[STATED_TIME] = stated.isoformat()
        run.note_fault("time in the future")
        line.time_ns = 0
    if line.time_ns <= 0:
        line.time_ns = run.now_ns + place


@lru_cache(maxsize=1024)
def _origin(labels: tuple[tuple[str, str], ...], path: str, tenant: str) -> Origin:
    shown = os.fsencode(path).decode("utf-8", "replace")
    # Promtail's name for the file is a label that people ask for.
    origin = origin_of({"filename": shown, **dict(labels)}.items(), tenant)
    resource: Mapping[str, str] = {"host.name": socket.gethostname(), "log.file.path": shown, **origin.resource}
    return Origin(resource, origin.severity, origin.severity_text, has_labels=True)
