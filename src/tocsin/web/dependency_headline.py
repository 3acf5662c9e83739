"""The sentence above the dependencies: which one fails or is slow, and whose endpoints wait for it."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.query.caches import CacheRow
from tocsin.query.calls import OperationRow
from tocsin.query.dependencies import Dependency
from tocsin.web import format
from tocsin.web.database_headline import statement_link, summary
from tocsin.web.words import Headline, Linker, Part, Speech, endpoint_link, listed, row

HEALTH_TONES = {"down": "p1", "failing": "p1", "slow": "p2", "expiring": "p2", "well": "ok"}


def dependencies(
    say: Speech,
    found: Sequence[Dependency],
    caches: Sequence[CacheRow],
    grown: tuple[OperationRow, float] | None = None,
) -> Headline:
    """The worst dependency, then a cache that lost what it had. grown: the statement that is run more often since."""
    if not found and not caches:
        sub = (Part("Requests by httpx, requests, urllib3 and aiohttp, and Redis' look-ups, show up here."),)
        return Headline("quiet", (Part(f"No call to another service in {say.span}."),), sub)
    sick = [each for each in found if each.health in ("down", "failing")]
    cold = [each for each in caches if each.is_cold]
    slow = [each for each in found if each.health in ("slow", "expiring")]
    if sick:
        return Headline("bad", _fails(say, sick[0], len(sick) - 1), (*_cause(sick[0]), *_cold_also(cold)))
    if cold:
        return Headline("warn", _cold(cold[0]), (*_instead(say, grown), *_level(found, caches)))
    if slow:
        return Headline("warn", _slow(say, slow[0]), _cause(slow[0]))
    count = len(found)
    if not count:
        return Headline("ok", (Part("The caches are well."),), _level(found, caches))
    text = "The dependency answers." if count == 1 else f"{format.all_word(count)} dependencies answer."
    return Headline("ok", (Part(text),), _level(found, caches))


def traces_link(link: Linker, each: Dependency, **more: object) -> str:
    """The traces with a call to it."""
    return link("/traces", attribute=f"server.address:{each.host.rpartition(':')[0] or each.host}", **more)


def _fails(say: Speech, each: Dependency, others: int) -> tuple[Part, ...]:
    failing = [caller for caller in each.callers if " /" in caller[1]]
    failed = f" fails {format.percent(each.calls.error_ratio)} % of its calls"
    verb = " does not answer" if each.health == "down" else failed
    rest = f", and {format.plural(others, 'more dependency', 'more dependencies')} with failures" if others else ""
    name = Part(each.host, traces_link(say.link, each, status="error"), True)
    if not failing:
        return (name, Part(f"{verb}{rest}."))
    links = [Part(caller, endpoint_link(say.link, service, *caller.split(" ", 1))) for service, caller in failing[:3]]
    depends = "depends" if len(links) == 1 else "depend"
    return (name, Part(f"{verb}{rest}: "), *listed(links), Part(f" {depends} on it."))


def _cause(each: Dependency) -> tuple[Part, ...]:
    said = [Part(f"{format.number(each.calls.errors)} of {format.plural(each.calls.calls, 'call')} failed")]
    if each.errors:
        said.append(Part(f"mostly {each.errors[0][0].rpartition('.')[2]}"))
    if each.calls.timeouts:
        said.append(Part(format.plural(each.calls.timeouts, "timeout")))
    origin = next((route.origin for route in each.routes if route.calls.errors and route.origin), "")
    if origin:
        said.append(Part(f"called at {format.code_line(origin)}"))
    said.append(Part(f"p95 {format.duration(each.calls.p95_seconds)}"))
    return row(said)


def _slow(say: Speech, each: Dependency) -> tuple[Part, ...]:
    name = Part(each.host, traces_link(say.link, each, order="slowest"), True)
    if each.health == "expiring":
        days = max(0, round(each.tls_days or 0))
        return (Part("The certificate of "), name, Part(f" ends in {format.plural(days, 'day')}."))
    ratio = (each.calls.p95_seconds or 0.0) / (each.before.p95_seconds or 1.0)
    who = f", which {each.callers[0][1]} waits for" if each.callers and each.callers[0][1] else ""
    return (name, Part(f" answers slower{who}: p95 {format.number(ratio)}× that of {say.before}."))


def _cold(each: CacheRow) -> tuple[Part, ...]:
    now, before = format.share(each.hit_ratio), format.share(each.before)
    return (
        Part(f"The cache {each.cache}", is_harm=True),
        Part(f" finds {now} % of what it is asked for, {before} % before."),
    )


def _instead(say: Speech, grown: tuple[OperationRow, float] | None) -> tuple[Part, ...]:
    """What the database is asked instead, from where."""
    if grown is None:
        return ()
    row, times = grown
    who = f"{row.callers[0]} runs" if row.callers else "The app runs"
    at = f" at {format.code_line(row.operation.origin)}" if row.operation.origin else ""
    link = statement_link(say.link, row.operation.digest)
    return (
        Part(f"{who} "),
        Part(summary(row.operation.text), link),
        Part(f" {format.number(times)}× as often{at}. "),
    )


def _cold_also(cold: Sequence[CacheRow]) -> tuple[Part, ...]:
    return (Part(". "), *_cold(cold[0])) if cold else ()


def _level(found: Sequence[Dependency], caches: Sequence[CacheRow]) -> tuple[Part, ...]:
    said = []
    if found:
        slowest = max(found, key=lambda each: each.calls.p95_seconds or 0.0)
        said.append(Part(f"Slowest: {slowest.host}, p95 {format.duration(slowest.calls.p95_seconds)}"))
    known = [each for each in caches if each.hit_ratio is not None]
    if known:
        worst = min(known, key=lambda each: each.hit_ratio or 0.0)
        said.append(Part(f"cache {worst.cache} finds {format.share(worst.hit_ratio)} %"))
    return row(said)
