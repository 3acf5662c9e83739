"""`tocsin dashboards`: boards as files of a repository, and boards from Grafana."""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tocsin.cli.client import DATA, URL, Client, Data, Token, Url, client, said
from tocsin.cli.fail import fail

API = "/api/v1/dashboards"
dashboards_app = typer.Typer(help="Dashboards as files, and from Grafana.", no_args_is_help=True)
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]


@dashboards_app.command("sync")
def sync(
    folder: Annotated[Path, typer.Argument(help="One file a board: <id>.yaml.")],
    dry_run: DryRun = False,
    pull: Annotated[bool, typer.Option("--pull", help="From the server to the folder, shipped boards too.")] = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Bring the boards of a folder to the server, or with --pull the server's to the folder; prints the differences.

    With --dry-run the exit code is 1 when something would change. Boards on one side only stay there.
    """
    server = client(url, data, token, changes=True)
    there = _boards_there(server)
    changes = _pull(folder, there, dry_run) if pull else _push(server, folder, there, dry_run)
    typer.echo(f"{changes} board{'s' if changes != 1 else ''} {'would change' if dry_run else 'changed'}")
    sys.exit(1 if dry_run and changes else 0)


def _boards_there(server: Client) -> dict[str, str]:
    rows = server.get(API)["dashboards"]
    return {row["id"]: server.ask("GET", f"{API}/{row['id']}", params={"format": "yaml"}).text for row in rows}


def _push(server: Client, folder: Path, there: dict[str, str], dry_run: bool) -> int:
    here = _boards_here(folder)
    changed = 0
    for id, text in here.items():
        if not _differs(there.get(id, ""), text, f"server/{id}", f"{folder}/{id}.yaml"):
            continue
        changed += 1
        if not dry_run:
            for doubt in server.ask("PUT", f"{API}/{id}", content=text.encode()).json()["doubts"]:
                typer.echo(f"{id}: {doubt}", err=True)
    return changed


def _boards_here(folder: Path) -> dict[str, str]:
    """By id, in the one order. Every file is checked before anything is written; the command ends at a bad one."""
    from tocsin.model.dashboard_text import read_dashboard, write_dashboard
    from tocsin.model.yaml_text import TextError

    if not folder.is_dir():
        fail(f"cannot read boards of '{folder}': it is no folder; make it, or fill it with --pull")
    found: dict[str, str] = {}
    problems = []
    for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml"), *folder.glob("*.json")]):
        try:
            board = read_dashboard(file.read_text("utf-8"), str(file))
        except TextError as error:
            problems += [f"{file}: {problem}" for problem in error.problems]
            continue
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{file}: {error}")
            continue
        if board.id in found:
            problems.append(f"{file}: there is another board '{board.id}' in this folder")
        found[board.id] = write_dashboard(board)
    if problems:
        fail("cannot read every board, so none is written:\n  " + "\n  ".join(problems))
    return found


def _pull(folder: Path, there: dict[str, str], dry_run: bool) -> int:
    if not dry_run:
        folder.mkdir(parents=True, exist_ok=True)
    changed = 0
    for id, text in there.items():
        file = folder / f"{id}.yaml"
        before = file.read_text("utf-8") if file.exists() else ""
        if _differs(before, text, str(file), f"server/{id}"):
            changed += 1
            if not dry_run:
                file.write_text(text, "utf-8")
    return changed


def _differs(before: str, after: str, from_name: str, to_name: str) -> bool:
    """Prints the difference."""
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), from_name, to_name, lineterm=""))
    for line in lines:
        typer.echo(line)
    return bool(lines)


@dashboards_app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="Grafana's JSON, or its provisioning files (.yml).")],
    dry_run: DryRun = False,
    overwrite: Annotated[bool, typer.Option(help="Replace boards of the same id.")] = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Bring dashboards in from Grafana; everything that is not kept is printed."""
    server = client(url, data, token, changes=True)
    has_failed = False
    for file in files:
        has_failed |= not _import(server, file, dry_run, overwrite)
    sys.exit(2 if has_failed else 0)


def _import(server: Client, file: Path, dry_run: bool, overwrite: bool) -> bool:
    try:
        text = file.read_text("utf-8")
        document: Any = json.loads(text) if file.suffix == ".json" else None
    except (OSError, ValueError) as error:
        typer.echo(f"{file}: cannot read it: {error}", err=True)
        return False
    if document is None:
        answer = server.ask("POST", f"{API}/import/provisioning", accept=(422,), content=text.encode())
        lines = [] if answer.status_code != 200 else answer.json()["understood"]
        lost = [said(answer)] if answer.status_code != 200 else answer.json()["unsupported"]
        typer.echo("\n".join([f"{file}:", *(f"  {one}" for one in lines), *(f"  not kept: {one}" for one in lost)]))
        return bool(answer.status_code == 200)
    parameters = {"dry_run": dry_run, "overwrite": overwrite}
    answer = server.ask("POST", f"{API}/import/grafana", accept=(409, 422), params=parameters, json=document)
    if answer.status_code != 200:
        typer.echo(f"{file}: {said(answer)}", err=True)
        return False
    made = answer.json()
    typer.echo(f"{file}: {'would be' if dry_run else 'is'} the board {made['id']}")
    for one in made["lost"]:
        typer.echo(f"  not kept: {one}")
    return True


@dashboards_app.command("export")
def export(
    id: Annotated[str, typer.Argument(help="The board.")],
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Print a board as JSON for Grafana."""
    typer.echo(client(url, data, token).ask("GET", f"{API}/{id}/grafana").text)
