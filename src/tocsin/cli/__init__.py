"""The command line. Every command is thin: it parses, calls, and prints."""

from __future__ import annotations

import sys


def main() -> None:
    """The `tocsin` command."""
    try:
        from tocsin.cli.commands import app
    except ModuleNotFoundError as error:
        if error.name in ("typer", "rich", "fastapi", "chdb", "structlog"):
            sys.exit('cannot run the tocsin command: only the SDK is installed; run: pip install "tocsin[server]"')
        raise
    app()
