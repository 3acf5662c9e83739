"""The sentence that opens a page: who is hurt, since when, where, and what to open next.

Every function is pure: figures in, `Headline` out. When all is well the sentence is short; when nothing arrived it
says so. The sentences about a single trace are in `trace_headline.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from tocsin.query.errors import ErrorGroup
from tocsin.query.red import EndpointRow, Red, ServiceRow
from tocsin.query.tenants import HarmedTenant, TenantRow
from tocsin.query.traces import TraceSummary
from tocsin.web import format
from tocsin.web.words import (
    FAILING_RATIO,
    NOTICED_RATIO,
    Headline,
    Linker,
    Part,
    Speech,
    endpoint_link,
    endpoint_name,
    listed,
    row,
    service_link,
    tenant_link,
    trace_link,
    traces_link,
)

SLOWER = 1.5
"""p95 against the time before: from here on slowness is worth the headline."""

SLOW_FLOOR_SECONDS = 0.1
"""Nobody feels a p95 below this, however much it grew."""

IDLE_NS = 3600 * 10**9
"""Silence of a service longer than this is named."""

Endpoint = tuple[str, str, str]


def overview(
    say: Speech,
    now: Red,
    before: Red,
    harmed: Sequence[HarmedTenant],
    tenants: int,
    endpoints: Sequence[EndpointRow],
    errors: Sequence[ErrorGroup],
    alerts: int = 0,
) -> Headline:
    """The platform, or what of it the reader may see. `tenants` counts those with traffic, `alerts` what fires."""
    if not now.requests:
        return no_requests(say)
    if harmed:
        return Headline("bad", _who_is_hurt(say, harmed, tenants), _next_steps(say, harmed, errors))
    by_figures = _by_figures(say, now, before, endpoints, errors)
    if by_figures is None and alerts:
        firing = Part(
            f"{format.plural(alerts, 'alert')} {'fires' if alerts == 1 else 'fire'}", say.link("/alerts"), True
        )
        return Headline("warn", (Part("Requests are well, but "), firing, Part(".")), _level(now, tenants))
    return by_figures or Headline("ok", (Part("All is well."),), _level(now, tenants))


def tenants(say: Speech, rows: Sequence[TenantRow], harmed: Sequence[HarmedTenant]) -> Headline:
    named = [each for each in rows if each.tenant]
    if not named:
        return _no_tenants(say, bool(rows))
    if harmed:
        return Headline("bad", _who_is_hurt(say, harmed, len(named)), _next_steps(say, harmed, ()))
    failing = [each for each in named if each.red.error_ratio >= FAILING_RATIO]
    if failing:
        worst = failing[0]
        text = f" has {format.percent(worst.red.error_ratio)} % failed requests in {say.span}"
        also = (
            f", {format.plural(len(failing) - 1, 'more tenant')} above {FAILING_RATIO:.0%}."
            if len(failing) > 1
            else "."
        )
        return Headline("warn", (Part(worst.tenant, tenant_link(say.link, worst.tenant), True), Part(text + also)))
    busiest = max(named, key=lambda each: each.red.requests)
    share = busiest.red.requests / max(sum(each.red.requests for each in rows), 1)
    tail = f"{busiest.tenant} is the busiest with {format.percent(round(share, 2))} % of the requests."
    if len(named) == 1:
        return Headline("ok", (Part(f"{busiest.tenant} is well."),))
    return Headline("ok", (Part(f"{format.all_word(len(named))} tenants are well."),), (Part(tail),))


def tenant(
    say: Speech,
    name: str,
    own: Red,
    platform: Red | None,
    harmed: Sequence[HarmedTenant],
    errors: Sequence[ErrorGroup],
) -> Headline:
    """One tenant; `platform` is None for a reader who may see only their own."""
    if not own.requests:
        return Headline("quiet", (Part(f"{name} sent no requests in {say.span}."),), _wider(say))
    mine = [each for each in harmed if each.tenant == name]
    if mine:
        return Headline("bad", _one_is_hurt(say, mine[0]), _next_steps(say, mine, errors, with_tenants=False))
    if own.error_ratio >= NOTICED_RATIO:
        state = "bad" if own.error_ratio >= FAILING_RATIO else "warn"
        parts = (Part(f"{format.percent(own.error_ratio)} % of the requests of {name} failed in {say.span}."),)
        return Headline(state, parts, _error_steps(say, errors))
    if platform is not None and _is_slower(own, platform):
        against = f"p95 {format.duration(own.p95_seconds)} against {format.duration(platform.p95_seconds)}"
        return Headline("warn", (Part(f"{name} waits longer than the platform: {against}."),), _level(own, None))
    return Headline("ok", (Part(f"{name} is well."),), _level(own, None))


def services(say: Speech, rows: Sequence[ServiceRow], harmed: Sequence[HarmedTenant]) -> Headline:
    active = [each for each in rows if each.red.requests]
    if not active:
        return no_requests(say)
    failing = [each for each in active if each.red.error_ratio >= NOTICED_RATIO]
    hurt = {each.worst_endpoint[0] for each in harmed if each.worst_endpoint}
    bad = [each for each in active if each.service in hurt] or failing
    if bad:
        named = [Part(each.service, service_link(say.link, each.service), True) for each in bad[:3]]
        parts = listed([*named, Part(f"{len(bad) - 3} more")] if len(bad) > 3 else named)
        verb = "fails" if len(bad) == 1 else "fail"
        if hurt:
            since = say.clock(min(each.since_ns for each in harmed))
            who = Part(f" {verb}{_for_tenants(harmed)} since {since}.")
            return Headline("bad", (*parts, who), _next_steps(say, harmed, ()))
        share = format.percent(bad[0].red.error_ratio)
        return Headline("warn", (*parts, Part(f" {verb}: {share} % of the requests.")))
    return Headline("ok", (Part(_all_answer(len(active))),), _silent(say, rows))


def service(
    say: Speech,
    name: str,
    now: Red,
    before: Red,
    harmed: Sequence[HarmedTenant],
    endpoints: Sequence[EndpointRow],
    errors: Sequence[ErrorGroup],
) -> Headline:
    if not now.requests:
        return Headline("quiet", (Part(f"{name} got no requests in {say.span}."),), _wider(say))
    mine = [each for each in harmed if each.worst_endpoint and each.worst_endpoint[0] == name]
    if mine:
        return Headline("bad", _failures(say, mine), _next_steps(say, mine, errors))
    return _by_figures(say, now, before, endpoints, errors) or Headline(
        "ok", (Part(f"{name} is well."),), _level(now, None)
    )


def endpoint(
    say: Speech,
    name: str,
    now: Red,
    before: Red,
    harmed: Sequence[HarmedTenant],
    errors: Sequence[ErrorGroup],
) -> Headline:
    """`harmed` are the tenants whose worst endpoint this is."""
    if not now.requests:
        return Headline("quiet", (Part(f"{name} got no requests in {say.span}."),), _wider(say))
    if harmed:
        since = say.clock(min(each.since_ns for each in harmed))
        parts: tuple[Part, ...] = (Part(name, is_harm=True), Part(f" fails{_for_tenants(harmed)} since {since}."))
        return Headline("bad", parts, _error_steps(say, errors))
    if now.error_ratio >= NOTICED_RATIO:
        state = "bad" if now.error_ratio >= FAILING_RATIO else "warn"
        parts = (
            Part(f"{format.percent(now.error_ratio)} % of "),
            Part(name, is_harm=True),
            Part(f" failed in {say.span}."),
        )
        return Headline(state, parts, _error_steps(say, errors))
    if _is_slower(now, before):
        return _slower(say, name, now, before)
    return Headline("ok", (Part(f"{name} is well."),), _level(now, None))


def traces(say: Speech, found: Sequence[TraceSummary], is_more: bool, has_conditions: bool) -> Headline:
    """What a search found; `is_more` when the list is cut."""
    if not found:
        text = "No trace matches." if has_conditions else f"No traces in {say.span}."
        return Headline("quiet", (Part(text),), _wider(say))
    failed = [each for each in found if each.is_error]
    count = f"{'The newest ' if is_more else ''}{format.plural(len(found), 'trace')}"
    if not failed:
        slowest = max(found, key=lambda each: each.duration_ns)
        took = format.duration(slowest.duration_ns / 1e9)
        return Headline(
            "ok",
            (Part(f"{count}, none failed."),),
            (Part(f"Slowest: {slowest.name}, {took}", trace_link(say.link, slowest.trace_id)),),
        )
    hurt = list(dict.fromkeys(each.tenant for each in failed if each.tenant))
    who = f" for {format.join(hurt)}" if hurt else ""
    verdict = "all failed" if len(failed) == len(found) else f"{format.count_word(len(failed))} failed"
    last = (Part("Open the last failing one", trace_link(say.link, failed[0].trace_id)),)
    return Headline("bad", (Part(f"{count}, "), Part(verdict, is_harm=True), Part(f"{who}.")), last)


def no_requests(say: Speech) -> Headline:
    """Data came before, but none in the chosen time."""
    return Headline("quiet", (Part(f"No requests in {say.span}."),), _wider(say))


def nothing_yet() -> Headline:
    """Nothing was ever received."""
    sub = (Part("Three lines in an app, and its requests show up here within seconds."),)
    return Headline("quiet", (Part("Nothing has arrived yet."),), sub)


def _who_is_hurt(say: Speech, harmed: Sequence[HarmedTenant], tenants: int) -> tuple[Part, ...]:
    named = [each for each in harmed if each.tenant]
    if not named:
        return _failures(say, harmed)
    if tenants <= 1:
        return _one_is_hurt(say, named[0])
    count, total = len(named), max(tenants, len(named))
    if count == total:
        opening = f"{format.all_word(total)} tenants are hurt. "
    else:
        verb = "is" if count == 1 else "are"
        opening = f"{format.sentence(format.count_word(count))} of {total} tenants {verb} hurt. "
    return (Part(opening), *_failures(say, named))


def _one_is_hurt(say: Speech, harmed: HarmedTenant) -> tuple[Part, ...]:
    since = say.clock(harmed.since_ns)
    if harmed.worst_endpoint is None:
        return (Part(f"{harmed.tenant} is hurt: requests fail since {since}."),)
    where = Part(endpoint_name(*harmed.worst_endpoint[1:]), endpoint_link(say.link, *harmed.worst_endpoint), True)
    return (Part(f"{harmed.tenant} is hurt: "), where, Part(f" fails since {since}."))


def _failures(say: Speech, harmed: Sequence[HarmedTenant]) -> tuple[Part, ...]:
    """What fails for whom since when, one clause for each of the two worst endpoints."""
    ordered = sorted(harmed, key=lambda each: (each.worst_endpoint is None, each.worst_endpoint or ("", "", "")))
    groups = [(where, list(group)) for where, group in groupby(ordered, key=lambda each: each.worst_endpoint)]
    groups.sort(key=lambda group: -sum(each.errors for each in group[1]))
    clauses = [_clause(say, where, group) for where, group in groups[:2]]
    rest = len(groups) - 2
    ending = f", and {format.plural(rest, 'more endpoint')} fail{'s' if rest == 1 else ''}." if rest > 0 else "."
    return (*clauses[0], *(part for clause in clauses[1:] for part in (Part(", "), *clause)), Part(ending))


def _clause(say: Speech, where: Endpoint | None, harmed: Sequence[HarmedTenant]) -> tuple[Part, ...]:
    since = say.clock(min(each.since_ns for each in harmed))
    ending = Part(f" fails{_for_tenants(harmed)} since {since}")
    if where is None:
        return (Part("Requests fail", is_harm=True), Part(f"{_for_tenants(harmed)} since {since}"))
    return (Part(endpoint_name(*where[1:]), endpoint_link(say.link, *where), True), ending)


def _for_tenants(harmed: Sequence[HarmedTenant]) -> str:
    names = [each.tenant for each in harmed if each.tenant]
    return f" for {format.join(names)}" if names else ""


def _next_steps(
    say: Speech, harmed: Sequence[HarmedTenant], errors: Sequence[ErrorGroup], with_tenants: bool = True
) -> tuple[Part, ...]:
    """Counts, the likely reason, and the doors to open."""
    failed, asked = sum(each.errors for each in harmed), sum(each.requests for each in harmed)
    said = [Part(f"{format.number(failed)} of {format.plural(asked, 'request')} failed in the last 2 minutes")]
    cause = _cause(harmed, errors)
    if cause:
        said.append(Part(cause.type.rpartition(".")[2]))
        said.append(Part("open a failing trace", trace_link(say.link, cause.sample_trace_id)))
    else:
        said.append(Part("open the failing traces", traces_link(say.link, status="error")))
    doors = [each.tenant for each in harmed[:3] if each.tenant] if with_tenants else []
    said.extend(Part(name, tenant_link(say.link, name)) for name in doors)
    return row(said)


def _cause(harmed: Sequence[HarmedTenant], errors: Sequence[ErrorGroup]) -> ErrorGroup | None:
    """The most frequent error among those of the tenants that are hurt."""
    names = {each.tenant for each in harmed}
    theirs = [each for each in errors if names & set(each.tenants)]
    return max(theirs, key=lambda each: each.count, default=None)


def _error_steps(say: Speech, errors: Sequence[ErrorGroup]) -> tuple[Part, ...]:
    if not errors:
        return (Part("Open the failing traces", traces_link(say.link, status="error")),)
    worst = max(errors, key=lambda each: each.count)
    kind = worst.type.rpartition(".")[2]
    return row(
        [
            Part(f"Mostly {kind}, {format.plural(worst.count, 'time')}"),
            Part("open a failing trace", trace_link(say.link, worst.sample_trace_id)),
        ]
    )


def _by_figures(
    say: Speech, now: Red, before: Red, endpoints: Sequence[EndpointRow], errors: Sequence[ErrorGroup]
) -> Headline | None:
    """What the totals alone say: failures of nobody in particular, then slowness. None when all is well."""
    if now.error_ratio >= NOTICED_RATIO:
        state = "bad" if now.error_ratio >= FAILING_RATIO else "warn"
        opening = Part(f"{format.percent(now.error_ratio)} % of the requests failed in {say.span}")
        return Headline(state, (opening, *_most_at(say.link, endpoints)), _error_steps(say, errors))
    return _slower(say, "", now, before) if _is_slower(now, before) else None


def _most_at(link: Linker, endpoints: Sequence[EndpointRow]) -> tuple[Part, ...]:
    worst = max(endpoints, key=lambda each: each.red.errors, default=None)
    if worst is None or not worst.red.errors:
        return (Part("."),)
    href = endpoint_link(link, worst.service, worst.method, worst.route)
    return (Part(", most at "), Part(endpoint_name(worst.method, worst.route), href, True), Part("."))


def _is_slower(now: Red, before: Red) -> bool:
    if now.p95_seconds is None or not before.p95_seconds:
        return False
    return now.p95_seconds >= SLOW_FLOOR_SECONDS and now.p95_seconds >= before.p95_seconds * SLOWER


def _slower(say: Speech, name: str, now: Red, before: Red) -> Headline:
    ratio = (now.p95_seconds or 0.0) / (before.p95_seconds or 1.0)
    what = f"{name} answers" if name else "Answers come"
    text = f"{what} slower: p95 {format.duration(now.p95_seconds)}, {format.number(ratio)}× that of {say.before}."
    return Headline("warn", (Part(text),), (Part("open the slowest traces", traces_link(say.link, order="slowest")),))


def _level(now: Red, tenants: int | None) -> tuple[Part, ...]:
    """The figures of a quiet time in one line."""
    from_tenants = f" from {format.plural(tenants, 'tenant')}" if tenants else ""
    failed = "none failed" if not now.errors else f"{format.percent(now.error_ratio)} % failed"
    requests, p95 = format.plural(now.requests, "request"), format.duration(now.p95_seconds)
    return (Part(f"{requests}{from_tenants}, {failed}, p95 {p95}."),)


def _no_tenants(say: Speech, has_requests: bool) -> Headline:
    if not has_requests:
        return no_requests(say)
    how = "TOCSIN_TENANT=header:X-Tenant-ID, jwt:org_id, subdomain or path:org_id"
    sub = (Part(f"Tell the app how to find the tenant: {how}."),)
    return Headline("warn", (Part("Requests arrive without a tenant."),), sub)


def _all_answer(count: int) -> str:
    return "The service is well." if count == 1 else f"{format.all_word(count)} services are well."


def _silent(say: Speech, rows: Sequence[ServiceRow]) -> tuple[Part, ...]:
    silent = [each for each in rows if say.now_ns - each.last_seen_ns > IDLE_NS]
    if not silent:
        return ()
    said = [f"{each.service} was last heard {format.ago(each.last_seen_ns, say.now_ns)}" for each in silent[:3]]
    return (Part(f"{'; '.join(said)}."),)


def _wider(say: Speech) -> tuple[Part, ...]:
    day, month = (say.here(range=name) for name in ("24h", "30d"))
    return (Part("Look at "), Part("the last 24 hours", day), Part(" or "), Part("30 days", month), Part("."))
