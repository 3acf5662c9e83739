"""Writes the generated parts of the documentation: the settings reference and the commands' help.

python -m scripts.reference
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from tocsin.app.settings import PRESETS, SECTIONS
from tocsin.cli.commands import app
from tocsin.config import preset_reference, reference

DOCS = Path(__file__).parent.parent / "docs"
GENERATED = {
    "settings reference": lambda: reference(SECTIONS),
    "presets": lambda: preset_reference(SECTIONS, PRESETS),
}


def main() -> None:
    for name, text in written().items():
        (DOCS / name).write_text(text)


def written() -> dict[str, str]:
    """The generated documents by their name below docs/, as they should read now."""
    configuration = (DOCS / "configuration.md").read_text()
    for name, write in GENERATED.items():
        configuration = _replaced(configuration, name, write())
    return {"configuration.md": configuration, "cli.md": "\n".join(_commands()) + "\n"}


def _replaced(text: str, name: str, content: str) -> str:
    """`text` with `content` between the two comments that name it."""
    start, end = f"<!-- {name}: written by scripts.reference -->", f"<!-- end of {name} -->"
    pattern = f"{re.escape(start)}.*{re.escape(end)}"
    return re.sub(pattern, lambda _: f"{start}\n\n{content}\n\n{end}", text, flags=re.DOTALL)


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
