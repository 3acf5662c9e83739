"""The sentences that open the pages of logs: how many lines, what part of them errors, whose, and since when."""

from __future__ import annotations

import math

from tocsin.model.log_views import LogView
from tocsin.query.log_change import Change, change_in
from tocsin.query.log_counts import LogHistogram, LogTotals
from tocsin.query.logs import LogLine
from tocsin.web import format
from tocsin.web.words import NOTICED_RATIO, Headline, Part, Speech, row, service_link, tenant_link, trace_link

LEAST_ERRORS = 10
"""Fewer errors than this are no change worth the page's first sentence."""
MANY_TIMES = 20
"""From so few, a larger factor says nothing."""
MOST_OF = 0.5
"""Who wrote more than this part is named."""
LONGEST_QUOTE = 140


def no_logs_yet() -> Headline:
    words = "No log line has arrived yet."
    return Headline("quiet", (Part(words),), (Part("One line in your app, or the Promtail you have, and they do."),))


def logs(
    say: Speech, totals: LogTotals, before: LogTotals, counted: LogHistogram, view: LogView | None, is_narrowed: bool
) -> Headline:
    """The list: what changed, else how many lines there are and who writes most of them."""
    if not totals.lines:
        words = f"No line fits in {say.span}." if view or is_narrowed else f"Nothing was logged in {say.span}."
        return Headline("quiet", (Part(words),), _earlier(say, before))
    about = counted.counts if view is not None else counted.error_counts
    change = change_in(about[1:-1])
    if change is not None and sum(about) >= LEAST_ERRORS:
        old = sum(about[1 : change.place + 1])
        return _changed(say, totals, before, counted, view, change, old)
    noun = f"{format.plural(totals.lines, 'line')}"
    where = f" in {view.title}" if view is not None else ""
    parts = [Part(f"{noun}{where} in {say.span}")]
    if view is None or (totals.errors and view.id != "errors"):
        parts += _share(totals)
    parts += _loudest(say, totals)
    state = "warn" if totals.errors / totals.lines >= NOTICED_RATIO else "ok"
    return Headline(state, (*parts, Part(".")), _against(say, totals, before))


def _share(totals: LogTotals) -> list[Part]:
    if not totals.errors:
        return [Part(", none of them errors")]
    is_harm = totals.errors / totals.lines >= NOTICED_RATIO
    return [Part(", "), Part(f"{format.percent(totals.errors / totals.lines)} % of them errors", is_harm=is_harm)]


def _loudest(say: Speech, totals: LogTotals) -> list[Part]:
    """Who wrote most errors, or most lines where there are none."""
    if not totals.services:
        return []
    if totals.errors:
        service = totals.services[0]
        said = Part("; the errors come from " if service.errors == totals.errors else "; most errors come from ")
        return [said, Part(service.name, service_link(say.link, service.name)), *_whose(say, totals)]
    loudest = max(totals.services, key=lambda one: one.lines)
    if len(totals.services) == 1 or loudest.lines < MOST_OF * totals.lines:
        return []
    part = format.share(loudest.lines / totals.lines)
    return [Part("; "), Part(loudest.name, service_link(say.link, loudest.name)), Part(f" writes {part} % of them")]


def _whose(say: Speech, totals: LogTotals) -> list[Part]:
    named = [one for one in totals.tenants if one.name and one.errors]
    worst = max(named, key=lambda one: one.errors, default=None)
    if worst is None or worst.errors < MOST_OF * totals.errors:
        return []
    return [Part(" and are about "), Part(worst.name, tenant_link(say.link, worst.name), True)]


def _changed(
    say: Speech,
    totals: LogTotals,
    before: LogTotals,
    counted: LogHistogram,
    view: LogView | None,
    change: Change,
    old: int,
) -> Headline:
    """old: how many there were before the change."""
    at = say.clock(counted.times[change.place + 1] * 10**9)
    what = f"Lines in {view.title}" if view is not None else "Errors in the logs"
    if change.ratio == math.inf:
        how = f"began at {at}"
    elif change.ratio > MANY_TIMES and old < LEAST_ERRORS:
        how = f"went up from next to none at {at}"
    elif change.ratio > 1:
        how = f"are {format.number(change.ratio)}× as many since {at}"
    elif change.ratio == 0:
        how = f"ended at {at}"
    else:
        how = f"fell to {format.share(change.ratio)} % at {at}"
    is_worse = change.ratio > 1
    parts = [Part(f"{what} "), Part(how, is_harm=is_worse), *_loudest(say, totals), Part(".")]
    counts = [Part(f"{format.plural(totals.lines, 'line')} in {say.span}")]
    if view is None and totals.errors:
        counts.append(
            Part(f"{format.plural(totals.errors, 'error')}, {format.percent(totals.errors / totals.lines)} %")
        )
    return Headline("bad" if is_worse else "warn", tuple(parts), row([*counts, *_against(say, totals, before)]))


def _against(say: Speech, totals: LogTotals, before: LogTotals) -> tuple[Part, ...]:
    moved = format.against(float(totals.lines), float(before.lines) if before.lines else None, say.before)
    return (Part(f"lines: {moved}"),) if moved else ()


def _earlier(say: Speech, before: LogTotals) -> tuple[Part, ...]:
    if not before.lines:
        return ()
    return (Part(f"{format.plural(before.lines, 'line')} in {say.before}."),)


def line(say: Speech, found: LogLine) -> Headline:
    """One line: what it says, from whom, when."""
    facts = [Part(found.service, service_link(say.link, found.service))]
    if found.tenant:
        facts.append(Part(found.tenant, tenant_link(say.link, found.tenant)))
    if found.logger:
        facts.append(Part(found.logger))
    if found.release:
        facts.append(Part(f"release {found.release}"))
    if found.environment:
        facts.append(Part(found.environment))
    facts.append(Part(format.timestamp(found.time_ns, say.zone)))
    if found.trace_id:
        facts.append(Part("its trace", trace_link(say.link, found.trace_id)))
    state = "bad" if found.is_error else "warn" if found.level == "warn" else "ok"
    return Headline(state, (Part(quoted(found)),), row(facts))


def quoted(found: LogLine) -> str:
    """The beginning of the message."""
    words = found.message.strip().splitlines() or [found.event_name or "a line without a message"]
    return words[0] if len(words[0]) <= LONGEST_QUOTE else f"{words[0][:LONGEST_QUOTE].rstrip()}…"
