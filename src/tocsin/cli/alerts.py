"""`tocsin alerts`: what fires, acknowledge it, hold it back, and look back at what was noise."""

from __future__ import annotations

import getpass
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tocsin.cli.client import DATA, URL, Client, Data, Json, Token, Url, client
from tocsin.cli.fail import fail
from tocsin.cli.notify import walk

API = "/api/v1/alerts"
V2 = "/alertmanager/api/v2"
TRIED = {"fires": "fires", "at night": "night_pages", "real": "real", "false": "noise"}
alerts_app = typer.Typer(help="What fires, who is told, and what people did about it.", no_args_is_help=True)
silence_app = typer.Typer(help="Silences: alerts that nobody is told of for a time.", no_args_is_help=True)
alerts_app.add_typer(silence_app, name="silence")

Fingerprint = Annotated[str, typer.Argument(help="The alert, as the list shows it; its beginning suffices.")]
NoteText = Annotated[str, typer.Option("--note", help="Why, for those who read the history.")]
Last = Annotated[str, typer.Option("--last", help="How far to look back, such as 24h.")]
LastDay = Annotated[bool, typer.Option("--last-24h", help="The same as --last 24h.")]
LastHour = Annotated[bool, typer.Option("--last-hour", help="The same as --last 1h.")]
LastWeek = Annotated[bool, typer.Option("--last-7d", help="The same as --last 7d.")]
Duration = Annotated[str, typer.Option("--duration", help="How long, such as 2h or 1h30m.")]


