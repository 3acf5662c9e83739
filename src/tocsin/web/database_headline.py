"""The sentence above the database: what its time goes into, since which line of code, and who waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from tocsin.query.call_places import Plan, Repeat, SlowCall
from tocsin.query.call_tenants import TenantShare
from tocsin.query.calls import Calls, Operation, OperationRow
from tocsin.query.pools import Pool
from tocsin.web import format
from tocsin.web.words import FAILING_RATIO, NOTICED_RATIO, Headline, Linker, Part, Speech, row, tenant_link

TOLD_SHARE = 0.1
"""A cause is told when it takes this part of the database's time."""

WAITED_SECONDS = 0.1
"""Waits for a connection whose p95 is longer are felt."""


@dataclass(frozen=True, slots=True)
class DatabaseFindings:
    """What the page has read."""

    now: Calls
    statements: Sequence[OperationRow] = ()
    repeats: Sequence[Repeat] = ()
    slow: Sequence[SlowCall] = ()
    pools: Sequence[Pool] = ()
    tenants: Sequence[TenantShare] = ()
    plans: dict[str, Plan] = field(default_factory=dict)


def database(say: Speech, found: DatabaseFindings) -> Headline:
    """The worst cause as the headline, the others below it."""
    if not found.now.calls and not any(pool.waits.errors for pool in found.pools):
        sub = (Part("Statements run with SQLAlchemy, psycopg or asyncpg show up here by themselves."),)
        return Headline("quiet", (Part(f"No statement was run in {say.span}."),), sub)
    causes = (_pool(found), _repeat(say, found), _slow(say, found), _failing(found), _noisy(say, found))
    told = sorted((cause for cause in causes if cause), key=lambda cause: (cause.state != "bad", -cause.weight))
    if not told:
        return Headline("ok", (Part("The database is well."),), _level(found))
    others = [inner for cause in told[1:3] for inner in (*cause.parts, Part(" "))]
    return Headline(told[0].state, told[0].parts, (*others, *_level(found)))


def statement(
    say: Speech,
    what: Operation,
    now: Calls,
    share: float,
    repeats: Sequence[Repeat],
    slow: Sequence[SlowCall],
    plan: Plan | None,
) -> Headline:
    """One statement: how much of the database's time it takes, and what is wrong with it."""
    if not now.calls:
        return Headline("quiet", (Part(f"This statement was not run in {say.span}."),))
    repeated = sum(each.seconds for each in repeats) / (now.total_seconds or 1.0)
    waited = sum(each.seconds for each in slow) / (now.total_seconds or 1.0)
    sub = [
        Part(f"{format.plural(now.calls, 'call')}, p95 {format.duration(now.p95_seconds)}"),
        Part(f"{format.share(share)} % of the time of the database"),
    ]
    if what.origin:
        sub.append(Part(f"first called at {what.origin}"))
    if repeats and repeated >= max(TOLD_SHARE, waited):
        worst = repeats[0]
        text = f"Run {round(worst.per_request)} times in each {worst.caller or 'request'}"
        at = f" at {format.code_line(worst.line)}" if worst.line else ""
        return Headline("warn", (Part(text, is_harm=True), Part(f"{at}: load them together (N+1).")), row(sub))
    if slow and waited >= TOLD_SHARE:
        return Headline("warn", (Part("It is slow", is_harm=True), Part(f":{_slowness(slow[0], plan)}.")), row(sub))
    if now.error_ratio >= NOTICED_RATIO:
        return Headline("warn", (Part(f"{format.percent(now.error_ratio)} % of its calls failed."),), row(sub))
    return Headline("ok", (Part(f"{summary(what.text)} takes {format.duration(now.mean_seconds)} a call."),), row(sub))


def statement_link(link: Linker, digest: str) -> str:
    return link(f"/database/{quote(digest, safe='')}")


def summary(text: str) -> str:
    """What a statement is about, short enough for a sentence."""
    words = text.split()
    verb = words[0].upper() if words else "?"
    marks = [word.upper() for word in words]
    for before in ("FROM", "INTO", "UPDATE"):
        if before in marks[:-1]:
            return f"{verb} … {words[marks.index(before) + 1].strip('(),;')}"
    return " ".join(words[:3]) or verb


@dataclass(frozen=True, slots=True)
class _Cause:
    """Something wrong, and how much of the database's time (0-1) it explains."""

    state: str
    weight: float
    parts: tuple[Part, ...]


