"""`tocsin alerts review`, `tune` and `history`: looking back at what rang, and at what was noise."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tocsin.cli.client import DATA, URL, Client, Data, Json, Token, Url, client

HISTORY = "/api/v1/monitoring/alerts/history"
PAGE, READABLE, ALL = 10_000, 200, 10**9

TRIED = {"fires": "fires", "at night": "night_pages", "real": "real", "false": "noise"}

Last = Annotated[str, typer.Option("--last", help="How far to look back, such as 24h.")]
LastDay = Annotated[bool, typer.Option("--last-24h", help="The same as --last 24h.")]
LastHour = Annotated[bool, typer.Option("--last-hour", help="The same as --last 1h.")]
LastWeek = Annotated[bool, typer.Option("--last-7d", help="The same as --last 7d.")]


def review(
    last: Last = "24h",
    last_24h: LastDay = False,
    last_hour: LastHour = False,
    last_7d: LastWeek = False,
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Which alerts are noise: what made people act and how soon, false alarms, nights, flapping, and what to do."""
    found = client(url, data, token).get("/api/v1/alerts/review", last=_last(last, last_24h, last_hour, last_7d))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    columns = ("Alert", "fired", "told", "acted", "false", "until taken", "late", "at night", "flaps", "what to do")
    table = Table(*columns, box=None, pad_edge=False)
    for row in found["names"]:
        ratios = [_share(row[key]) for key in ("actionable_ratio", "false_positive_ratio")]
        waited = row["median_acknowledge_seconds"]
        counts = [str(row[key]) for key in ("late", "at_night", "flaps")]
        told = [str(row["fired"]), str(row["notified"]), *ratios, "–" if waited is None else f"{waited:.0f} s", *counts]
        table.add_row(row["name"], *told, row["advice"])
    Console(highlight=False).print(table)
    critical = found["critical"]
    if critical["fired"]:
        part = f"{_share(critical['false_ratio'])} ({critical['false']} of {critical['fired']})"
        typer.echo(f"of critical alerts {part} were called false; the aim is below 2%")
    for pair in found["together"][:10]:
        typer.echo(f"{' and '.join(pair['names'])} began together {pair['times']} times")


def tune(
    since: Annotated[str, typer.Option(help="How far back, such as 7d.")] = "7d",
    rule: Annotated[str, typer.Option(help="Only the rule of this name.")] = "",
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Changes of rules that would have rung less and lost nothing real, tried over history, as diffs of their YAML."""
    found = client(url, data, token).ask("POST", "/api/v1/rules/tune", params={"since": since, "rule": rule}).json()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for one in found["proposals"]:
        now, then = one["now"], one["proposed"]
        typer.echo(f"# {one['rule']} ({one['file']}): {one['change']}")
        sums = [f"{word} {now[key]} → {then[key]}" for word, key in TRIED.items()]
        typer.echo(f"# {', '.join(sums)}")
        typer.echo(one["diff"])
    for name, why in found["failed"].items():
        typer.echo(f"cannot replay {name}: {why}", err=True)
    if not found["proposals"]:
        typer.echo(f"nothing to change: {len(found['looked_at'])} rules were tried over the last {since}")


def history(
    last: Last = "24h",
    last_24h: LastDay = False,
    last_hour: LastHour = False,
    last_7d: LastWeek = False,
    name: Annotated[str, typer.Option(help="Only alerts of this name.")] = "",
    tenant: Annotated[str, typer.Option(help="Only this tenant's.")] = "",
    severity: Annotated[str, typer.Option(help="At least this: P0 to P4.")] = "",
    change: Annotated[str, typer.Option(help="Only such as firing, notified, acknowledged or suppressed.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many changes; 0: 200 to read, all as JSON or CSV.")] = 0,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Every change of every alert, the newest first."""
    asked = {"name": name, "tenant": tenant, "severity": severity, "change": change}
    told = {key: text for key, text in asked.items() if text} | {"last": _last(last, last_24h, last_hour, last_7d)}
    server = client(url, data, token)
    if as_csv:
        _print_csv(server, told, limit or ALL)
        return
    most = limit or (ALL if as_json else READABLE)
    changes, has_more = _changes(server, told, most)
    if as_json:
        typer.echo(json.dumps({"changes": changes}, indent=2))
        return
    for one in changes:
        typer.echo(_line(one))
    if has_more:
        typer.echo(f"there are more than these {most}; see --limit, or --csv for all", err=True)


def _changes(server: Client, asked: dict[str, Any], most: int) -> tuple[list[dict[str, Any]], bool]:
    """The newest, page by page, and whether there are more."""
    found: list[dict[str, Any]] = []
    before: dict[str, int] = {}
    while len(found) < most:
        page = server.get(HISTORY, **asked, **before, limit=min(PAGE, most - len(found)))
        found += page["changes"]
        if page["next_before_id"] is None:
            return found, False
        before = {"before_id": page["next_before_id"]}
    return found, True


def _print_csv(server: Client, asked: dict[str, Any], most: int) -> None:
    """The server's own, whose cells no spreadsheet takes for formulas, with its header once."""
    printed, before = 0, dict[str, str]()
    while printed < most:
        wanted = min(PAGE, most - printed)
        said = {**asked, **before, "limit": wanted, "format": "csv"}
        header, *rows = csv.reader(io.StringIO(server.ask("GET", HISTORY, params=said).text))
        text = io.StringIO()
        csv.writer(text).writerows(rows if printed else [header, *rows])
        typer.echo(text.getvalue(), nl=False)
        printed += len(rows)
        if len(rows) < wanted:
            return
        before = {"before_id": rows[-1][0]}


def _line(change: Mapping[str, Any]) -> str:
    where = f" [{change['tenant']}]" if change["tenant"] else ""
    who = f" by {change['actor']}" if change["actor"] else ""
    why = change["detail"].get("reason") or change["detail"].get("note") or ""
    return f"{change['at'][:19]}  {change['severity']} {change['name']}{where}  {change['change']}{who}  {why}".rstrip()


def _share(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.0%}"


def _last(last: str, last_24h: bool, last_hour: bool, last_7d: bool) -> str:
    return "24h" if last_24h else "1h" if last_hour else "7d" if last_7d else last
