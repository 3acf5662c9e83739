"""The sentences that open the pages of log patterns: what is new and what exploded, for whom, since which release."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.query.log_patterns import LogPattern, PatternChange
from tocsin.web import format
from tocsin.web.words import Headline, Part, Speech, row

BAD = ("error", "fatal")
WORST = ("fatal", "error", "warn", "info", "debug", "trace", "")


def patterns(say: Speech, found: Sequence[LogPattern], changes: Sequence[PatternChange]) -> Headline:
    """The list: the new pattern that matters most, else the one that grew most, else that all is as before."""
    if not found:
        said = Part(f"No lines were logged in {say.span}.")
        return Headline("quiet", (said,), (Part("A wider time range may hold some."),))
    new = sorted((one for one in found if one.is_new), key=_worst_first)
    grown = [one for one in changes if one.verdict == "more" and one.pattern.level in ("", "warn", *BAD)]
    grown.sort(key=lambda one: (_worst_first(one.pattern), -(one.factor or 0)))
    counts = _counts(say, found, new, grown)
    if new and (new[0].level in ("warn", *BAD) or not grown):
        lead = new[0]
        return Headline(_state(lead), (_named(say, lead), Part(f" {_began(say, lead)}.")), counts)
    if grown:
        change = grown[0]
        return Headline(_state(change.pattern), (_named(say, change.pattern), Part(f" {_grew(say, change)}.")), counts)
    lines = sum(one.lines for one in found)
    words = f"{format.plural(lines, 'line')} in {say.span} say {format.plural(len(found), 'thing')}; nothing is new."
    return Headline("ok", (Part(words),), counts)


def pattern(say: Speech, one: LogPattern) -> Headline:
    """One pattern."""
    what = _began(say, one) if one.is_new else f"came {_times(one.lines)} in {say.span}{_whom(one)}"
    since = f"known since {say.clock(one.first_ns)}"
    release = f" with release {one.first_release}" if one.first_release else ""
    last = f"last at {say.clock(one.last_ns)}"
    state = _state(one) if one.is_new or one.level in BAD else "ok"
    return Headline(
        state, (Part(one.text, is_harm=one.level in BAD), Part(f" {what}.")), row([Part(since + release), Part(last)])
    )


def comparison(say: Speech, changes: Sequence[PatternChange], left: str, right: str) -> Headline:
    """Two sides, named as in 'acme' and 'globex'."""
    by = {verdict: [one for one in changes if one.verdict == verdict] for verdict in ("new", "more", "gone", "less")}
    told = [
        f"{format.plural(len(by['new']), 'pattern')} only here" if by["new"] else "",
        f"{len(by['more'])} more frequent" if by["more"] else "",
        f"{len(by['gone'])} missing" if by["gone"] else "",
        f"{len(by['less'])} rarer" if by["less"] else "",
    ]
    said = [words for words in told if words]
    if not changes:
        return Headline("quiet", (Part(f"Neither {left} nor {right} has lines to compare."),))
    if not any(one.lines_before for one in changes):
        return Headline("quiet", (Part(f"There is nothing to compare with: no line on the side of {right}."),))
    if not any(one.pattern.lines for one in changes):
        return Headline("quiet", (Part(f"There is nothing to compare: no line on the side of {left}."),))
    if not said:
        return Headline("ok", (Part(f"{left} logs what {right} logs, as often."),))
    worst = sorted((one.pattern for one in (*by["new"], *by["more"])), key=_worst_first)
    state = _state(worst[0]) if worst else "ok"
    opening = f"{left} against {right}: {_listed(said)}."
    sub = (Part("First of all "), _named(say, worst[0])) if worst else ()
    return Headline(state, (Part(opening),), sub)


def _listed(parts: Sequence[str]) -> str:
    *before, last = parts
    return f"{', '.join(before)} and {last}" if before else last


def _worst_first(one: LogPattern) -> tuple[int, int]:
    return WORST.index(one.level) if one.level in WORST else len(WORST), -one.lines


def _state(one: LogPattern) -> str:
    return "bad" if one.level in BAD else "warn" if one.level == "warn" else "ok"


def _named(say: Speech, one: LogPattern) -> Part:
    text = one.text if len(one.text) <= 90 else one.text[:88] + "…"
    return Part(f"“{text}”", say.link(f"/patterns/{one.name}"), one.level in BAD)


def _began(say: Speech, one: LogPattern) -> str:
    release = f" with release {one.first_release}" if one.first_release else f" at {say.clock(one.first_ns)}"
    return f"is new in {one.service}{release}, {_times(one.lines)} so far{_whom(one)}"


def _grew(say: Speech, change: PatternChange) -> str:
    factor = change.factor or 0
    often = f"{format.number(factor)} times as often as in {say.before}"
    return f"came {_times(change.pattern.lines)} in {say.span}, {often}{_whom(change.pattern)}"


def _whom(one: LogPattern) -> str:
    if not one.tenants:
        return ""
    more = len(one.tenants) - 2
    return f", for {format.join(one.tenants[:2])}" + (f" and {more} more" if more > 0 else "")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{format.number(count)} times"


def _counts(
    say: Speech, found: Sequence[LogPattern], new: Sequence[LogPattern], grown: Sequence[PatternChange]
) -> tuple[Part, ...]:
    said = [Part(format.plural(len(found), "pattern"))]
    if new:
        said.append(Part(f"{len(new)} new", say.here(tab="new")))
    if grown:
        said.append(Part(f"{len(grown)} more frequent than in {say.before}", say.link("/patterns/compare")))
    return row(said)
