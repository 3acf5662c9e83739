"""The sentences that open the pages of errors: what began or came back, with which release, and whom it hits."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.model.errors import ErrorState
from tocsin.web import format
from tocsin.web.error_list import ErrorRow
from tocsin.web.words import Headline, Part, Speech, row, trace_link


def errors(say: Speech, rows: Sequence[ErrorRow]) -> Headline:
    """The list: the group that matters most, and how many are new or came back."""
    mine = [each for each in rows if each.is_open]
    if not mine:
        words = f"No exceptions in {say.span}." if not rows else "Every error is resolved or ignored."
        return Headline("ok", (Part(words),), _settled(say, rows))
    lead = mine[0]
    opening = Part(lead.name, say.link(f"/errors/{lead.fingerprint}"), True)
    is_news = lead.is_new or lead.state is ErrorState.REGRESSED
    return Headline("bad" if is_news else "warn", (opening, Part(_what(say, lead))), _counts(say, mine))


def error(say: Speech, group: ErrorRow) -> Headline:
    """One group."""
    last = (Part("open the latest trace", trace_link(say.link, group.history.latest_trace_id)),)
    where = (Part(f"In {group.history.place}"), Part(" · "), *last) if group.history.place else last
    name = Part(group.name, is_harm=group.is_open)
    decision = group.decision
    if decision is not None and not group.is_open:
        done = "is resolved" if decision.is_resolved else "is ignored"
        until = f" until {say.clock(int(decision.until.timestamp() * 1e9))}" if decision.until else ""
        more = f" until it occurs {format.number(decision.occurrences)} times more" if decision.occurrences else ""
        after = " from the next release on" if decision.releases else ""
        at = say.clock(int(decision.decided_at.timestamp() * 1e9))
        said = f" {done}{after}{until}{more}; {decision.decided_by} said so at {at}."
        return Headline("ok", (name, Part(said)), where)
    is_news = group.is_new or group.state is ErrorState.REGRESSED
    return Headline("bad" if is_news else "warn", (name, Part(_what(say, group))), where)


def _what(say: Speech, group: ErrorRow) -> str:
    history = group.history
    hits = _hits(group)
    if group.state is ErrorState.REGRESSED:
        last = history.releases[-1].name if history.releases else ""
        where = f" in release {last}" if last else ""
        return f" came back{where}, last at {say.clock(history.last_ns)}{hits}."
    if group.is_new:
        release = f" with release {history.first_release}" if history.first_release else ""
        return f" began{release} at {say.clock(history.first_ns)}{hits}."
    since = f"since {say.clock(history.first_ns)}"
    if not group.count:
        return f" did not occur in {say.span}; it is known {since}, last at {say.clock(history.last_ns)}."
    return f" occurred {format.plural(group.count, 'time')} in {say.span}, known {since}{hits}."


def _hits(group: ErrorRow) -> str:
    whom = [name for name in group.tenants if name]
    hits = f" and hits {format.join(whom)}" if whom else ""
    if not group.routes:
        return hits
    more = len(group.routes) - 1
    return f"{hits} on {group.routes[0]}" + (f" and {format.plural(more, 'more endpoint')}" if more else "")


def _counts(say: Speech, mine: Sequence[ErrorRow]) -> tuple[Part, ...]:
    new = sum(1 for each in mine if each.is_new)
    back = sum(1 for each in mine if each.state is ErrorState.REGRESSED)
    said = [Part(f"{format.plural(len(mine), 'group')} open")]
    if new:
        words = f"{format.count_word(new)} {'is' if new == 1 else 'are'} new in {say.span}"
        said.append(Part(words, say.here(tab="new")))
    if back:
        said.append(Part(f"{format.count_word(back)} came back", say.here(tab="regressed")))
    return row(said)


def _settled(say: Speech, rows: Sequence[ErrorRow]) -> tuple[Part, ...]:
    if not rows:
        return (Part("An exception that leaves a request, or is answered with a 5xx, shows up here within seconds."),)
    resolved = sum(1 for each in rows if each.state is ErrorState.RESOLVED)
    said = [Part(f"{format.plural(resolved, 'group')} resolved", say.here(tab="resolved"))] if resolved else []
    if len(rows) > resolved:
        said.append(Part(f"{format.plural(len(rows) - resolved, 'group')} ignored", say.here(tab="ignored")))
    return row(said)
