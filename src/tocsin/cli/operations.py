"""`tocsin ops`: critical operations on the command line: how they do, why they fail, how long they take."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tocsin.cli.client import DATA, URL, Client, Data, Json, Token, Url, client
from tocsin.cli.fail import fail

ops_app = typer.Typer(help="Critical operations: success, failures, durations.", no_args_is_help=True)

Operation = Annotated[str, typer.Option("--operation", help="One operation, such as form_automation; else all.")]
Since = Annotated[str, typer.Option(help="From this long ago on, such as 30m, 2h or 7d.")]
LastHour = Annotated[bool, typer.Option("--last-hour", help="The same as --since 1h.")]
Tenant = Annotated[str, typer.Option(help="One tenant only.")]
BANDS = {"normal": "green", "warning": "yellow", "critical": "red"}
_AGO = re.compile(r"(\d+)(m|h|d)")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}


@ops_app.command("status")
def status(
    operation: Operation = "",
    since: Since = "1h",
    last_hour: LastHour = False,
    tenant: Tenant = "",
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Success of each operation against its thresholds. Exit code 0 normal, 1 warning, 2 critical."""
    found = _asked(client(url, data, token), operation, _since(since, last_hour), tenant)
    worst = max((_severity(one["now"]["band"]) for one in found), default=0)
    if as_json:
        typer.echo(json.dumps({"operations": found}, indent=2))
        sys.exit(worst)
    table = Table("operation", "band", box=None, pad_edge=False)
    for name in ("success", "a week ago", "runs", "failed", "rejected"):
        table.add_column(name, justify="right")
    table.add_column("tenants hurt")
    for one in found:
        now, before = one["now"], one["week_before"]
        runs = now["success"] + now["failure"] + now["rejected"]
        band = f"[{BANDS.get(now['band'], 'dim')}]{now['band']}[/]"
        figures = (_percent(now["success_ratio"]), _percent(before["success_ratio"]), f"{runs:,}")
        more = (f"{now['failure']:,}", f"{now['rejected']:,}", ", ".join(one["tenants_hurt"][:5]) or "–")
        table.add_row(one["operation"], band, *figures, *more)
    _print(table, found)
    sys.exit(worst)


@ops_app.command("failures")
def failures(
    operation: Operation = "",
    since: Since = "1h",
    last_hour: LastHour = False,
    tenant: Tenant = "",
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Why operations failed and for whom, and the traces of the latest failures."""
    server, seconds = client(url, data, token), _since(since, last_hour)
    found = _asked(server, operation, seconds, tenant)
    failed = [one for one in found if one["now"]["failure"]]
    made = []
    for one in failed:
        detail = server.get(f"/api/v1/operations/{one['operation']}", **_slice(seconds, tenant))
        tenants = {name: tally["failure"] for name, tally in detail["tenants"].items() if tally["failure"]}
        asked = {"attribute": f"tocsin.operation:{one['operation']}", "status": "error", "limit": 5}
        traces = server.get("/api/v1/traces", **asked, **_slice(seconds, tenant))["traces"]
        ids = [trace["trace_id"] for trace in traces]
        made.append(
            {"operation": one["operation"], "reasons": one["now"]["reasons"], "tenants": tenants, "traces": ids}
        )
    if as_json:
        typer.echo(json.dumps({"failures": made}, indent=2))
        return
    table = Table("operation", "why", "tenants", "latest traces", box=None, pad_edge=False)
    for one in made:
        why = ", ".join(f"{reason} × {number}" for reason, number in one["reasons"].items())
        hurt = sorted(one["tenants"].items(), key=lambda pair: -pair[1])
        whom = ", ".join(f"{name or 'no tenant'} × {number}" for name, number in hurt[:5])
        table.add_row(one["operation"], why or "–", whom, " ".join(each[:16] for each in one["traces"][:3]) or "–")
    _print(table, made, "no operation failed")


@ops_app.command("timings")
def timings(
    operation: Operation = "",
    since: Since = "1h",
    last_hour: LastHour = False,
    tenant: Tenant = "",
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """How long operations take, against a week ago, and the tenants that wait longest."""
    server, seconds = client(url, data, token), _since(since, last_hour)
    made = []
    for one in _asked(server, operation, seconds, tenant):
        detail = server.get(f"/api/v1/operations/{one['operation']}", **_slice(seconds, tenant))
        slowest = {name: tally["p95_seconds"] for name, tally in detail["tenants"].items() if tally["p95_seconds"]}
        names = sorted(slowest, key=lambda name: -slowest[name])[:5]
        now, before = one["now"], one["week_before"]
        figures = {name: now[f"{name}_seconds"] for name in ("p50", "p95", "p99")}
        made.append(
            {"operation": one["operation"], **figures, "p95_week_before": before["p95_seconds"]}
            | {"slowest_tenants": {name: slowest[name] for name in names}}
        )
    if as_json:
        typer.echo(json.dumps({"timings": made}, indent=2))
        return
    table = Table("operation", box=None, pad_edge=False)
    for name in ("p50", "p95", "p99", "p95 a week ago"):
        table.add_column(name, justify="right")
    table.add_column("slowest tenants (p95)")
    for row in made:
        columns = [_seconds(row[name]) for name in ("p50", "p95", "p99", "p95_week_before")]
        slow = ", ".join(f"{name or 'no tenant'} {_seconds(value)}" for name, value in row["slowest_tenants"].items())
        table.add_row(str(row["operation"]), *columns, slow or "–")
    _print(table, made)


def _asked(server: Client, operation: str, seconds: int, tenant: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.get("/api/v1/operations", **_slice(seconds, tenant))["operations"]
    wanted = [one for one in found if operation in ("", one["operation"])]
    if operation and not wanted:
        known = ", ".join(one["operation"] for one in found) or "none"
        fail(f"cannot find operation '{operation}': it did not run then; those that did: {known}")
    return wanted


def _slice(seconds: int, tenant: str) -> dict[str, Any]:
    now = time.time()
    return {"start": now - seconds, "end": now} | ({"tenant": tenant} if tenant else {})


def _since(text: str, last_hour: bool) -> int:
    found = _AGO.fullmatch("1h" if last_hour else text)
    if not found:
        fail(f"cannot read --since '{text[:40]}': write a time such as 30m, 2h or 7d")
    return int(found[1]) * _SECONDS[found[2]]


def _severity(band: str) -> int:
    return {"warning": 1, "critical": 2}.get(band, 0)


def _percent(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio * 100:.2f} %"


def _seconds(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def _print(table: Table, rows: list[Any], nothing: str = "no operation ran") -> None:
    console = Console(highlight=False)
    console.print(table if rows else nothing)
