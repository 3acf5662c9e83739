"""`tocsin notify`: whom the server can tell, a message by hand, and its receipt."""

from __future__ import annotations

import json
import pkgutil
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from tocsin.cli.client import DATA, URL, Client, Data, Json, Token, Url, client
from tocsin.cli.fail import fail, failing_clearly


class Sending(TyperGroup):
    """`tocsin notify pushover --message …` is `tocsin notify send pushover --message …`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and args[0] in _channel_names():
            args = ["send", *args]
        return super().resolve_command(ctx, args)


notify_app = typer.Typer(
    help="Channels: whom alerts reach, and a message by hand: tocsin notify email --message ….",
    no_args_is_help=True,
    cls=Sending,
)
API = "/api/v1/notify"

Words = Annotated[str, typer.Option(help="What to say.")]
Urgent = Annotated[bool, typer.Option("--urgent", help="As a P0, which wakes people.")]
Here = Annotated[
    bool, typer.Option("--here", help="Send from this process by tocsin.toml, without a server: when that is down.")
]


@notify_app.command("list")
def list_channels(as_json: Json = False, url: Url = URL, data: Data = DATA, token: Token = "") -> None:
    """Every channel of every receiver, whether it can be used, and its last receipt."""
    told = client(url, data, token).get(f"{API}/channels")
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    console = Console(highlight=False)
    table = Table("receiver", "channel", "state", "sent", "failed", "last", "what to do", box=None, pad_edge=False)
    idle = [one["channel"] for one in told["channels"] if one["problem"] and one["receiver"] == one["channel"]]
    for one in told["channels"]:
        if one["problem"] and one["receiver"] == one["channel"]:
            continue
        last = one["last"]
        words = one["problem"] or (last["reason"] if last and last["outcome"] != "sent" else "")
        when = _shown_time(last["changed_at"]) if last else "never"
        table.add_row(
            one["receiver"], one["integration"], one["state"], str(one["sent"]), str(one["failed"]), when, escape(words)
        )
    console.print(table)
    console.print(f"not configured: {', '.join(idle)}; see docs/channels.md", markup=False)
    for note in told["notes"]:
        console.print(f"note: {note}", markup=False)


@notify_app.command("test")
def send_test(
    channel: Annotated[str, typer.Argument(help="A channel or receiver, such as email or default.")],
    here: Here = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Send a test message and print the delivery receipt; exit code 1 when it did not arrive."""
    from tocsin.notify.trial import TEST_MESSAGE

    _send(channel, TEST_MESSAGE, False, here, url, data, token)


