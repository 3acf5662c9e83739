"""`tocsin query`: PromQL on the command line, as a table at one time or as lines over time."""

from __future__ import annotations

import json
import math
import re
import sys
import time
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tocsin.cli.client import DATA, URL, Client, Data, Json, Token, Url, client, said
from tocsin.cli.fail import fail

API = "/prometheus/api/v1"
TICKS = "▁▂▃▄▅▆▇█"
WIDEST = 60
POINTS = 120
MOST_ROWS = 200
_AGO = re.compile(r"-?(\d+(?:\.\d+)?)(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PLACE = re.compile(r"(\d+):(\d+): parse error")
Moment = Annotated[str, typer.Option(help="now, an age such as 1h, unix seconds, or 2026-11-21T14:02.")]


def query(
    expression: Annotated[str, typer.Argument(help="PromQL.")],
    start: Moment = "",
    end: Moment = "now",
    step: Annotated[str, typer.Option(help="Such as 30s; else a hundredth of the time asked for.")] = "",
    tenant: Annotated[str, typer.Option(help="One tenant only.")] = "",
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Ask in PromQL: at one time, or over time with --start."""
    server = client(url, data, token)
    now = time.time()
    end_seconds = moment(end, now)
    asked: dict[str, Any] = {"query": expression} | ({"tenant": tenant} if tenant else {})
    if start:
        start_seconds = moment(start, now)
        asked |= {"start": start_seconds, "end": end_seconds, "step": step or _step(end_seconds - start_seconds)}
        answer = _asked(server, f"{API}/query_range", asked, expression)
    else:
        answer = _asked(server, f"{API}/query", asked | {"time": end_seconds}, expression)
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    console = Console(highlight=False)
    _print(console, answer["data"])
    for kind in ("warnings", "infos"):
        for note in answer.get(kind, []):
            print(f"{kind[:-1]}: {note}", file=sys.stderr)  # noqa: T201 - not part of the table


def _asked(server: Client, path: str, asked: dict[str, Any], expression: str) -> Any:
    answer = server.ask("POST", path, accept=(400, 422, 503), data=asked)
    if answer.status_code != 200:
        fail(_pointed(said(answer), expression))
    return answer.json()


def _pointed(error: str, expression: str) -> str:
    """The error with the query below it and a mark at its place."""
    found = _PLACE.search(error)
    lines = expression.split("\n")
    if not found or not 1 <= int(found[1]) <= len(lines):
        return error
    line = lines[int(found[1]) - 1]
    before = line.encode()[: int(found[2]) - 1].decode(errors="ignore")
    return f"{error}\n  {line}\n  {' ' * len(before)}^"


def moment(text: str, now: float) -> float:
    """Unix seconds; ends the command for what is no time."""
    if text == "now":
        return now
    if found := _AGO.fullmatch(text):
        return now - float(found[1]) * _SECONDS[found[2]]
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        fail(f"cannot read time '{text[:40]}': write now, 1h, unix seconds or 2026-11-21T14:02")


def _step(seconds: float) -> str:
    return str(max(1, math.ceil(seconds / POINTS)))


def _print(console: Console, found: dict[str, Any]) -> None:
    kind, result = found["resultType"], found["result"]
    if kind in ("scalar", "string"):
        console.print(str(result[1]), markup=False)
        return
    if not result:
        console.print("no series match")
        return
    table = lines_table(result) if kind == "matrix" else values_table(result)
    console.print(table)
    if len(result) > MOST_ROWS:
        console.print(f"{len(result) - MOST_ROWS} more series; narrow the query or take --json")


def values_table(result: list[dict[str, Any]]) -> Table:
    """One row a series with its labels as columns, the largest first."""
    columns = sorted({name for row in result for name in row["metric"]}, key=lambda name: (name != "__name__", name))
    table = Table(*columns, box=None, pad_edge=False)
    table.add_column("value", justify="right")
    for row in sorted(result, key=_size)[:MOST_ROWS]:
        value = row["value"][1] if "value" in row else f"count {row['histogram'][1]['count']}"
        table.add_row(*(row["metric"].get(name, "") for name in columns), value)
    return table


def _size(row: dict[str, Any]) -> float:
    value = float(row["value"][1]) if "value" in row else math.nan
    return math.inf if math.isnan(value) else -value


def lines_table(result: list[dict[str, Any]]) -> Table:
    """One row a series: its course, and its last, least and largest value."""
    table = Table("series", "", box=None, pad_edge=False)
    for name in ("last", "min", "max"):
        table.add_column(name, justify="right")
    for row in result[:MOST_ROWS]:
        values = [float(value) for _, value in row.get("values", [])]
        known = [value for value in values if math.isfinite(value)]
        figures = [_short(one) for one in (values[-1], min(known), max(known))] if known else ["–", "–", "–"]
        table.add_row(_name(row["metric"]), sparkline(values), *figures)
    return table


def _name(labels: dict[str, str]) -> str:
    inside = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "__name__")
    return labels.get("__name__", "") + (f"{{{inside}}}" if inside else "") or "{}"


def _short(value: float) -> str:
    return f"{value:.6g}"


def sparkline(values: list[float]) -> str:
    """A line of blocks between the least and the largest value; a gap where there is no number."""
    if len(values) > WIDEST:
        values = [values[len(values) * place // WIDEST] for place in range(WIDEST)]
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return ""
    low, reach = min(known), max(known) - min(known)
    return "".join(
        (TICKS[min(7, int((value - low) / reach * 8))] if reach else TICKS[3]) if math.isfinite(value) else " "
        for value in values
    )
