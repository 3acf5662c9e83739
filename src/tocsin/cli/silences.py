"""`tocsin alerts silence`: alerts that nobody is told of for a time."""

from __future__ import annotations

import getpass
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from tocsin.cli.client import DATA, URL, Data, Json, Token, Url, client
from tocsin.cli.fail import fail

V2 = "/alertmanager/api/v2"
silence_app = typer.Typer(help="Silences: alerts that nobody is told of for a time.", no_args_is_help=True)

Duration = Annotated[str, typer.Option("--duration", help="How long, such as 2h or 1h30m.")]


@silence_app.command("list")
def list_silences(
    expired: Annotated[bool, typer.Option("--expired", help="Those that are over, too.")] = False,
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """The silences in force and to come."""
    found = [
        one for one in client(url, data, token).get(f"{V2}/silences") if expired or one["status"]["state"] != "expired"
    ]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for one in found:
        said = " ".join(_matcher_text(each) for each in one["matchers"])
        typer.echo(f"{one['id']}  {one['status']['state']} until {one['endsAt'][:19]}  {said}  {one['comment']}")
    if not found:
        typer.echo("no silences")


@silence_app.command("add")
def add_silence(
    matchers: Annotated[list[str], typer.Argument(help='Such as alertname=Down or tenant=~"a|b".')],
    duration: Duration = "1h",
    comment: Annotated[str, typer.Option("--comment", "-c", help="Why.")] = "",
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Silence alerts that match all of these; prints the silence's id."""
    now = datetime.now(UTC)
    body = {
        "matchers": [_matcher(text) for text in matchers],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(seconds=_seconds(duration))).isoformat(),
        "createdBy": getpass.getuser(),
        "comment": comment,
    }
    typer.echo(client(url, data, token, changes=True).ask("POST", f"{V2}/silences", json=body).json()["silenceID"])


@silence_app.command("expire")
def expire_silence(
    ids: Annotated[list[str], typer.Argument(help="Silences to end now.")],
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """End silences now."""
    server = client(url, data, token, changes=True)
    for id in ids:
        server.ask("DELETE", f"{V2}/silence/{id}")


def _matcher(text: str) -> dict[str, Any]:
    from tocsin.alerts.matcher_text import MatcherError, plain_matcher, read_matchers

    try:
        return plain_matcher(read_matchers(text)[0]).plain()
    except (MatcherError, IndexError) as error:
        fail(str(error) if isinstance(error, MatcherError) else "cannot silence nothing; give such as alertname=Down")


def _matcher_text(plain: dict[str, Any]) -> str:
    sign = ("=" if plain.get("isEqual", True) else "!") + (
        "~" if plain["isRegex"] else "" if plain.get("isEqual", True) else "="
    )
    return f'{plain["name"]}{sign}"{plain["value"]}"'


def _seconds(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
    parts = re.findall(r"(\d+)([smhdw])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        fail(f"cannot use duration {text!r}: it is none; write it as 2h or 1h30m")
    return float(sum(int(number) * units[unit] for number, unit in parts))
