"""Writes the generated parts of the documentation: the settings reference and the commands' help.

python -m scripts.reference
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from tocsin.app import SECTIONS
from tocsin.cli.commands import app
from tocsin.config import reference

DOCS = Path(__file__).parent.parent / "docs"
SETTINGS = ("<!-- settings reference: written by tocsin.config.reference -->", "<!-- end of settings reference -->")


def main() -> None:
    for name, text in written().items():
        (DOCS / name).write_text(text)


def written() -> dict[str, str]:
    """The generated documents by their name below docs/, as they should read now."""
    configuration = (DOCS / "configuration.md").read_text()
    start, end = (re.escape(mark) for mark in SETTINGS)
    settings = f"{SETTINGS[0]}\n\n{reference(SECTIONS)}\n\n{SETTINGS[1]}"
    return {
        "configuration.md": re.sub(f"{start}.*{end}", lambda _: settings, configuration, flags=re.DOTALL),
        "cli.md": "\n".join(_commands()) + "\n",
    }


def _commands() -> Iterator[str]:
    yield "# Commands"
    yield ""
    yield "Written by `python -m scripts.reference`. Every command has `--help`."
    group = typer.main.get_command(app)
    for path, command in _leaves("tocsin", group):
        yield from ("", f"## `{path}`", "", (command.help or "").strip(), "")
        rows = [parameter for parameter in command.params if parameter.name != "help"]
        if rows:
            yield from ("| option | what it does |", "|---|---|")
            for parameter in rows:
                name = (
                    " ".join(parameter.opts) if parameter.param_type_name == "option" else str(parameter.name).upper()
                )
                yield f"| `{name}` | {getattr(parameter, 'help', '') or ''} |"


def _leaves(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, inner in sorted(command.commands.items()):
        yield from _leaves(f"{path} {name}", inner)


if __name__ == "__main__":
    main()
