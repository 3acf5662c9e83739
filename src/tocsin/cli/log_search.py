"""`tocsin logs search`: lines on the command line, oldest first like a file."""

from __future__ import annotations

import json
import re
import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from tocsin.cli.client import DATA, URL, Client, Data, Json, Token, Url, client
from tocsin.cli.fail import fail
from tocsin.cli.query import moment

PAGE = 1000
TONES = {"fatal": "bold red", "error": "red", "warn": "yellow", "info": "green", "debug": "cyan", "trace": "dim"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_AGO = re.compile(r"\d+(?:\.\d+)?(?:s|m|h|d|w)")

Words = Annotated[
    str,
    typer.Argument(metavar="QUERY", help='Words, "a phrase", name:value, name:>100; - before what must not be there.'),
]
Level = Annotated[str, typer.Option(help="This level and worse: debug, info, warn, error, fatal.")]
Service = Annotated[str, typer.Option(help="One service only.")]
Tenant = Annotated[str, typer.Option(help="One tenant only.")]
Environment = Annotated[str, typer.Option(help="One environment only.")]
SavedView = Annotated[
    str,
    typer.Option(help="A saved view: errors, slow-queries, performance, security, suspicious or business-events."),
]
Threshold = Annotated[str, typer.Option(help="From when on something is slow in the view, such as 500ms.")]


def search(
    query: Words = "",
    last: Annotated[str, typer.Option(help="From this long ago on, such as 30m, 2h or 7d.")] = "1h",
    start: Annotated[str, typer.Option(help="Instead of --last: an age, unix seconds, or 2026-11-21T14:02.")] = "",
    end: Annotated[str, typer.Option(help="Until then; default now.")] = "now",
    level: Level = "",
    service: Service = "",
    tenant: Tenant = "",
    env: Environment = "",
    view: SavedView = "",
    threshold: Threshold = "",
    trace: Annotated[str, typer.Option(help="Lines of one trace.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="The newest so many lines.")] = 100,
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Search the lines of a server. With --json one object a line, as it is stored."""
    server = client(url, data, token)
    now = time.time()
    if not start and not _AGO.fullmatch(last):
        fail(f"cannot read --last '{last[:40]}': write a time such as 30m, 2h or 7d")
    asked = narrowed(query, level, service, tenant, env, view, threshold)
    asked |= {"start": moment(start or last, now), "end": moment(end, now)} | ({"trace_id": trace} if trace else {})
    found, is_more = _lines(server, asked, limit)
    console = Console(highlight=False, soft_wrap=True)
    for line in found:
        if as_json:
            typer.echo(json.dumps(line, ensure_ascii=False))
        else:
            console.print(text_of(line))
    if as_json:
        return
    if not found:
        console.print("no line fits")
    elif is_more:
        Console(stderr=True).print(f"the newest {len(found)} lines; more with --limit", style="dim")


def narrowed(query: str, level: str, service: str, tenant: str, env: str, view: str, threshold: str) -> dict[str, Any]:
    """The parameters that are given."""
    said = {
        "q": query, "level": level, "service": service, "tenant": tenant, "environment": env, "view": view,
        "threshold": threshold,
    }  # fmt: skip
    return {name: value for name, value in said.items() if value}


def _lines(server: Client, asked: dict[str, Any], limit: int) -> tuple[list[dict[str, Any]], bool]:
    """The newest lines, oldest first, and whether there are more."""
    found: list[dict[str, Any]] = []
    before = ""
    while True:
        more = {"before": before} if before else {}
        answer = server.get("/api/v1/logs", **asked, **more, limit=min(PAGE, limit - len(found)))
        found += answer["lines"]
        before = answer["older"] or ""
        if not before or len(found) >= limit:
            return found[::-1], bool(before)


def text_of(line: dict[str, Any]) -> Text:
    """One line as people read it: time, level, service, tenant, message."""
    level = line["level"] or "-"
    made = Text()
    made.append(line["time"].replace("T", " ").rstrip("Z")[:23].ljust(23), style="dim")
    made.append(f" {level:<5} ", style=TONES.get(level, ""))
    made.append(line["service"], style="bold")
    if line["tenant"]:
        made.append(f" {line['tenant']}", style="magenta")
    made.append(f"  {_harmless(line['message'] or line['event_name'])}")
    if kind := line["attributes"].get("exception.type"):
        said = str(line["attributes"].get("exception.message", ""))
        made.append(f"  {_harmless(str(kind))}: {_harmless(said)}", style="red")
    return made


def _harmless(text: str) -> str:
    """Without the characters that move a terminal's cursor or change its colours: lines hold what strangers sent."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
