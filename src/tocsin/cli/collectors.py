"""`tocsin collectors`: is everything that should send sending, and were there gaps?"""

from __future__ import annotations

import json
import statistics
import sys
import time
from itertools import pairwise
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tocsin.cli.client import DATA, URL, Client, Data, Json, Token, Url, client

collectors_app = typer.Typer(help="What sends metrics, and whether it does.", no_args_is_help=True)
API = "/prometheus/api/v1"
MISSED = 2.5
"""A distance between two samples of this many usual ones is a gap: one late sample is none."""

LATE_SECONDS = 300.0


@collectors_app.command("check")
def check(
    metric: Annotated[str, typer.Option(help="Selector of the series to look at; up is one a scraped target.")] = "up",
    window: Annotated[str, typer.Option(help="How far to look back for gaps, such as 1h.")] = "1h",
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Targets that are down, series that ended, gaps in them. Exit code 0 well, 1 gaps or late, 2 something down."""
    server = client(url, data, token)
    targets = server.get(f"{API}/targets")["data"]["activeTargets"]
    series = _series(server, metric, window)
    if as_json:
        typer.echo(json.dumps({"targets": targets, "series": series}, indent=2))
    else:
        _print(Console(highlight=False), targets, series, metric, window)
    is_down = any(target["health"] == "down" for target in targets) or any(one["is_down"] for one in series)
    sys.exit(2 if is_down else 1 if any(one["gaps"] or one["is_late"] for one in series) else 0)


@collectors_app.command("restart")
def restart(url: Url = URL, data: Data = DATA, token: Token = "") -> None:
    """Scrape and collect anew, by the scrape configuration as it is now."""
    jobs = client(url, data, token, changes=True).ask("POST", "/api/v1/collectors/restart").json()["jobs"]
    typer.echo(f"restarted {len(jobs)} jobs: {', '.join(jobs)}")


def _series(server: Client, metric: str, window: str) -> list[dict[str, Any]]:
    answer = server.ask("POST", f"{API}/query", data={"query": f"{metric}[{window}]"}).json()["data"]["result"]
    found = [_looked_at(row, time.time()) for row in answer if len(row.get("values", [])) > 0]
    return sorted(found, key=lambda one: (not one["is_down"], not one["is_late"], -one["missing"], str(one["labels"])))


def _looked_at(row: dict[str, Any], now: float) -> dict[str, Any]:
    times = [float(at) for at, _ in row["values"]]
    distances = [after - before for before, after in pairwise(times)]
    usual = statistics.median(distances) if distances else 0.0
    places = [(start, length) for start, length in zip(times, distances, strict=False) if length > MISSED * usual > 0]
    age = now - times[-1]
    name = row["metric"].get("__name__", "")
    return {
        "labels": row["metric"],
        "samples": len(times),
        "interval_seconds": round(usual, 3),
        "age_seconds": round(age, 1),
        "is_late": age > max(LATE_SECONDS, MISSED * usual),
        "is_down": name == "up" and float(row["values"][-1][1]) == 0,
        "gaps": [{"from": start, "seconds": round(length, 1)} for start, length in places],
        "missing": sum(round(length / usual) - 1 for _, length in places),
    }


def _print(console: Console, targets: list[Any], series: list[Any], metric: str, window: str) -> None:
    if targets:
        table = Table("job", "target", "health", "scraped every", "error", box=None, pad_edge=False)
        for one in targets:
            table.add_row(one["scrapePool"], one["scrapeUrl"], one["health"], one["scrapeInterval"], one["lastError"])
        console.print(table)
    if not series:
        console.print(f"no series match {metric} within {window}: nothing was scraped, or name another with --metric")
        return
    table = Table("series", "state", "samples", "every", "last", "missing", box=None, pad_edge=False)
    for one in series:
        labels = ", ".join(f"{name}={value}" for name, value in sorted(one["labels"].items()) if name != "__name__")
        state = "DOWN" if one["is_down"] else "late" if one["is_late"] else "gaps" if one["gaps"] else "ok"
        age = f"{one['age_seconds']:.0f} s ago"
        table.add_row(labels, state, str(one["samples"]), f"{one['interval_seconds']:g} s", age, str(one["missing"]))
    console.print(table)
    for one in series:
        for gap in one["gaps"][:10]:
            at = time.strftime("%H:%M:%S", time.localtime(gap["from"]))
            console.print(
                f"  gap of {gap['seconds']:.0f} s after {at} in {one['labels'].get('instance') or one['labels']}"
            )
