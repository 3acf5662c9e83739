"""`tocsin deploy`: tells the server what was deployed, so that charts show it."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer

from tocsin.cli.client import DATA, URL, Data, Json, Token, Url, client
from tocsin.cli.fail import fail
from tocsin.sdk.release import find_commit, find_release

deploy_app = typer.Typer(help="Deploys on the charts.", no_args_is_help=True)


@deploy_app.command("mark")
def mark(
    service: Annotated[
        str, typer.Option(envvar=["TOCSIN_SERVICE", "OTEL_SERVICE_NAME"], help="What was deployed.")
    ] = "",
    environment: Annotated[str, typer.Option(envvar="TOCSIN_ENVIRONMENT", help="Where.")] = "",
    release: Annotated[
        str, typer.Option(envvar="TOCSIN_RELEASE", help="Its name; else what the platform's variables or .git say.")
    ] = "",
    link: Annotated[str, typer.Option("--link", help="Address of the change, the build or the notes.")] = "",
    commit: Annotated[str, typer.Option(help="Else what the platform's variables or .git say.")] = "",
    author: Annotated[str, typer.Option(help="Who did it.")] = "",
    at: Annotated[str, typer.Option(help="When, such as 2026-11-21T14:02Z; default now.")] = "",
    key: Annotated[str, typer.Option(envvar="TOCSIN_INGEST_KEY", help="Ingest key, instead of a token.")] = "",
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Mark a deploy on every chart of the service. Takes an operator's token or an ingest key."""
    commit = commit or find_commit(os.environ)
    release = release or find_release(os.environ, commit)
    if not service or not release:
        missing = "--service" if not service else "--release"
        fail(f"cannot mark a deploy without {missing}: nothing here names it; give it")
    server = client(url, data, token or key, changes=True)
    said = {"service": service, "environment": environment, "release": release}
    said |= {"commit": commit, "author": author, "url": link} | ({"at": at} if at else {})
    answer = server.ask("POST", "/api/v1/deployments", json=said).json()
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    where = f" in {environment}" if environment else ""
    typer.echo(f"marked {service} {release}{where} at {answer['at']}")