@alerts_app.command("list")
def list_(
    state: Annotated[str, typer.Option(help="firing, active, suppressed, resolved or all.")] = "firing",
    tenant: Annotated[str, typer.Option(help="Only this tenant's.")] = "",
    severity: Annotated[str, typer.Option(help="At least this: P0 to P4.")] = "P4",
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
    typer.echo(f"{alert['severity']} {alert['name']} · {alert['state']} since {alert['starts_at']}\n{labels}")
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
        json.dumps(begun, indent=2) if as_json else f"nobody is told of {what} until {begun['ends_at'][:19]} UTC"
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
        for cluster in found["clusters"][:5]:
            tenants = ", ".join(list(cluster["tenants"])[:5])
            typer.echo(f"{cluster['alerts']} alerts around {cluster['root']}{f' ({tenants})' if tenants else ''}")
            if cluster["cause"]:
                typer.echo(f"  {cluster['cause']}")
        typer.echo(f"{found['compression']:.0%} of the alerts need no look of their own")
    sys.exit(1 if found["storms"] else 0)


@alerts_app.command("review")
def review(
    last: Last = "24h",
    last_24h: LastDay = False,
    last_hour: LastHour = False,
    last_7d: LastWeek = False,
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Which alerts are noise: what made people act and how soon, false alarms, nights, flapping, and what to do."""
    found = client(url, data, token).get(f"{API}/review", last=_last(last, last_24h, last_hour, last_7d))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    columns = ("Alert", "fired", "told", "acted", "false", "until taken", "late", "at night", "flaps", "what to do")
    table = Table(*columns, box=None, pad_edge=False)
    for row in found["names"]:
        ratios = [_share(row[key]) for key in ("actionable_ratio", "false_positive_ratio")]
        waited = row["median_acknowledge_seconds"]
        counts = [str(row[key]) for key in ("late", "at_night", "flaps")]
        told = [str(row["fired"]), str(row["notified"]), *ratios, "–" if waited is None else f"{waited:.0f} s", *counts]
        table.add_row(row["name"], *told, row["advice"])
    Console(highlight=False).print(table)
    critical = found["critical"]
    if critical["fired"]:
        part = f"{_share(critical['false_ratio'])} ({critical['false']} of {critical['fired']})"
        typer.echo(f"of critical alerts {part} were called false; the aim is below 2%")
    for pair in found["together"][:10]:
        typer.echo(f"{' and '.join(pair['names'])} began together {pair['times']} times")


@alerts_app.command("tune")
def tune(
    since: Annotated[str, typer.Option(help="How far back, such as 7d.")] = "7d",
    rule: Annotated[str, typer.Option(help="Only the rule of this name.")] = "",
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Changes of rules that would have rung less and lost nothing real, tried over history, as diffs of their YAML."""
    found = client(url, data, token).ask("POST", "/api/v1/rules/tune", params={"since": since, "rule": rule}).json()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for one in found["proposals"]:
        now, then = one["now"], one["proposed"]
        typer.echo(f"# {one['rule']} ({one['file']}): {one['change']}")
        sums = [f"{word} {now[key]} → {then[key]}" for word, key in TRIED.items()]
        typer.echo(f"# {', '.join(sums)}")
        typer.echo(one["diff"])
    for name, why in found["failed"].items():
        typer.echo(f"cannot replay {name}: {why}", err=True)
    if not found["proposals"]:
        typer.echo(f"nothing to change: {len(found['looked_at'])} rules were tried over the last {since}")


@alerts_app.command("test")
def prove_path(as_json: Json = False, url: Url = URL, data: Data = DATA, token: Token = "") -> None:
    """Send a synthetic alert from the SDK to the receipt and print each hop with its time; exit code 1 when lost."""
    walk(client(url, data, token, changes=True), as_json)


@alerts_app.command("history")
def history(
    last: Last = "24h",
    last_24h: LastDay = False,
    last_hour: LastHour = False,
    last_7d: LastWeek = False,
    name: Annotated[str, typer.Option(help="Only alerts of this name.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many changes.")] = 200,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Every change of every alert, the newest first."""
    asked: dict[str, Any] = {"last": _last(last, last_24h, last_hour, last_7d), "name": name, "limit": limit}
    asked["format"] = "csv" if as_csv else "json"
    answer = client(url, data, token).ask("GET", "/api/v1/monitoring/alerts/history", params=asked)
    if as_csv or as_json:
        typer.echo(answer.text if as_csv else json.dumps(answer.json(), indent=2), nl=not as_csv)
        return
    for change in answer.json()["changes"]:
        where = f" [{change['tenant']}]" if change["tenant"] else ""
        who = f" by {change['actor']}" if change["actor"] else ""
        why = change["detail"].get("reason") or change["detail"].get("note") or ""
        what = f"{change['severity']} {change['name']}{where}  {change['change']}{who}"
        typer.echo(f"{change['at'][:19]}  {what}  {why}".rstrip())


@silence_app.command("list")
def list_silences(
    expired: Annotated[bool, typer.Option("--expired", help="Those that are over, too.")] = False,
    as_json: Json = False,
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """The silences in force and to come."""
    found = [
        one for one in client(url, data, token).get(f"{V2}/silences") if expired or one["status"]["state"] != "expired"
    ]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for one in found:
        said = " ".join(_matcher_text(each) for each in one["matchers"])
        typer.echo(f"{one['id']}  {one['status']['state']} until {one['endsAt'][:19]}  {said}  {one['comment']}")
    if not found:
        typer.echo("no silences")


@silence_app.command("add")
def add_silence(
    matchers: Annotated[list[str], typer.Argument(help='Such as alertname=Down or tenant=~"a|b".')],
    duration: Duration = "1h",
    comment: Annotated[str, typer.Option("--comment", "-c", help="Why.")] = "",
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Silence alerts that match all of these; prints the silence's id."""
    now = datetime.now(UTC)
    body = {
        "matchers": [_matcher(text) for text in matchers],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(seconds=_seconds(duration))).isoformat(),
        "createdBy": getpass.getuser(),
        "comment": comment,
    }
    typer.echo(client(url, data, token, changes=True).ask("POST", f"{V2}/silences", json=body).json()["silenceID"])


@silence_app.command("expire")
def expire_silence(
    ids: Annotated[list[str], typer.Argument(help="Silences to end now.")],
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """End silences now."""
    server = client(url, data, token, changes=True)
    for id in ids:
        server.ask("DELETE", f"{V2}/silence/{id}")


def _share(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.0%}"


def _act(server: Client, fingerprint: str, action: str, **said: str) -> None:
    alert = server.ask("POST", f"{API}/{_whole(server, fingerprint)}/{action}", json=said).json()
    handled = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in alert["handling"].items())
    typer.echo(f"{alert['name']}: {handled}")


def _whole(server: Client, beginning: str) -> str:
    """The fingerprint that begins so; what is not found is asked for as it stands."""
    if len(beginning) == 16:
        return beginning
    found = [one["fingerprint"] for one in server.get(API)["alerts"] if one["fingerprint"].startswith(beginning)]
    if len(found) > 1:
        fail(f"cannot tell which alert {beginning!r} is: {len(found)} begin so; write more of it")
    return found[0] if found else beginning


def _last(last: str, last_24h: bool, last_hour: bool, last_7d: bool) -> str:
    return "24h" if last_24h else "1h" if last_hour else "7d" if last_7d else last


def _print_alerts(found: dict[str, Any]) -> None:
    by_key = {alert["fingerprint"]: alert for alert in found["alerts"]}
    table = Table("", "Alert", "state", "since", "tenant", "handled", "id", box=None, pad_edge=False)
    grouped = [key for cluster in found["clusters"] for key in cluster["fingerprints"]]
    for key in [*(key for key in grouped if key in by_key), *(key for key in by_key if key not in grouped)]:
        alert = by_key[key]
        handled = alert["handling"].get("acknowledged_by") or alert["handling"].get("assigned_to", "")
        row = (alert["severity"], alert["name"], alert["state"], alert["starts_at"][:19], alert["tenant"], handled, key)
        table.add_row(*row)
    if found["alerts"]:
        Console(highlight=False).print(table)
    else:
        typer.echo("nothing fires")
    for cluster in found["clusters"]:
        if cluster["cause"]:
            typer.echo(cluster["cause"])


def _matcher(text: str) -> dict[str, Any]:
    from tocsin.alerts.matcher_text import MatcherError, plain_matcher, read_matchers

    try:
        return plain_matcher(read_matchers(text)[0]).plain()
    except (MatcherError, IndexError) as error:
        fail(str(error) if isinstance(error, MatcherError) else "cannot silence nothing; give such as alertname=Down")


def _matcher_text(plain: dict[str, Any]) -> str:
    sign = ("=" if plain.get("isEqual", True) else "!") + (
        "~" if plain["isRegex"] else "" if plain.get("isEqual", True) else "="
    )
    return f'{plain["name"]}{sign}"{plain["value"]}"'


def _seconds(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
    parts = re.findall(r"(\d+)([smhdw])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        fail(f"cannot use duration {text!r}: it is none; write it as 2h or 1h30m")
    return float(sum(int(number) * units[unit] for number, unit in parts))
