"""`tocsin data export`: days of telemetry as Parquet, written by the server and read back."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tocsin.cli.client import DATA, URL, Client, Data, Json, Token, Url, client

LONG_SECONDS = 3600.0


def export(
    target: Annotated[str, typer.Argument(help="A folder below the server's exports, or s3://bucket/prefix.")],
    signal: Annotated[
        list[str] | None, typer.Option(help="traces, logs, events or metrics; can be given several times.")
    ] = None,
    first: Annotated[str, typer.Option("--from", help="The first day (UTC), such as 2026-11-01.")] = "",
    last: Annotated[str, typer.Option("--to", help="The last day, included; yesterday unless given.")] = "",
    tenant: Annotated[str, typer.Option(help="Only this tenant's telemetry.")] = "",
    verify: Annotated[
        bool, typer.Option("--verify", help="Read back all that is there; alone, write nothing.")
    ] = False,
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Write days of telemetry as Parquet, one file a day and table. Exit code 2 when a file differs."""
    server = client(url, data, token, changes=True)
    if not first and not verify:
        raise typer.BadParameter("name the first day with --from, or read back what is there with --verify")
    told: dict[str, Any] = {}
    if first:
        yesterday = str(datetime.now(UTC).date() - timedelta(days=1))
        asked = {"signals": signal or ["traces", "logs", "events", "metrics"], "target": target, "tenant": tenant}
        asked |= {"first": first, "last": last or yesterday}
        told["exported"] = server.ask("POST", "/api/v1/data/exports", seconds=LONG_SECONDS, json=asked).json()["files"]
    if verify:
        told["verified"] = _verified(server, target)
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        _print(Console(highlight=False), told)
    sys.exit(2 if any(one["problem"] for one in told.get("verified", [])) else 0)


def _verified(server: Client, target: str) -> list[dict[str, Any]]:
    path = "/api/v1/data/exports"
    found = server.ask("GET", path, seconds=LONG_SECONDS, params={"target": target}).json()["files"]
    return [one["exported"] | {"problem": one["problem"]} for one in found]


def _print(console: Console, told: dict[str, Any]) -> None:
    for what, files in told.items():
        shown = Table("file", "rows", "bytes", "state", box=None, pad_edge=False)
        for one in files:
            shown.add_row(one["file"], f"{one['rows']:,}", f"{one['bytes']:,}", one.get("problem") or "ok")
        if files:
            console.print(shown)
        console.print(f"{what} {len(files)} files, {sum(one['rows'] for one in files):,} rows")