@notify_app.command("send")
def send(
    channel: Annotated[str, typer.Argument(help="A channel or receiver, such as pushover or default.")],
    message: Words,
    urgent: Urgent = False,
    here: Here = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Send a message by hand and print the delivery receipt; exit code 1 when it did not arrive."""
    _send(channel, message, urgent, here, url, data, token)


@notify_app.command("deliveries")
def deliveries(
    limit: Annotated[int, typer.Option(help="How many.")] = 20,
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """What was told last, and what became of it."""
    told = client(url, data, token).get(f"{API}/deliveries", limit=limit)["deliveries"]
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    table = Table("id", "when", "receiver", "channel", "outcome", "message", "reason", box=None, pad_edge=False)
    for one in told:
        table.add_row(
            str(one["id"]),
            _shown_time(one["changed_at"]),
            one["receiver"],
            one["integration"],
            f"{one['outcome']} ({one['attempts']})",
            escape(one["title"]),
            escape(one["reason"]),
        )
    Console(highlight=False).print(table)


@notify_app.command("replay")
def replay(
    id: Annotated[int, typer.Argument(help="A failed delivery; see tocsin notify deliveries.")],
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Try a failed delivery once more."""
    told = client(url, data, token, changes=True).ask("POST", f"{API}/deliveries/{id}/replay").json()
    typer.echo(f"delivery {told['delivery']['id']} is tried again: {told['delivery']['title']}")


@notify_app.command("path")
def path(as_json: Json = False, url: Url = URL, data: Data = DATA, token: Token = "") -> None:
    """Send a synthetic alert through everything and print each hop with its time; exit code 1 when it was lost."""
    walk(client(url, data, token, changes=True), as_json)


def walk(server: Client, as_json: bool) -> NoReturn:
    """Sends the synthetic alert and prints its way; ends the command."""
    told = server.ask("POST", f"{API}/path").json()
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        for hop in told["hops"]:
            typer.echo(f"{hop['seconds']:8.3f} s  {hop['name']}")
        typer.echo(f"{'well' if told['is_well'] else 'LOST'}{': ' + told['reason'] if told['reason'] else ''}")
    sys.exit(0 if told["is_well"] else 1)


@notify_app.command("summary")
def summary(
    receiver: Annotated[str, typer.Argument(help="Whom to tell; notify.summary_receiver unless given.")] = "",
    preview: Annotated[bool, typer.Option("--preview", help="Print it, and tell nobody.")] = False,
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Send the health summary of the last day now and print the delivery receipt, or print what it says."""
    server = client(url, data, token, changes=True)  # of an administrator, because it is about everybody
    if preview:
        told = server.get(f"{API}/summary")
        typer.echo(json.dumps(told, indent=2) if as_json else told["text"].strip())
        return
    sent = server.ask("POST", f"{API}/summary", json={"receiver": receiver}).json()
    if as_json:
        typer.echo(json.dumps(sent, indent=2))
    _print_receipts(sent, is_quiet=as_json)


@notify_app.command("desktop")
def desktop(
    message: Annotated[str, typer.Option(help="Show this and end.")] = "",
    urgent: Urgent = False,
    follow: Annotated[bool, typer.Option("--follow", help="Show what the server tells, until stopped.")] = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Show a message on this machine's desktop, or, with --follow, be the desktop's agent of a server."""
    from tocsin.notify.channels.desktop import show
    from tocsin.notify.contract import DeliveryError

    if bool(message) == follow:
        fail("cannot tell what to show: give --message, or --follow to show what the server tells")
    try:
        if message:
            typer.echo(f"shown by {show('Tocsin', message, is_urgent=urgent)}")
            return
        server, seen = client(url, data, token), -1
        while True:
            seen = _show_new(server.get(f"{API}/deliveries", limit=50)["deliveries"], seen)
            time.sleep(2)
    except DeliveryError as error:
        fail(f"cannot show it: {error.reason}")


def _show_new(newest: list[dict[str, Any]], seen: int) -> int:
    """Shows deliveries after `seen` once a notification; the last id. -1: begin with what comes from now on."""
    from tocsin.notify.channels.desktop import show

    if seen >= 0:
        fresh = {one["key"]: one for one in newest if one["id"] > seen and one["outcome"] == "sent"}
        for one in fresh.values():
            is_urgent = one["title"].startswith(("P0", "P1"))
            show(one["title"], f"{one['receiver']}: {one['status']}", is_urgent=is_urgent)
    return max([seen, 0, *(int(one["id"]) for one in newest)])


def _shown_time(text: str) -> str:
    """A time of REST as this machine's clock shows it."""
    return datetime.fromisoformat(text).astimezone().strftime("%m-%d %H:%M:%S")


def _send(channel: str, message: str, urgent: bool, here: bool, url: str, data: str, token: str) -> None:
    if here:
        told = _send_here(channel, message, urgent)
    else:
        asked = {"receiver": channel, "message": message, "urgent": urgent}
        told = client(url, data, token, changes=True).ask("POST", f"{API}/test", json=asked).json()
    _print_receipts(told)


def _print_receipts(told: list[dict[str, Any]], is_quiet: bool = False) -> NoReturn:
    """Ends the command by whether all of them arrived."""
    for one in [] if is_quiet else told:
        _print_receipt(one)
    sys.exit(0 if told and all(one["delivery"]["outcome"] == "sent" for one in told) else 1)


def _send_here(channel: str, message: str, urgent: bool) -> list[dict[str, Any]]:
    """By this process' own settings, kept in a log of its own that ends with it."""
    import tempfile

    from tocsin.app.parts import open_deliverer
    from tocsin.app.settings import configuration
    from tocsin.cli.serve import configure_logs
    from tocsin.model.clock import utc_now
    from tocsin.model.severity import Severity
    from tocsin.notify.trial import trial
    from tocsin.storage.control import ControlStore

    configure_logs()
    with failing_clearly(), tempfile.TemporaryDirectory() as folder:
        config = configuration()
        control = ControlStore.open(f"sqlite:///{Path(folder) / 'control.sqlite'}")
        deliverer = open_deliverer(config, control)
        if channel not in deliverer.receivers.by_name:
            fail(f"cannot tell {channel!r}: there is no such receiver; use {', '.join(deliverer.receivers.by_name)}")
        severity = Severity.P0 if urgent else Severity.P4
        url = deliverer.settings.external_url
        notification = trial(channel, message, utc_now(), severity=severity, external_url=url)
        deliverer.deliver(notification, deliverer.settings.urgent_give_up_seconds)
        told = [_as_told(control, one) for one in control.deliveries.of_key(notification.key)]
        deliverer.close()
        control.close()
    return told


def _as_told(control: Any, delivery: Any) -> dict[str, Any]:
    """A delivery and its attempts as REST answers them."""
    attempts = control.deliveries.attempts(delivery.id)
    names = ("receiver", "integration", "title", "outcome", "reason", "reference", "key")
    return {
        "delivery": {name: getattr(delivery, name) for name in names},
        "attempts": [
            {"attempt": one.attempt, "outcome": one.outcome, "reason": one.reason, "seconds": one.seconds}
            for one in attempts
        ],
    }


def _print_receipt(told: dict[str, Any]) -> None:
    delivery = told["delivery"]
    typer.echo(f"{delivery['receiver']} by {delivery['integration']}: {delivery['outcome']}")
    typer.echo(f"  message    {delivery['title']}")
    typer.echo(f"  key        {delivery['key']}")
    if delivery["reference"]:
        typer.echo(f"  reference  {delivery['reference']}")
    for one in told["attempts"]:
        typer.echo(
            f"  attempt {one['attempt']}  {one['outcome']} in {one['seconds']:.3f} s: {one['reason'] or 'taken'}"
        )


def _channel_names() -> set[str]:
    import tocsin.notify.channels as folder

    return {module.name for module in pkgutil.iter_modules(folder.__path__) if not module.name.startswith("_")}
