"""`tocsin rules`: check and test rule files here; list, export and back-test them at a server."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tocsin.cli.client import DATA, URL, Data, Json, Token, Url, client
from tocsin.cli.fail import fail

rules_app = typer.Typer(help="Alerting and recording rules in Prometheus' format.", no_args_is_help=True)
Files = Annotated[list[Path], typer.Argument(help="Rule files.")]
Profile = Annotated[str, typer.Option(help="Whose thresholds fill ${…} in shipped files.")]


@rules_app.command("check")
def check(files: Files, profile: Profile = "slo") -> None:
    """Read rule files and print every fault with its line; exit code 2 when there is one."""
    from tocsin.detect.rules.rule_text import read_rules
    from tocsin.model.yaml_text import TextError

    has_failed = False
    for file in files:
        try:
            found = read_rules(_filled(_text(file), profile), file.name)
            typer.echo(f"{file}: {len(found.rules)} rules in {len(found.groups)} groups")
        except TextError as error:
            has_failed = True
            for problem in error.problems:
                typer.echo(f"{file}: {problem}", err=True)
    sys.exit(2 if has_failed else 0)


@rules_app.command("test")
def run(files: Files, profile: Profile = "slo") -> None:
    """Run unit tests in promtool's format; exit code 1 when one fails, 2 when a file cannot be read."""
    from tocsin.detect.rules.unit_test import TextError, UnitTestError, loader_beside, run_tests

    failed = 0
    for file in files:
        try:
            found = run_tests(_text(file), file.name, loader_beside(file, lambda text: _filled(text, profile)))
        except (TextError, UnitTestError) as error:
            fail(str(error))
        for outcome in found:
            for failure in outcome.failures:
                failed += 1
                typer.echo(f"{file}: {outcome.name}: FAILED\n  {failure}", err=True)
        typer.echo(f"{file}: {sum(1 for one in found if not one.failures)} of {len(found)} tests passed")
    sys.exit(1 if failed else 0)


@rules_app.command("list")
def list_(url: Url = URL, data: Data = DATA, token: Token = "", as_json: Json = False) -> None:
    """Every rule of a server and how it is doing."""
    answer = client(url, data, token).get("/api/v1/rules")
    if as_json:
        Console().print_json(data=answer)
        return
    columns = ("Rule", "Severity", "State", "False", "File", "Took", "Error or what it waits for")
    table = Table(*columns, box=None, pad_edge=False)
    for group in answer["groups"]:
        for rule in group["rules"]:
            said = rule["error"] or rule["waits_for"]
            took = f"{rule['seconds'] * 1000:.0f} ms"
            severity = rule["severity"] + (f" (from {rule['demoted_from']})" if rule["demoted_from"] else "")
            ratio = rule["false_positive_ratio"]
            false = "–" if ratio is None else f"{ratio:.0%} of {rule['fired']}"
            table.add_row(rule["name"], severity, rule["state"], false, group["file"], took, said)
    Console().print(table)
    for one in answer["unreadable"]:
        typer.echo(f"{one['name']}: {one['reason']}", err=True)


@rules_app.command("why")
def why(
    rule: Annotated[str, typer.Argument(help="A rule by its name, or by its key.")],
    at: Annotated[str, typer.Option(help="An instant, such as 2026-03-02T03:12; in UTC without a zone.")] = "",
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
    as_json: Json = False,
) -> None:
    """Why a rule fires or does not, now or at a past instant: value, threshold, pending, for each label set."""
    server = client(url, data, token)
    keys = _keys(server.get("/api/v1/rules"), rule)
    told = [server.get(f"/api/v1/rules/{key}", **({"at": _unix(at)} if at else {})) for key in keys]
    if as_json:
        Console().print_json(data=told)
        return
    for one in told:
        limit = "" if one["threshold"] is None else f" {one['operator']} {one['threshold']:g}"
        held = f", for {_span(one['for_seconds'])}" if one["for_seconds"] else ""
        typer.echo(f"{one['rule']['name']} at {one['at'][:19]} UTC: {one['measured']}{limit}{held}")
        if one["reason"]:
            typer.echo(f"  {one['reason']}")
        for verdict in one["verdicts"]:
            labels = " ".join(f"{name}={text}" for name, text in verdict["labels"].items() if name != "alertname")
            typer.echo(f"  {verdict['state']}: {verdict['reason']}  {labels}".rstrip())


