"""`tocsin alerts`: what fires, what people do about it, and hold it back; see also alert_review.py and silences.py."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from tocsin.cli.alert_review import history, review, tune
from tocsin.cli.client import DATA, URL, Client, Data, Json, Token, Url, client
from tocsin.cli.fail import fail
from tocsin.cli.notify import walk
from tocsin.cli.silences import Duration, silence_app

API = "/api/v1/alerts"
alerts_app = typer.Typer(help="What fires, who is told, and what people did about it.", no_args_is_help=True)
alerts_app.add_typer(silence_app, name="silence")

Fingerprint = Annotated[str, typer.Argument(help="The alert: its id, the beginning of that, or its name.")]
NoteText = Annotated[str, typer.Option("--note", help="Why, for those who read the history.")]


@alerts_app.command("list")
def list_(
    state: Annotated[str, typer.Option(help="firing, active, suppressed, resolved or all.")] = "firing",
    tenant: Annotated[str, typer.Option(help="Only this tenant's.")] = "",
    severity: Annotated[str, typer.Option(help="At least this: P0 to P4, or such as critical.")] = "P4",
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """What fires, the worst first. Exit code 0 when nothing does, 1 when something does."""
    found = client(url, data, token).get(API, state=state, tenant=tenant, severity=severity)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _print_alerts(found)
    sys.exit(1 if any(alert["state"] == "active" for alert in found["alerts"]) else 0)


@alerts_app.command("show")
def show(
    fingerprint: Fingerprint,
    at: Annotated[str, typer.Option(help="A past instant, such as 2026-03-02T03:12: why who was told then.")] = "",
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """One alert: why who is told, or why nobody is, and its history."""
    server = client(url, data, token)
    found = server.get(f"{API}/{_whole(server, fingerprint)}", **({"at": at} if at else {}))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    alert = found["alert"]
    labels = " ".join(f"{name}={value}" for name, value in alert["labels"].items())
    since = instant(alert["starts_at"])
    typer.echo(f"{alert['severity']} {alert['name']} · {alert['state']} since {since}\n{labels}")
    typer.echo(found["sentence"])
    if found["then"]:
        typer.echo(f"At {found['then']['at'][:19]} UTC: {found['then']['sentence']}")
        for way in [] if found["then"]["is_by_routes_of_now"] else found["then"]["ways"]:
            where = f", line {way['line']} of then" if way["line"] else ""
            typer.echo(f"  to {way['receiver']} by {way['route']}{where}")
    for change in reversed(found["history"]):
        who = f" by {change['actor']}" if change["actor"] else ""
        why = change["detail"].get("reason") or change["detail"].get("note") or ""
        typer.echo(f"  {change['at'][:19]}  {change['change']}{who}  {why}".rstrip())


@alerts_app.command("ack")
def ack(fingerprint: Fingerprint, note: NoteText = "", url: Url = URL, data: Data = DATA, token: Token = "") -> None:
    """Acknowledge an alert: it is not repeated any more; what is new in its group is told."""
    _act(client(url, data, token, changes=True), fingerprint, "ack", note=note)


@alerts_app.command("release")
def release(
    fingerprint: Fingerprint, note: NoteText = "", url: Url = URL, data: Data = DATA, token: Token = ""
) -> None:
    """Take back an acknowledgement: the alert is repeated again while it fires."""
    _act(client(url, data, token, changes=True), fingerprint, "release", note=note)


@alerts_app.command("assign")
def assign(
    fingerprint: Fingerprint,
    to: Annotated[str, typer.Option("--to", help="Who takes care of it.")],
    note: NoteText = "",
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Say who takes care of an alert."""
    _act(client(url, data, token, changes=True), fingerprint, "assign", to=to, note=note)


