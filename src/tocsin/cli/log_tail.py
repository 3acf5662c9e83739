"""`tocsin logs tail`: lines as they arrive at a server, until Ctrl-C."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Generator, Iterator
from typing import Annotated, Any

import typer
from rich.console import Console

from tocsin.cli.client import DATA, URL, Client, Data, Json, Token, Url, client, said
from tocsin.cli.fail import fail
from tocsin.cli.log_search import (
    Environment,
    Level,
    SavedView,
    Service,
    Tenant,
    Threshold,
    Words,
    narrowed,
    text_of,
)

PATIENCE_SECONDS = 60.0
"""The server says something at least every 15 seconds."""
AGAIN_SECONDS = 1.0
REMEMBERED = 5000


def tail(
    query: Words = "",
    lines: Annotated[int, typer.Option(min=0, max=1000, help="Begin with so many lines that are there.")] = 10,
    level: Level = "",
    service: Service = "",
    tenant: Tenant = "",
    env: Environment = "",
    view: SavedView = "",
    threshold: Threshold = "",
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Print lines as they arrive. With --json one object a line."""
    server = client(url, data, token)
    asked = narrowed(query, level, service, tenant, env, view, threshold)
    console = Console(highlight=False, soft_wrap=True)
    try:
        for line in followed(server, asked, lines, _tell_left_out):
            if as_json:
                typer.echo(json.dumps(line, ensure_ascii=False))
            else:
                console.print(text_of(line))
            sys.stdout.flush()
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        sys.exit(0)


def _tell_left_out(count: int) -> None:
    said = f"at least {count:,} more lines came at once and are left out; narrow what is followed, or search for them"
    Console(stderr=True, highlight=False).print(said, style="yellow")


def followed(
    server: Client, asked: dict[str, Any], first: int, tell_left_out: Callable[[int], None]
) -> Generator[dict[str, Any]]:
    """The newest lines, then those that arrive, each once, over as many connections as it takes."""
    since = time.time_ns()
    seen: dict[str, None] = {}
    if first:
        there = server.get("/api/v1/logs", **asked, range="24h", limit=first)["lines"][::-1]
        seen = dict.fromkeys(line["id"] for line in there)
        yield from there
    while True:
        for line in _stream(server, asked | {"since": str(since)}):
            if "left_out" in line:
                tell_left_out(line["left_out"])
                continue
            since = max(since, int(line["time_unix_nano"]))
            if line["id"] not in seen:
                seen[line["id"]] = None
                yield line
        while len(seen) > REMEMBERED:
            del seen[next(iter(seen))]
        time.sleep(AGAIN_SECONDS)


def _stream(server: Client, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Lines of one connection, and how many were left out; it ends when the server ends it, and the command when the
    server refuses."""
    import httpx2

    headers = {"accept": "text/event-stream"} | ({"authorization": f"Bearer {server.token}"} if server.token else {})
    address = f"{server.url}/api/v1/logs/tail"
    try:
        with httpx2.stream("GET", address, params=asked, headers=headers, timeout=PATIENCE_SECONDS) as answer:
            if answer.status_code != 200:
                answer.read()
                fail(said(answer))
            for text in answer.iter_lines():
                if text.startswith("data: "):
                    yield json.loads(text.removeprefix("data: "))
    except httpx2.ConnectError as error:
        fail(f"cannot reach {server.url}: {error}; start it with tocsin serve, or name another with --url")
    except httpx2.TransportError:
        return  # it stopped or went away for a moment: the next try says
