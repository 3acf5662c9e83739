"""The sentences about feature flags: which variant makes requests slower or fail, and for whom."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from tocsin.query.flags import Flag
from tocsin.query.release_compare import Change, Comparison
from tocsin.query.releases import FlagChange
from tocsin.query.significance import Verdict
from tocsin.web import format
from tocsin.web.release_headline import durations, flag_words, p_words, slower_percent, worse_words
from tocsin.web.words import Headline, Part, Speech, endpoint_link, endpoint_name

Compared = tuple[Flag, Comparison | None]


def flag_link(say: Speech, flag: Flag) -> str:
    return say.link(f"/flags/{quote(flag.service, safe='')}/{quote(flag.name, safe='')}")


def listing(say: Speech, found: Sequence[Compared]) -> Headline:
    """All flags: the one with a variant that makes something worse, or that none does."""
    if not found:
        told = "Flags asked through OpenFeature are seen by themselves; see docs/operations.md."
        return Headline("quiet", (Part("No feature flag was asked in this time."),), (Part(told),))
    sub = (Part(f"{format.plural(len(found), 'flag')} asked."),)
    for flag, comparison in found:
        worse = harm_of(comparison) if comparison else None
        if worse is not None and flag.usual_pair is not None:
            parts = (Part(flag.name, flag_link(say, flag)), Part(" "), *_harm(say, flag, flag.usual_pair, worse))
            return Headline("bad", parts, sub)
    tested = [pair for pair in found if pair[1] is not None]
    if not tested:
        return Headline("quiet", (Part("No flag gives more than one variant: there is nothing to compare."),), sub)
    text = "No variant of a flag makes requests worse than the other, as far as shown."
    return Headline("ok", (Part(text),), sub)


def of_flag(
    say: Speech, flag: Flag, pair: tuple[str, str] | None, comparison: Comparison | None, flips: Sequence[FlagChange]
) -> Headline:
    """'fast-lists on makes GET /projects 40 % slower for acme than off: p95 …', or what came of its last change."""
    name = Part(flag.name)
    sub = (Part(f"{flag.service}; asked {format.number(flag.evaluations)} times"),)
    worse = harm_of(comparison) if comparison else None
    if worse is not None and pair is not None:
        return Headline("bad", (name, Part(" "), *_harm(say, flag, pair, worse)), sub)
    changed = next((change for change in flips if change.comparison.worse), None)
    if changed is not None:
        return Headline("bad", (Part(flag_words(changed)),), sub)
    if pair is None or comparison is None:
        only = flag.variants[0].variant if flag.variants else "nothing"
        return Headline("quiet", (name, Part(f" gave everybody {only}: there is nothing to compare.")), sub)
    if comparison.verdict is Verdict.UNKNOWN:
        text = f" has too few requests with {pair[0]} and {pair[1]} to compare them."
        return Headline("quiet", (name, Part(text)), sub)
    return Headline("ok", (name, Part(f" {pair[1]} makes nothing worse than {pair[0]}, as far as shown.")), sub)


def harm_of(comparison: Comparison) -> Change | None:
    """What got worse most surely: for one tenant that had both variants, else for all together."""
    single = [change for change in comparison.tenants if change.verdict is Verdict.WORSE]
    whole = [change for change in comparison.endpoints if change.verdict is Verdict.WORSE]
    return next(iter((*single, *whole)), None)


def _harm(say: Speech, flag: Flag, pair: tuple[str, str], change: Change) -> tuple[Part, ...]:
    who = f" for {change.tenant}" if change.tenant else ""
    endpoint = Part(
        endpoint_name(change.method, change.route),
        endpoint_link(say.link, flag.service, change.method, change.route),
        is_harm=True,
    )
    if change.errors is Verdict.WORSE:
        return Part(f"{pair[1]}: "), endpoint, Part(f" {worse_words(change, who)}, against {pair[0]}.")
    text = f" {slower_percent(change)} % slower{who} than {pair[0]}: {durations(change)} ({p_words(change.latency_q)})."
    if not change.tenant:
        text += " The tenants with one may be others than those with the other."
    return Part(f"{pair[1]} makes "), endpoint, Part(text)
