"""`tocsin doctor`: is the monitoring itself well? One line a check; exit code 0 well, 1 a warning, 2 a failure."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tocsin.cli.client import DATA, Data

MARKS = {"ok": "[green]ok  [/]", "warning": "[yellow]warn[/]", "failure": "[red]FAIL[/]"}
EXIT_CODES = {"ok": 0, "warning": 1, "failure": 2}


def doctor(
    url: Annotated[str, typer.Option(help="The server to ask.")] = "http://127.0.0.1:4318",
    data: Data = DATA,
    token: Annotated[str, typer.Option(envvar="TOCSIN_API_TOKEN", help="API token of a viewer.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check store, spool, disk, clock, keys and the exporters that send here."""
    checks = _ask(url, token or _local_token(data))
    if as_json:
        import json

        typer.echo(json.dumps({"checks": checks}, indent=2))
    else:
        console = Console(highlight=False)
        for check in checks:
            console.print(f"{MARKS[check['state']]} {check['name']:<10} {check['detail']}", soft_wrap=True)
    sys.exit(max(EXIT_CODES[check["state"]] for check in checks))


def _ask(url: str, token: str) -> list[dict[str, Any]]:
    import httpx2

    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx2.get(f"{url.rstrip('/')}/api/v1/doctor", headers=headers, timeout=15)
    except httpx2.HTTPError as error:
        detail = f"cannot reach {url}: {error}; start it with tocsin serve, or name another with --url"
        return [{"name": "server", "state": "failure", "detail": detail}]
    if answer.status_code != 200:
        said = answer.json().get("detail", "") if "json" in answer.headers.get("content-type", "") else answer.text
        return [{"name": "server", "state": "failure", "detail": f"{answer.status_code}: {said[:300]}"}]
    checks: list[dict[str, Any]] = answer.json()["checks"]
    return checks


def _local_token(data: str) -> str:
    """What a server on this machine leaves for its owner to read, or the administrator's token of the environment."""
    try:
        return (Path(data) / "local-token").read_text()
    except OSError:
        return os.environ.get("TOCSIN_ADMIN_TOKEN", "")
