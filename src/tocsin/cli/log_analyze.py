"""`tocsin logs analyze`: reports over log lines, of files where they lie or of a server's store."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tocsin.cli.client import DATA, URL, Data, Json, Token, Url, client
from tocsin.cli.fail import fail
from tocsin.cli.query import moment

_THRESHOLD = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m)?\s*")
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0}
PROGRESS_SECONDS = 2.0
"""A shorter run shows no bar."""
Flag = Annotated[bool, typer.Option()]


def _flag(help: str) -> Any:
    return typer.Option(help=help)


def analyze(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files and folders of JSONL, plain or packed; without any a server is asked."),
    ] = None,
    errors: Annotated[bool, _flag("Errors by type.")] = False,
    performance: Annotated[bool, _flag("Slow requests, from 2 s on.")] = False,
    slow_queries: Annotated[bool, _flag("Slow statements, from 1 s on.")] = False,
    threshold: Annotated[str, typer.Option(help="What is slow: 1000ms, 2s; a bare number is milliseconds.")] = "",
    security: Annotated[
        bool, _flag("Failed sign-ins, denied access, changed rights, and all that is suspicious.")
    ] = False,
    suspicious: Annotated[bool, _flag("Attacks, brute force, injections.")] = False,
    business_events: Annotated[bool, _flag("What customers did.")] = False,
    summary: Annotated[bool, _flag("Totals by level and tenant.")] = False,
    check_errors: Annotated[bool, _flag("For scripts: exit code 1 when there are errors.")] = False,
    timeframe: Annotated[float | None, typer.Option(help="The last so many hours.")] = None,
    last_5min: Annotated[bool, typer.Option("--last-5min", help="The last five minutes.")] = False,
    last_hour: Annotated[bool, typer.Option("--last-hour", help="The last hour.")] = False,
    last_24h: Annotated[bool, typer.Option("--last-24h", help="The last day.")] = False,
    since: Annotated[str, typer.Option(help="An age such as 2h, unix seconds, or 2026-11-21T14:02.")] = "",
    tenant: Annotated[str, typer.Option(help="One tenant only.")] = "",
    timezone: Annotated[str, typer.Option(help="Zone of times that name none.")] = "UTC",
    top: Annotated[int, typer.Option(min=1, help="Lines of each table.")] = 10,
    threads: Annotated[int, typer.Option(min=0, help="Cores to use; 0 for all.")] = 0,
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Report on log lines: errors, slow requests and queries, security, business events; any of them together.

    Without a report named, all of them. Files are read whole unless a time is given; of a server the last
    hour. Lines that cannot be read are counted and shown. Exit code 0; with --check-errors 1 when there are errors.
    """
    chosen = {
        "errors": errors or check_errors, "slow-queries": slow_queries, "performance": performance,
        "security": security, "suspicious": suspicious, "business-events": business_events,
    }  # fmt: skip
    wanted = [name for name, is_on in chosen.items() if is_on]
    if not wanted and not summary:
        wanted = list(chosen)
    since_seconds = _since(timeframe, last_5min, last_hour, last_24h, since)
    slow_seconds = _threshold(threshold)
    if paths:
        report = _of_files(paths, wanted, slow_seconds, since_seconds, tenant, timezone, threads)
    else:
        asked: dict[str, Any] = {"report": wanted, "start": since_seconds or time.time() - 3600}
        asked |= {"tenant": tenant} if tenant else {}
        asked |= {"threshold_seconds": slow_seconds} if slow_seconds is not None else {}
        report = client(url, data, token).get("/api/v1/logs/report", **asked)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        _print(Console(highlight=False), report, top, is_summary=summary or len(wanted) == len(chosen))
    found = next((view["lines"] for view in report["views"] if view["id"] == "errors"), 0)
    sys.exit((1 if found else 2 if report.get("unreadable_files") else 0) if check_errors else 0)


def _since(timeframe: float | None, last_5min: bool, last_hour: bool, last_24h: bool, since: str) -> float:
    """Unix seconds; 0 when no time was given."""
    now = time.time()
    given = [
        *([now - timeframe * 3600] if timeframe is not None else []), *([now - 300] if last_5min else []),
        *([now - 3600] if last_hour else []), *([now - 86_400] if last_24h else []),
        *([moment(since, now)] if since else []),
    ]  # fmt: skip
    if len(given) > 1:
        fail("cannot look at several times at once: give one of --timeframe, --last-…, --since")
    return given[0] if given else 0.0


def _threshold(text: str) -> float | None:
    if not text:
        return None
    found = _THRESHOLD.fullmatch(text)
    if found is None:
        fail(f"cannot read threshold '{text[:40]}': write such as 1000ms or 2s")
    return float(found[1]) * _UNITS[found[2] or "ms"]


