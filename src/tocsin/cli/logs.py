"""`tocsin logs`: log lines; one module a command."""

from __future__ import annotations

import typer

from tocsin.cli.log_analyze import analyze

logs_app = typer.Typer(help="Log lines.", no_args_is_help=True)
logs_app.command("analyze")(analyze)
