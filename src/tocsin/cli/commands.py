"""All commands; each group that grows beyond a few has a module of its own."""

from __future__ import annotations

from importlib.metadata import version as package_version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tocsin.cli.alerts import alerts_app
from tocsin.cli.collectors import collectors_app
from tocsin.cli.dashboards import dashboards_app
from tocsin.cli.data import data_app
from tocsin.cli.deploy import deploy_app
from tocsin.cli.doctor import doctor
from tocsin.cli.logs import logs_app
from tocsin.cli.notify import notify_app
from tocsin.cli.operations import ops_app
from tocsin.cli.query import query
from tocsin.cli.rules import rules_app
from tocsin.cli.serve import serve

app = typer.Typer(
    name="tocsin",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
config_app = typer.Typer(help="Settings: what is in force and where it comes from.", no_args_is_help=True)
users_app = typer.Typer(help="Access, from the machine the server runs on.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(users_app, name="users")
app.command()(serve)
app.command()(doctor)
app.command()(query)
app.add_typer(dashboards_app, name="dashboards")
app.add_typer(rules_app, name="rules")
app.add_typer(collectors_app, name="collectors")
app.add_typer(data_app, name="data")
app.add_typer(logs_app, name="logs")
app.add_typer(deploy_app, name="deploy")
app.add_typer(ops_app, name="ops")
app.add_typer(alerts_app, name="alerts")
app.add_typer(notify_app, name="notify")

TomlFile = Annotated[Path | None, typer.Option("--config", help="Settings file; default ./tocsin.toml if it is there.")]
DataFolder = Annotated[str | None, typer.Option("--data", help="Folder of the server's state.")]


def _print_version(is_asked: bool) -> None:
    if is_asked:
        version()
        raise typer.Exit


@app.callback()
def tocsin(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Monitoring for multi-tenant FastAPI products."""


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(package_version("tocsin"))


@config_app.command("explain")
def explain(
    config: TomlFile = None,
    preset: Annotated[str | None, typer.Option(help="Defaults to start from: production or development.")] = None,
) -> None:
    """Every setting with its value, where it comes from, and when to change it."""
    from tocsin.app.settings import configuration
    from tocsin.cli.fail import failing_clearly
    from tocsin.config import explain as rows_of

    with failing_clearly():
        rows = rows_of(configuration({"preset": preset}, toml=config))
    table = Table("Setting", "Value", "From", "What it does", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.dotted, row.value, row.origin, row.help)
    Console().print(table)


@users_app.command("link")
def link(
    email: Annotated[str, typer.Argument(help="Whose password to set; leave out for the first administrator.")] = "",
    data: DataFolder = None,
    url: Annotated[str, typer.Option(help="Where people reach the server.")] = "http://127.0.0.1:4318",
) -> None:
    """Print a one-time link that sets a password, for who lost theirs or never had one."""
    from tocsin.app.parts import open_control
    from tocsin.app.settings import configuration
    from tocsin.cli.fail import fail, failing_clearly
    from tocsin.model.control import SYSTEM

    with failing_clearly():
        control = open_control(configuration({"server.data": data}))
    if email:
        user = next((user for user in control.users.all() if user.email == email.lower()), None)
        if user is None:
            fail(f"cannot make a link for {email!r}: nobody has that address; see Settings, Users")
        issued = control.setup.password_link(SYSTEM, user.id)
    else:
        first = control.setup.first_admin_link()
        if first is None:
            fail("cannot make a first administrator's link: there is an administrator; name their e-mail address")
        issued = first
    typer.echo(f"{url.rstrip('/')}/setup/{issued.secret}")
