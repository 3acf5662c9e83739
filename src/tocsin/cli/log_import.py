"""`tocsin logs import`: old JSONL files into a running server."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tocsin.cli.client import URL, Url
from tocsin.cli.fail import fail

BATCH_LINES = 2000
BATCH_BYTES = 2 * 1024**2
MAX_LINE_BYTES = 1024**2
TRIES = 8
SHOWN = 5
KEY_VARIABLE = "TOCSIN_INGEST_KEY"
_REJECTED = re.compile(r"([0-9]+) log records rejected: (.*?)(?=; [0-9]+ log records |$)")


@dataclass(slots=True)
class Tally:
    """What became of the lines."""

    stored: int = 0
    unreadable: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def note_unreadable(self, path: Path, number: int, why: str) -> None:
        self.unreadable += 1
        if len(self.examples) < SHOWN:
            self.examples.append(f"{path}:{number}: {why}")

    def note_rejected(self, explanation: str, count: int) -> None:
        """explanation: of the server, such as `3 log records rejected: …; 2 log records rejected: …`."""
        for number, reason in _REJECTED.findall(explanation) or [(count, explanation)]:
            self.rejected[reason] += int(number)


def import_(
    paths: Annotated[list[Path], typer.Argument(help="JSONL files, also .gz, or folders of them.")],
    tenant: Annotated[str, typer.Option(help="Of lines that name none.")] = "",
    service: Annotated[str, typer.Option(help="Of lines that name none.")] = "",
    environment: Annotated[str, typer.Option(help="Of lines that name none.")] = "",
    timezone: Annotated[str, typer.Option(help="Of times that name none; else this machine's.")] = "",
    plain: Annotated[bool, typer.Option(help="Take lines that are no JSON as they are.")] = False,
    again: Annotated[bool, typer.Option(help="Import also what was imported before.")] = False,
    url: Url = URL,
    key: Annotated[str, typer.Option(envvar=KEY_VARIABLE, help="Ingest key, if the server wants one.")] = "",
) -> None:
    """Send old log files to a server. What was sent is remembered, so it can be stopped and started again.

    Exit code 0 all stored, 1 lines were left out, 2 it could not be done.
    """
    zone = _zone(timezone)
    resource = {"tocsin.tenant": tenant, "service.name": service, "deployment.environment.name": environment}
    files = list(_files(paths))
    if not files:
        fail(f"cannot import {', '.join(map(str, paths))}: there is no file; name files or a folder that has some")
    tally, done = Tally(), Remembered(url, again)
    work = _Import({name: value for name, value in resource.items() if value}, zone, plain, url.rstrip("/"), key, tally)
    console = Console(highlight=False, stderr=True)
    try:
        _with_progress(console, files, work, done)
    finally:
        _tell(console, tally, len(files))
    sys.exit(1 if tally.unreadable or tally.rejected else 0)


def _with_progress(console: Console, files: list[Path], work: _Import, done: Remembered) -> None:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("reading", total=sum(path.stat().st_size for path in files))
        sent = 0
        for path in files:
            for share in work.send(path, done):
                progress.update(task, completed=sent + share * path.stat().st_size, description=path.name)
            sent += path.stat().st_size
            progress.update(task, completed=sent)


def _tell(console: Console, tally: Tally, files: int) -> None:
    from tocsin.ingest.reasons import by_cause

    stored, of = _several(tally.stored, "record"), _several(files, "file")
    console.print(f"{stored} of {of} {'is' if tally.stored == 1 else 'are'} stored", soft_wrap=True)
    for reason, count in by_cause(tally.rejected).most_common():
        console.print(f"{count:,} {'was' if count == 1 else 'were'} refused: {reason}", markup=False, soft_wrap=True)
        if "older than" in reason:
            console.print("raise ingest.max_age_days and retention.logs_hours on the server to keep them")
        if "in the future" in reason:
            console.print(
                "say with --timezone what zone their times are in, or raise ingest.max_future_seconds on the server",
                soft_wrap=True,
            )
    if tally.unreadable:
        console.print(f"{_several(tally.unreadable, 'line')} could not be read:")
        for example in tally.examples:
            console.print(f"  {example}", markup=False, soft_wrap=True)


def _several(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _zone(name: str) -> tzinfo | None:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):
        fail(f"cannot use --timezone '{name}': there is no such time zone; write one such as Europe/Berlin")


def _files(paths: list[Path]) -> Iterator[Path]:
    """The files named, and in folders those that look like logs."""
    for path in paths:
        if path.is_dir():
            found = (one for one in sorted(path.rglob("*")) if one.is_file())
            yield from (
                one for one in found if any(part in one.name for part in (".jsonl", ".json", ".log", ".ndjson"))
            )
        elif path.is_file():
            yield path
        else:
            fail(f"cannot import '{path}': there is no such file; check the path")


class Remembered:
    """How far files were imported into which server, in this user's state folder."""

    def __init__(self, url: str, again: bool) -> None:
        folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        self._file = folder / "tocsin" / "imports.json"
        self._url = url.rstrip("/")
        self._all: dict[str, dict[str, list[Any]]] = {}
        if not again:
            try:
                self._all = json.loads(self._file.read_text())
            except (OSError, ValueError):
                pass  # nothing was imported, or what is known of it is damaged
        self._mine = self._all.setdefault(self._url, {})

    def offset(self, path: Path, content: Any) -> int:
        """Where to go on: 0 unless the file still begins with what was imported."""
        from tocsin.collect.log_content import Identity

        offset, head, tail = self._mine.get(str(path.absolute()), (0, "", ""))
        known = Identity(offset, bytes.fromhex(head), bytes.fromhex(tail))
        return int(offset) if known.is_of(content) else 0

    def note(self, path: Path, content: Any, offset: int) -> None:
        from tocsin.collect.log_content import identity

        known = identity(content, offset)
        self._mine[str(path.absolute())] = [offset, known.head.hex(), known.tail.hex()]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(self._all))
        fresh.replace(self._file)