def _keys(listed: Any, wanted: str) -> list[str]:
    found = [rule for group in listed["groups"] for rule in group["rules"] if wanted in (rule["name"], rule["key"])]
    if not found:
        fail(f"cannot find rule {wanted!r}: there is none of that name; `tocsin rules list` names them")
    return [rule["key"] for rule in found]


def _unix(text: str) -> float:
    try:
        said = datetime.fromisoformat(text)
    except ValueError:
        fail(f"cannot use instant {text!r}: it is none; write it as 2026-03-02T03:12")
    return (said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp()


@rules_app.command("export")
def export(
    file: Annotated[str, typer.Argument(help="One file by its name, as `tocsin rules list` shows it.")] = "",
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
) -> None:
    """Print rules as every Prometheus reads them."""
    parameters = {"file": file} if file else {}
    typer.echo(client(url, data, token).ask("GET", "/api/v1/rules/export", params=parameters).text, nl=False)


@rules_app.command("backtest")
def backtest(
    file: Annotated[Path, typer.Argument(help="A rule file.")],
    since: Annotated[str, typer.Option(help="How far back, such as 7d.")] = "7d",
    most_fires: Annotated[
        int | None, typer.Option(help="Exit with 1 when a rule would have fired more often; for CI.")
    ] = None,
    least_precision: Annotated[
        float | None, typer.Option(help="Exit with 1 when a rule was right less often, such as 0.8; for CI.")
    ] = None,
    profile: Profile = "slo",
    url: Url = URL,
    data: Data = DATA,
    token: Token = "",
    as_json: Json = False,
) -> None:
    """What the rules of a file would have done over a server's history: fires, pages at night, how often right."""
    server = client(url, data, token, changes=True)
    body = _filled(_text(file), profile).encode()
    answer = server.ask("POST", "/api/v1/rules/backtest", params={"since": since}, content=body).json()
    if as_json:
        Console().print_json(data=answer)
    else:
        _print(answer)
    worst = max((rule["fires"] for rule in answer["rules"]), default=0)
    has_error = any(rule["error"] for rule in answer["rules"])
    is_loud = most_fires is not None and worst > most_fires
    judged = [rule["precision"] for rule in answer["rules"] if rule["precision"] is not None]
    is_wrong = least_precision is not None and any(ratio < least_precision for ratio in judged)
    sys.exit(2 if has_error else 1 if is_loud or is_wrong else 0)


def _print(answer: Any) -> None:
    columns = ("Rule", "Severity", "Fires", "At night", "Real", "Noise", "Right", "Missed", "Firing", "Longest")
    table = Table(*columns, box=None, pad_edge=False)
    for rule in answer["rules"]:
        if rule["error"]:
            table.add_row(rule["rule"], rule["severity"], *["–"] * 6, rule["error"], "")
            continue
        right = "–" if rule["precision"] is None else f"{rule['precision']:.0%}"
        numbers = [str(rule[name]) for name in ("fires", "night_pages", "real", "noise")] + [right, str(rule["missed"])]
        spans = [_span(rule["firing_seconds"]), _span(rule["longest_seconds"])]
        table.add_row(rule["rule"], rule["severity"], *numbers, *spans)
    Console().print(table)


def _span(seconds: float) -> str:
    from tocsin.query.templates.go_format import humanize_duration

    return humanize_duration(seconds)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"cannot read '{file}': {error}; name a readable UTF-8 file")


def _filled(text: str, profile: str) -> str:
    from tocsin.model.threshold_profiles import PROFILES, UnknownFigure, with_figures

    if profile not in PROFILES:
        fail(f"cannot use profile '{profile}': there is no such; write one of {', '.join(PROFILES)}")
    try:
        return with_figures(text, profile)
    except UnknownFigure as error:
        fail(str(error.args[0]))