def _of_files(
    paths: Sequence[Path], wanted: Sequence[str], slow_seconds: float | None, since: float, tenant: str, zone: str,
    threads: int,
) -> dict[str, Any]:  # fmt: skip
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from tocsin.detect.patterns.log_report import report_of
    from tocsin.model.log_views import BUILT_IN
    from tocsin.query.log_report import FILE_COLUMNS, ReportGroup, file_lines, report_sql
    from tocsin.storage.telemetry.log_files import FilesError, asking, batches, each_asked, log_files, source_of
    from tocsin.web.api.log_report_answer import plain_report

    views = [BUILT_IN[name].with_threshold(slow_seconds) for name in wanted]
    groups: list[ReportGroup] = []
    damaged: dict[Path, str] = {}

    def sql_of(some: Sequence[Path]) -> str:
        return report_sql(file_lines(source_of(some), zone), FILE_COLUMNS, views, round(since * 1e6), 0, tenant)

    try:
        ZoneInfo(zone)
        files = log_files(paths, since)
        size = sum(file.stat().st_size for file in files)
        with asking(threads) as ask, _progress(size):
            for batch in batches(files):
                groups += [ReportGroup(**row) for row in each_asked(ask, batch, sql_of, damaged)]
    except (ZoneInfoNotFoundError, ValueError):
        fail(f"cannot use time zone '{zone[:40]}': nobody knows it; write such as UTC or Europe/Berlin")
    except (FilesError, OSError) as error:
        fail(str(error))
    unreadable = {str(file): cause for file, cause in damaged.items()}
    return {
        "files": len(files),
        "bytes": size,
        "unreadable_files": unreadable,
        **plain_report(report_of(groups, views)).model_dump(mode="json"),
    }


def _progress(size: int) -> AbstractContextManager[object]:
    return _Bar(size) if sys.stderr.isatty() and Path("/proc/self/io").exists() else nullcontext()


class _Bar:
    """A bar of the bytes this process has read, once that takes long."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        before = _bytes_read()
        if self._done.wait(PROGRESS_SECONDS):
            return
        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("reading", total=self._size)
            while not self._done.wait(0.2):
                progress.update(bar, completed=min(self._size, _bytes_read() - before))


def _bytes_read() -> int:
    return int(Path("/proc/self/io").read_text().partition("\n")[0].partition(": ")[2])


def _print(console: Console, report: dict[str, Any], top: int, is_summary: bool) -> None:
    seen = f" between {_clock(report['first'])} and {_clock(report['last'])}" if report["first"] else ""
    files = f" of {report['files']} files" if "files" in report else ""
    console.print(f"{report['lines']:,} lines{files}{seen}")
    if is_summary:
        _print_counts(console, "Lines by level", report["levels"], top)
        _print_counts(console, "Lines by tenant", report["tenants"], top)
    for view in report["views"]:
        _print_view(console, view, top)
    notes = [
        (report["outside"], "of another time or tenant"),
        (report["undated"], "without a time that can be read, left out"),
        (report["unreadable"], "that are no JSON objects, left out"),
    ]
    for count, words in notes:
        if count:
            print(f"{count:,} lines {words}", file=sys.stderr)  # noqa: T201 - not part of the report
    for line in report["unreadable_examples"]:
        print(f"  {line}", file=sys.stderr)  # noqa: T201 - not part of the report
    for file, cause in report.get("unreadable_files", {}).items():
        print(f"{file} cannot be read to its end, left out: {cause}", file=sys.stderr)  # noqa: T201 - the same


def _print_counts(console: Console, title: str, counts: dict[str, int], top: int) -> None:
    if counts:
        table = Table("", "lines", title=title, title_justify="left", box=None, pad_edge=False, show_header=False)
        for name, count in list(counts.items())[:top]:
            table.add_row(name, f"{count:,}")
        console.print("", table)


def _print_view(console: Console, view: dict[str, Any], top: int) -> None:
    over = f" of {view['threshold_seconds']:g} s or longer" if view["threshold_seconds"] is not None else ""
    console.print(f"\n{view['title']}{over}: {view['lines']:,}", markup=False)
    if not view["findings"]:
        return
    timed = view["threshold_seconds"] is not None
    table = Table("lines", *(["longest", "mean"] if timed else []), "what", "tenants", "last", box=None, pad_edge=False)
    for found in view["findings"][:top]:
        what = " · ".join(part for part in (found["what"], found["pattern"]) if part) or found["example"]
        spent = [f"{found['most_seconds']:.3g} s", f"{found['mean_seconds']:.3g} s"] if timed else []
        whom = ", ".join(list(found["tenants"])[:3])
        cells = [f"{found['lines']:,}", *spent, what, whom, _clock(found["last"])]
        table.add_row(*(_escaped(cell) for cell in cells))
    console.print(table)
    if len(view["findings"]) > top:
        console.print(f"{len(view['findings']) - top} more; --top {len(view['findings'])} or --json shows them")


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")


def _clock(text: str | None) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if text else ""