def _pool(found: DatabaseFindings) -> _Cause | None:
    pool = next((pool for pool in found.pools if pool.waits.errors or pool.full_seconds), None)
    if pool is None:
        return None
    waits = (pool.waits.p95_seconds or 0.0) >= WAITED_SECONDS
    if not pool.waits.errors and not waits:
        return None
    name = f"The pool of {pool.name}"
    text = f"{name} was full for {format.duration(pool.full_seconds)}" if pool.full_seconds else f"{name} ran out"
    failed = f": {format.plural(pool.waits.errors, 'request')} got no connection" if pool.waits.errors else ""
    parts = [Part(text, is_harm=True), Part(f"{failed}.")]
    if pool.holders:
        # A request before what goes on outside of them, such as filling the database at the start.
        holder = next((each for each in pool.holders if each.route), pool.holders[0])
        who = holder.route or "Somebody"
        at = f" at {format.code_line(holder.line)}" if holder.line else ""
        parts.append(Part(f" {who} keeps a connection for {format.duration(holder.seconds)}{at}."))
    return _Cause("bad" if pool.waits.errors else "warn", 1.0, tuple(parts))


def _repeat(say: Speech, found: DatabaseFindings) -> _Cause | None:
    total = found.now.total_seconds
    if not found.repeats or not total or found.repeats[0].seconds / total < TOLD_SHARE:
        return None
    worst = found.repeats[0]
    share = worst.seconds / total
    at = f" at {format.code_line(worst.line)}" if worst.line else ""
    parts = (
        Part(f"{format.share(share)} % of database time is one statement, "),
        Part(summary(worst.text), statement_link(say.link, worst.digest), True),
        Part(f", run {round(worst.per_request)} times in each {worst.caller or 'request'}{at} (N+1)."),
    )
    return _Cause("warn", share, parts)


def _slow(say: Speech, found: DatabaseFindings) -> _Cause | None:
    total = found.now.total_seconds
    if not found.slow or not total:
        return None
    worst = found.slow[0]
    share = sum(each.seconds for each in found.slow if each.digest == worst.digest) / total
    if share < TOLD_SHARE:
        return None
    parts = (
        Part(f"{format.share(share)} % of database time is one slow statement, "),
        Part(summary(worst.text), statement_link(say.link, worst.digest), True),
        Part(f":{_slowness(worst, found.plans.get(worst.digest))}."),
    )
    return _Cause("warn", share, parts)


def _slowness(worst: SlowCall, plan: Plan | None) -> str:
    """` 162 ms in GET /report at demo/product/ledger.py:82; its plan reads all of ledger_entries`."""
    at = f" at {format.code_line(worst.line)}" if worst.line else ""
    reads = f"; its plan reads all of {format.join(plan.scans)}" if plan and plan.scans else ""
    return f" {format.duration(worst.mean_seconds)} in {worst.caller or 'the background'}{at}{reads}"


def _failing(found: DatabaseFindings) -> _Cause | None:
    if found.now.error_ratio < NOTICED_RATIO:
        return None
    worst = max(found.statements, key=lambda each: each.calls.errors, default=None)
    which = f", most of them {summary(worst.operation.text)}" if worst and worst.calls.errors else ""
    said = Part(f"{format.percent(found.now.error_ratio)} % of the statements failed{which}.")
    return _Cause("bad" if found.now.error_ratio >= FAILING_RATIO else "warn", found.now.error_ratio, (said,))


def _noisy(say: Speech, found: DatabaseFindings) -> _Cause | None:
    noisy = next((each for each in found.tenants if each.tenant and each.is_noisy), None)
    if noisy is None or len(found.tenants) < 2:
        return None
    text = (
        f" takes {format.share(noisy.share)} % of database time with "
        f"{format.share(noisy.request_share)} % of the requests."
    )
    return _Cause("warn", 0.0, (Part(noisy.tenant, tenant_link(say.link, noisy.tenant), True), Part(text)))


def _level(found: DatabaseFindings) -> tuple[Part, ...]:
    now = found.now
    said = [Part(f"{format.number(now.rate)} statements a second, p95 {format.duration(now.p95_seconds)}")]
    if found.statements:
        top = found.statements[0]
        said.append(Part(f"{format.share(top.share)} % of the time in {summary(top.operation.text)}"))
    return row(said)