@alerts_app.command("snooze")
def snooze(
    fingerprint: Fingerprint,
    duration: Duration = "1h",
    note: NoteText = "",
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Nobody is told of one alert for a time."""
    _act(client(url, data, token, changes=True), fingerprint, "snooze", duration=duration, note=note)


@alerts_app.command("resolve")
def resolve(
    fingerprint: Fingerprint, note: NoteText = "", url: Url = URL, data: Data = DATA, token: Token = ""
) -> None:
    """End an alert by hand, until it fires anew."""
    _act(client(url, data, token, changes=True), fingerprint, "resolve", note=note)


@alerts_app.command("declare")
def declare(
    fingerprint: Fingerprint, note: NoteText = "", url: Url = URL, data: Data = DATA, token: Token = ""
) -> None:
    """Declare an incident; where Slack is told by a bot's token, a channel is made for it."""
    _act(client(url, data, token, changes=True), fingerprint, "declare", note=note)


@alerts_app.command("false-positive")
def false_positive(
    fingerprint: Fingerprint, note: NoteText = "", url: Url = URL, data: Data = DATA, token: Token = ""
) -> None:
    """Say that there was nothing to do; it counts in the rate of false alarms of the rule."""
    _act(client(url, data, token, changes=True), fingerprint, "false-positive", note=note)


@alerts_app.command("suppress")
def suppress(
    duration: Duration,
    maintenance_mode: Annotated[
        bool, typer.Option("--maintenance-mode", help="Hold back everything, or what --matcher names.")
    ] = False,
    matcher: Annotated[
        list[str] | None, typer.Option("--matcher", help="Such as tenant=acme; may be repeated.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="For those who look what was held back.")] = "",
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Tell nobody for a time; it ends by itself or with `enable`. Without a matcher it takes --maintenance-mode."""
    if not maintenance_mode and not matcher:
        fail("cannot hold back every alert without --maintenance-mode; add it, or name some with --matcher")
    asked = {"duration": duration, "reason": reason, "matchers": matcher or []}
    begun = client(url, data, token, changes=True).ask("POST", f"{API}/maintenance", json=asked).json()
    what = ", ".join(begun["matchers"]) or "every alert"
    typer.echo(
        json.dumps(begun, indent=2) if as_json else f"nobody is told of {what} until {instant(begun['ends_at'])}"
    )


@alerts_app.command("enable")
def enable(as_json: Json = False, url: Url = URL, data: Data = DATA, token: Token = "") -> None:
    """End maintenance now, and show what it held back."""
    ended = client(url, data, token, changes=True).ask("DELETE", f"{API}/maintenance").json()["ended"]
    if as_json:
        typer.echo(json.dumps(ended, indent=2))
        return
    if not ended:
        typer.echo("there was no maintenance")
    for one in ended:
        held = one["held_back"]
        typer.echo(f"maintenance of {one['created_by']} ended; it held back {len(held)} alerts")
        for change in held[:50]:
            typer.echo(f"  {change['at'][:19]}  {change['severity']} {change['name']}")


@alerts_app.command("storm")
def storm(as_json: Json = False, url: Url = URL, data: Data = DATA, token: Token = "") -> None:
    """Is there a storm, and what is its likely root? Exit code 1 when a receiver gets digests."""
    found = client(url, data, token).get(f"{API}/storm")
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        for one in found["storms"]:
            typer.echo(f"{one['receiver']}: {one['notifications']} notifications wait for a digest")
        if not found["storms"]:
            typer.echo("no storm")
        for cluster in sorted(found["clusters"], key=lambda one: -int(one["alerts"]))[:5]:
            tenants = ", ".join(list(cluster["tenants"])[:5])
            count = f"{cluster['alerts']} alert{'s' if cluster['alerts'] != 1 else ''}"
            typer.echo(f"{count} around {cluster['root']}{f' ({tenants})' if tenants else ''}")
            if cluster["cause"]:
                typer.echo(f"  {cluster['cause']}")
        typer.echo(f"{found['compression']:.0%} of the alerts need no look of their own")
    sys.exit(1 if found["storms"] else 0)


alerts_app.command("review")(review)
alerts_app.command("tune")(tune)


@alerts_app.command("test")
def prove_path(as_json: Json = False, url: Url = URL, data: Data = DATA, token: Token = "") -> None:
    """Send a synthetic alert from the SDK to the receipt and print each hop with its time; exit code 1 when lost."""
    walk(client(url, data, token, changes=True), as_json)


alerts_app.command("history")(history)


def _act(server: Client, fingerprint: str, action: str, **said: str) -> None:
    alert = server.ask("POST", f"{API}/{_whole(server, fingerprint)}/{action}", json=said).json()
    said = {key: instant(text) if key.endswith(("_at", "_until")) else text for key, text in alert["handling"].items()}
    handled = ", ".join(f"{key.replace('_', ' ')} {text}" for key, text in said.items())
    typer.echo(f"{alert['name']}: {handled or 'nobody has it'}")


def _whole(server: Client, said: str) -> str:
    """The fingerprint that begins so, of what fires, or of the alert of that name; else what was said."""
    if re.fullmatch("[0-9a-f]{16}", said):
        return said
    firing = server.get(API)["alerts"]
    found = [one for one in firing if one["fingerprint"].startswith(said)]
    found = found or [one for one in firing if one["name"].lower() == said.lower()]
    if len(found) > 1:
        shown = "".join(f"\n  {one['fingerprint']}  {one['name']}  {_about(one)}" for one in found[:10])
        fail(f"cannot tell which alert {said!r} is: {len(found)} alerts fit; write the id of one:{shown}")
    return str(found[0]["fingerprint"]) if found else said


def instant(iso: str) -> str:
    """2026-03-02 03:12:07 UTC."""
    return f"{iso[:10]} {iso[11:19]} UTC"


def _about(alert: Mapping[str, Any]) -> str:
    labels = alert["labels"].items()
    return " ".join(f"{key}={text}" for key, text in labels if key not in ("alertname", "severity"))


def _print_alerts(found: dict[str, Any]) -> None:
    by_key = {alert["fingerprint"]: alert for alert in found["alerts"]}
    whole = {title: Column(title, no_wrap=True) for title in ("", "since", "id")}
    columns = (whole[""], "Alert", "state", whole["since"], "tenant", "handled", whole["id"])
    table = Table(*columns, box=None, pad_edge=False)
    grouped = [key for cluster in found["clusters"] for key in cluster["fingerprints"]]
    for key in [*(key for key in grouped if key in by_key), *(key for key in by_key if key not in grouped)]:
        alert = by_key[key]
        handled = alert["handling"].get("acknowledged_by") or alert["handling"].get("assigned_to", "")
        since = instant(alert["starts_at"])[5:16]
        table.add_row(alert["severity"], alert["name"], alert["state"], since, alert["tenant"], handled, key)
    if found["alerts"]:
        Console(highlight=False).print(table)
    else:
        typer.echo("nothing fires")
    for cluster in found["clusters"]:
        if cluster["cause"]:
            typer.echo(cluster["cause"])
