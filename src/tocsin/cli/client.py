"""How commands ask a server: over HTTP, with the token given, that of this machine's owner, or of the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from tocsin.cli.fail import fail

Url = Annotated[str, typer.Option(help="The server to ask.")]
Data = Annotated[str, typer.Option(envvar="TOCSIN_DATA", help="Its data folder, when it runs on this machine.")]
Token = Annotated[str, typer.Option(envvar="TOCSIN_API_TOKEN", help="API token; of a viewer, for changes an operator.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
URL, DATA = "http://127.0.0.1:4318", "tocsin-data"
SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Client:
    """One server. Every method ends the command with a clear line when the server does not answer or refuses."""

    url: str
    token: str

    def get(self, path: str, **parameters: Any) -> Any:
        return self.ask("GET", path, params=parameters).json()

    def ask(
        self, method: str, path: str, accept: tuple[int, ...] = (), seconds: float = SECONDS, **options: Any
    ) -> Any:
        """The answer when it is good or its status is in `accept`."""
        import httpx2

        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            answer = httpx2.request(method, f"{self.url}{path}", headers=headers, timeout=seconds, **options)
        except httpx2.HTTPError as error:
            fail(f"cannot reach {self.url}: {error}; start it with tocsin serve, or name another with --url")
        if answer.status_code >= 300 and answer.status_code not in accept:
            fail(said(answer))
        return answer


def client(url: str, data: str, token: str, *, changes: bool = False) -> Client:
    """changes: for commands that change something, for which the local token does not suffice."""
    admin = os.environ.get("TOCSIN_ADMIN_TOKEN", "")
    local = "" if changes and admin else _local_token(data)
    return Client(url.rstrip("/"), token or local or admin)


def _local_token(data: str) -> str:
    """What a server on this machine leaves for its owner to read."""
    try:
        return (Path(data) / "local-token").read_text()
    except OSError:
        return ""


def said(answer: Any) -> str:
    """Why a request was refused."""
    if "json" not in answer.headers.get("content-type", ""):
        return f"{answer.status_code}: {answer.text[:300]}"
    body = answer.json()
    reason = body.get("error") or body.get("detail") or body
    if isinstance(reason, list):  # what FastAPI says of parameters
        reason = "; ".join(f"cannot use {'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in reason)
    return str(reason)[:2000]
