"""`tocsin logs`: one module a command."""

from __future__ import annotations

import typer

from tocsin.cli.log_analyze import analyze
from tocsin.cli.log_import import import_
from tocsin.cli.log_maintain import maintain
from tocsin.cli.log_search import search
from tocsin.cli.log_tail import tail
from tocsin.cli.log_verify import verify

logs_app = typer.Typer(help="Logs.", no_args_is_help=True)
logs_app.command("search")(search)
logs_app.command("tail")(tail)
logs_app.command("analyze")(analyze)
logs_app.command("import")(import_)
logs_app.command("maintain")(maintain)
logs_app.command("verify")(verify)