@dataclass(slots=True)
class _Import:
    resource: dict[str, str]
    zone: tzinfo | None
    plain: bool
    url: str
    key: str
    tally: Tally

    def send(self, path: Path, done: Remembered) -> Iterator[float]:
        """Send a file; after each batch, the share of it that is done."""
        from tocsin.collect.log_content import ContentError, open_content

        try:
            content = open_content(str(path))
        except ContentError as error:
            self.tally.note_unreadable(path, 0, str(error))
            return
        try:
            offset, number, size = done.offset(path, content), 0, content.size()
            written_ns = path.stat().st_mtime_ns
            while data := content.read(offset, BATCH_BYTES):
                end = data.rfind(b"\n") + 1 or len(data)
                lines = data[:end].removesuffix(b"\n").split(b"\n")[:BATCH_LINES]
                used = min(end, sum(map(len, lines)) + len(lines))
                self._post(self._batch(path, lines, number, written_ns))
                offset, number = offset + used, number + len(lines)
                done.note(path, content, offset)
                yield offset / max(size, 1)
        finally:
            content.close()

    def _batch(self, path: Path, lines: list[bytes], before: int, written_ns: int) -> Any:
        from tocsin.ingest.log_batch import LogBatch
        from tocsin.model.log_line import json_object, read_line

        batch = LogBatch()
        resource = {**self.resource, "log.file.path": os.fsencode(path.absolute()).decode("utf-8", "replace")}
        for number, raw in enumerate(lines, before + 1):
            if not raw.strip():
                continue
            text = raw[:MAX_LINE_BYTES].decode("utf-8", "replace").rstrip("\r")
            if not self.plain and json_object(text) is None:
                cause = "longer than 1 MiB" if len(raw) > MAX_LINE_BYTES else "no JSON object"
                self.tally.note_unreadable(path, number, f"{cause}: {text[:60]!r}")
                continue
            line = read_line(text, self.zone)
            line.time_ns = line.time_ns or written_ns
            # The same file gives the same bytes again, which the server recognises for some minutes.
            batch.add(resource, line, line.time_ns)
        return batch

    def _post(self, batch: Any) -> None:
        import httpx2
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

        if not batch.records:
            return
        headers = {"content-type": "application/x-protobuf"} | ({"x-tocsin-key": self.key} if self.key else {})
        body = batch.request.SerializeToString()
        for attempt in range(TRIES):
            try:
                answer = httpx2.post(f"{self.url}/v1/logs", content=body, headers=headers, timeout=60)
            except httpx2.HTTPError as error:
                fail(f"cannot reach {self.url}: {error}; start it with tocsin serve, or name another with --url")
            if answer.status_code not in (429, 503):
                break
            time.sleep(min(30.0, float(answer.headers.get("retry-after") or 2.0**attempt)))
        if answer.status_code != 200:
            from tocsin.cli.client import said

            fail(f"cannot import into {self.url}: {said(answer)}; what was stored until here is remembered")
        partial = ExportLogsServiceResponse.FromString(answer.content).partial_success
        if partial.rejected_log_records:
            self.tally.note_rejected(partial.error_message, partial.rejected_log_records)
        self.tally.stored += batch.records - partial.rejected_log_records
