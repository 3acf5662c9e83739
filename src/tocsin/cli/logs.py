"""`tocsin logs`: each command in a module of its own."""

from __future__ import annotations

import typer

from tocsin.cli.log_import import import_

logs_app = typer.Typer(help="Logs.", no_args_is_help=True)
logs_app.command("import")(import_)
