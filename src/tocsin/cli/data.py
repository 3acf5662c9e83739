"""`tocsin data`: what is stored, and whether it is still as it was written."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tocsin.cli.client import DATA, URL, Data, Json, Token, Url, client

data_app = typer.Typer(help="What is stored.", no_args_is_help=True)


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
