"""The sentences about critical operations: which one fails, how often, for whom and why."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from tocsin.model.thresholds import BELOW
from tocsin.query.operations import OperationRow, Tally, profile_of
from tocsin.web import format
from tocsin.web.words import Headline, Linker, Part, Speech, listed, tenant_link

STATES = {"bad": "bad", "warn": "warn", "ok": "ok", None: "quiet"}
SLOWER = 1.5


def operation_link(link: Linker, operation: str) -> str:
    return link(f"/operations/{quote(operation, safe='')}")


def listing(say: Speech, rows: Sequence[OperationRow]) -> Headline:
    """'login fails for acme: 97.5 % succeed, 10 ReadTimeout; the other 3 operations are well.'"""
    ran = [row for row in rows if row.now.runs]
    if not ran:
        sub = (
            Part("Sign-in, users, organisations, flags and admin are known by their routes; declare your own below."),
        )
        return Headline("quiet", (Part(f"No critical operation ran in {say.span}."),), sub)
    harmed = [row for row in ran if row.tone in ("bad", "warn")]
    if harmed:
        worst = harmed[0]
        rest = len(ran) - len(harmed)
        if len(harmed) > 1:
            others = format.join([row.operation for row in harmed[1:]], 2)
            tail = f"; also below normal: {others}."
        else:
            tail = f"; the other {rest} are well." if rest > 1 else "; the other one is well." if rest else "."
        return Headline(STATES[worst.tone], (*_failing(say, worst), Part(tail)))
    one_tenant = next((row for row in ran if row.hurt), None)
    if one_tenant is not None:
        tenant = one_tenant.hurt[0]
        ratio = one_tenant.tenants[tenant].success_ratio
        parts = (
            Part(one_tenant.operation, operation_link(say.link, one_tenant.operation), is_harm=True),
            Part(" succeeds for the platform, and for "),
            Part(tenant, tenant_link(say.link, tenant)),
            Part(f" in {format.percent(ratio)} % only."),
        )
        return Headline("warn", parts)
    runs = sum(row.now.runs for row in ran)
    text = f"{format.all_word(len(ran))} operations succeed." if len(ran) > 1 else f"{ran[0].operation} succeeds."
    return Headline("ok", (Part(text),), (Part(f"{format.plural(runs, 'run')} in {say.span}."),))


def one(say: Speech, row: OperationRow | None, operation: str) -> Headline:
    if row is None or not row.now.runs:
        return Headline("quiet", (Part(f"{operation} did not run in {say.span}."),))
    sub = (Part(_against_last_week(row)), Part(" · "), Part(_bands(operation)))
    if row.tone in ("bad", "warn"):
        return Headline(STATES[row.tone], (*_failing(say, row), Part(".")), sub)
    slower = _slower(row.now, row.week_before)
    if slower:
        return Headline("warn", (Part(f"{operation} succeeds and is slower than a week ago: {slower}."),), sub)
    if row.now.success_ratio is None:
        return Headline("quiet", (Part(f"Every run of {operation} was rejected in {say.span}."),), sub)
    return Headline("ok", (Part(f"{operation} succeeds in {format.percent(row.now.success_ratio)} %."),), sub)


def _failing(say: Speech, row: OperationRow) -> tuple[Part, ...]:
    parts = [Part(row.operation, operation_link(say.link, row.operation), is_harm=True), Part(" fails")]
    named = [name for name in row.tenants if name]
    if row.hurt and len(row.hurt) < len(named):
        links = [Part(name, tenant_link(say.link, name)) for name in row.hurt[:3]]
        more = [Part(f"{len(row.hurt) - 3} more")] if len(row.hurt) > 3 else []
        parts += [Part(" for "), *listed([*links, *more])]
    elif row.hurt and len(named) > 1:
        parts.append(Part(f" for all {format.count_word(len(named))} tenants"))
    reason = ""
    if row.now.top_reasons:
        name, number = row.now.top_reasons[0]
        reason = f", {number:,} × {name}"
    return (*parts, Part(f": {format.percent(row.now.success_ratio)} % succeed{reason}"))


def _against_last_week(row: OperationRow) -> str:
    before = row.week_before.success_ratio
    if before is None:
        return "nothing a week ago to compare with"
    p95 = f", p95 {format.duration(row.now.p95_seconds)} against {format.duration(row.week_before.p95_seconds)}"
    return f"a week ago {format.percent(before)} %{p95}"


def _bands(operation: str) -> str:
    close, harm = BELOW[profile_of(operation)]
    return f"normal from {format.percent(close)} %, harm below {format.percent(harm)} %"


def _slower(now: Tally, before: Tally) -> str:
    mine, theirs = now.p95_seconds, before.p95_seconds
    if mine is None or theirs is None or mine < theirs * SLOWER:
        return ""
    return f"p95 {format.duration(mine)} against {format.duration(theirs)}"
