"""`tocsin data`: what is stored, whether it is still as it was written, and what stays or goes."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table

from tocsin.cli.client import DATA, URL, Data, Json, Token, Url, client
from tocsin.cli.data_export import LONG_SECONDS, export

data_app = typer.Typer(help="What is stored.", no_args_is_help=True)
data_app.command("export")(export)


@data_app.command("verify")
def verify(
    table: Annotated[list[str] | None, typer.Option(help="Only this table; can be given several times.")] = None,
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Read every part of every table against its checksums. Exit code 0 as written, 2 when a part differs."""
    server = client(url, data, token)
    tables = server.get("/api/v1/data")["tables"]
    wanted = [one for one in tables if table is None or one["name"] in table]
    found: list[dict[str, Any]] = []
    for one in wanted:
        found.append(one | (server.get(f"/api/v1/data/{one['name']}/verify") if one["parts"] else {"broken": []}))
    if as_json:
        typer.echo(json.dumps({"tables": found}, indent=2))
    else:
        _print(Console(highlight=False), found)
    sys.exit(2 if any(one["broken"] for one in found) else 0)


@data_app.command("hold")
def hold(
    tenant: Annotated[str, typer.Argument(help="The tenant whose telemetry must stay.")],
    reason: Annotated[str, typer.Option(help="Why; goes into the audit.")],
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Put a tenant on legal hold: neither retention nor cleanup deletes its telemetry until it is released."""
    server = client(url, data, token, changes=True)
    server.ask("POST", "/api/v1/data/holds", json={"tenant": tenant, "reason": reason})
    typer.echo(f"{tenant} is on hold: nothing of it is deleted until tocsin data release {tenant} --reason …")


@data_app.command("release")
def release(
    tenant: Annotated[str, typer.Argument(help="The tenant on hold.")],
    reason: Annotated[str, typer.Option(help="Why; goes into the audit.")],
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Lift a legal hold: what is past its retention goes with the next merges."""
    server = client(url, data, token, changes=True)
    server.ask("DELETE", f"/api/v1/data/holds/{quote(tenant, safe='')}", params={"reason": reason})
    typer.echo(f"{tenant} is no longer on hold")


@data_app.command("holds")
def holds(as_json: Json = False, url: Url = URL, data: Data = DATA, token: Token = "") -> None:
    """Tenants on legal hold, since when and why."""
    found = client(url, data, token, changes=True).get("/api/v1/data/holds")
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for one in found["holds"]:
        typer.echo(f"{one['tenant']}: since {one['placed_at'][:10]} by {one['placed_by']}: {one['reason']}")
    if not found["holds"]:
        typer.echo("no tenant is on hold")


@data_app.command("cleanup")
def cleanup(
    older_than: Annotated[str, typer.Option(help="Whole days, such as 30days, 30d or 4weeks.")],
    signal: Annotated[
        list[str] | None,
        typer.Option(help="traces, logs, events, metrics, rates; can be given several times. All but rates if not."),
    ] = None,
    tenant: Annotated[str, typer.Option(help="Only this tenant's telemetry.")] = "",
    exported_only: Annotated[
        str, typer.Option(help="Only days whose export to this folder or s3:// place is read back and still complete.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would go, and delete nothing.")] = False,
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Delete telemetry older than so many days, but never that of a tenant on hold."""
    asked: dict[str, Any] = {"older_than": older_than, "signals": signal or [], "tenant": tenant, "dry_run": dry_run}
    asked["exported_to"] = exported_only
    server = client(url, data, token, changes=True)
    done = server.ask("POST", "/api/v1/data/cleanup", seconds=LONG_SECONDS, json=asked).json()
    if as_json:
        typer.echo(json.dumps(done, indent=2))
    else:
        _print_cleanup(Console(highlight=False), done)


def _print_cleanup(console: Console, done: dict[str, Any]) -> None:
    shown = Table("signal", "table", "day", "rows", "bytes", "parts", box=None, pad_edge=False)
    for one in done["deleted"]:
        figures = (f"{one[name]:,}" for name in ("rows", "disk_bytes", "parts"))
        shown.add_row(one["signal"], one["table"], one["day"], *figures)
    if done["deleted"]:
        console.print(shown)
    verb = "would delete" if done["dry_run"] else "deleted"
    console.print(f"{verb} {done['rows']:,} rows, {done['disk_bytes']:,} bytes, from before {done['before']}")
    if done["held"]:
        console.print(f"on hold, kept: {', '.join(done['held'])}", markup=False)


def _print(console: Console, found: list[dict[str, Any]]) -> None:
    shown = Table("table", "parts", "rows", "bytes", "from", "to", "state", box=None, pad_edge=False)
    for one in found:
        state = f"{len(one['broken'])} BROKEN" if one["broken"] else "ok" if one["parts"] else "empty"
        figures = (f"{one[name]:,}" for name in ("parts", "rows", "disk_bytes"))
        shown.add_row(one["name"], *figures, one["first"], one["last"], state)
    console.print(shown)
    for one in found:
        for part in one["broken"]:
            console.print(f"{one['name']} {part['name']}: {part['reason']}", markup=False)
