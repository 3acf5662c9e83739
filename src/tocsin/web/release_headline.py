"""The sentences about releases: what one made slower or failing, for whom, and that everything else is unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from tocsin.query.deployments import commit_range
from tocsin.query.release_compare import Change, Comparison
from tocsin.query.releases import FlagChange, ReleaseReport
from tocsin.query.significance import LEAST_SHIFT, Verdict
from tocsin.web import format
from tocsin.web.words import Headline, Part, Speech, endpoint_link, endpoint_name, row, trace_link

SAID = 2
STATES = {Verdict.WORSE: "bad", Verdict.BETTER: "ok", Verdict.SAME: "ok", Verdict.UNKNOWN: "quiet"}


def release_link(say: Speech, service: str, release: str, environment: str) -> str:
    path = f"/releases/{quote(service, safe='')}/{quote(release, safe='')}"
    return say.link(path, env=environment or None)


def listing(say: Speech, reports: Sequence[ReleaseReport]) -> Headline:
    """All releases: the latest that made something worse, or that none did."""
    if not reports:
        return Headline(
            "quiet",
            (Part("No release has been seen yet."),),
            (Part("Set TOCSIN_RELEASE, or service.version with another SDK, and deploy a second one to compare."),),
        )
    worse = next((one for one in reports if one.verdict is Verdict.WORSE), None)
    if worse is not None:
        return of_release(say, worse)
    compared = [one for one in reports if one.comparison and one.verdict is not Verdict.UNKNOWN]
    newest = reports[0].release
    sub = (Part(f"The newest is {newest.service} {newest.release}, since {say.clock(newest.at_ns)}."),)
    if not compared:
        return Headline("quiet", (Part("No release has one before it to be compared with yet."),), sub)
    several = f"None of the last {len(compared)} releases made anything worse."
    text = several if len(compared) > 1 else f"{newest.release} made nothing worse."
    return Headline("ok", (Part(text),), sub)


def of_release(say: Speech, report: ReleaseReport) -> Headline:
    """'2026.11.3 made POST /export slower for acme: p95 412 ms → 1.9 s (p < 0.001), everything else is unchanged.'"""
    one = report.release
    name = Part(one.release, release_link(say, one.service, one.release, one.environment))
    since = f"{one.service} in {one.environment or 'no environment'}, since {say.clock(one.at_ns)}"
    if report.before is None or report.comparison is None:
        text = f" is the first release of {one.service} that was seen; there is nothing to compare it with."
        return Headline("quiet", (name, Part(text)), (Part(since),))
    sub = (Part(f"{since}; compared with {report.before.release}, {_lengths(report.comparison)}"),)
    worse = report.comparison.worse
    if worse:
        parts = [name, Part(" made ")]
        for place, change in enumerate(worse[:SAID]):
            parts += [*([Part("; and ")] if place else []), *_change(say, report.comparison, change, one.service)]
        return Headline("bad", (*parts, Part(_rest(report, len(worse)))), sub)
    if report.faults:
        first = report.faults[0]
        fault = Part(first.type, trace_link(say.link, first.sample_trace_id), is_harm=True)
        more = f" and {format.plural(len(report.faults) - 1, 'more fault')}" if len(report.faults) > 1 else ""
        return Headline("bad", (name, Part(" brought "), fault, Part(f"{more}, which no release had before.")), sub)
    if report.comparison.verdict is Verdict.UNKNOWN:
        return Headline("quiet", (name, Part(" has too few requests yet to be compared.")), sub)
    better = report.comparison.better
    if better:
        best = max(better, key=lambda change: change.before.requests)
        endpoint = endpoint_name(best.method, best.route)
        return Headline("ok", (name, Part(f" made {endpoint} {_better(best)}; nothing got worse.")), sub)
    return Headline("ok", (name, Part(f" changed nothing that shows against {report.before.release}.")), sub)


def _change(say: Speech, comparison: Comparison, change: Change, service: str) -> list[Part]:
    named = endpoint_name(change.method, change.route)
    link = endpoint_link(say.link, service, change.method, change.route)
    tenants = [one.tenant for one in comparison.tenants_worse(change)]
    has_others = len(comparison.tenants_of(change)) > len(tenants)
    shown, who = change, ""
    if change.tenant:
        who = f" for {change.tenant}"
    elif tenants and has_others:
        who = f" for {format.join(tenants, 2)}"
        if len(tenants) == 1:
            shown = comparison.tenants_worse(change)[0]
    return [Part(named, link, is_harm=True), Part(f" {worse_words(shown, who)}")]


def worse_words(change: Change, who: str = "") -> str:
    """'slower for acme: p95 412 ms → 1.9 s (p < 0.001)'."""
    if change.errors is Verdict.WORSE:
        before, after = format.percent(change.before.error_ratio), format.percent(change.after.error_ratio)
        return f"fail{who}: {before} % → {after} % of the requests ({p_words(change.errors_q)})"
    return f"slower{who}: {durations(change)} ({p_words(change.latency_q)})"


def durations(change: Change) -> str:
    """The p95 before and after; the median where the p95 stayed."""
    shift = change.shift
    name, before, after = "p95", shift.p95_before, shift.p95_after
    if _moved(before, after) < LEAST_SHIFT <= _moved(shift.p50_before, shift.p50_after):
        name, before, after = "p50", shift.p50_before, shift.p50_after
    return f"{name} {format.duration(before)} → {format.duration(after)}"


def slower_percent(change: Change) -> int:
    """By how much the figure that `durations` shows rose."""
    shift = change.shift
    before, after = shift.p95_before, shift.p95_after
    if _moved(before, after) < LEAST_SHIFT <= _moved(shift.p50_before, shift.p50_after):
        before, after = shift.p50_before, shift.p50_after
    return round((after / before - 1) * 100) if before and after else 0


def p_words(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def flag_words(change: FlagChange) -> str:
    """'flag fast-lists on for acme: GET /projects slower, p95 +40 %'; '' when nothing got worse."""
    of = f" for {change.tenant}" if change.tenant else ""
    worse = change.comparison.worse
    head = f"{change.flag} {change.variant or 'changed'}{of}"
    if change.comparison.verdict is Verdict.UNKNOWN:
        return f"{head}: too few requests between it and the deploys beside it"
    if not worse:
        return f"{head}: nothing got worse"
    first = worse[0]
    if first.errors is Verdict.WORSE:
        return f"{head}: {endpoint_name(first.method, first.route)} {worse_words(first)}"
    share = slower_percent(first)
    return f"{head} made {endpoint_name(first.method, first.route)} {share:+} % slower, {durations(first)}"


def _better(change: Change) -> str:
    if change.latency is Verdict.BETTER:
        return f"faster, {durations(change)}"
    return f"fail less, {format.percent(change.before.error_ratio)} % → {format.percent(change.after.error_ratio)} %"


def _rest(report: ReleaseReport, worse: int) -> str:
    more = f", and {format.plural(worse - SAID, 'more endpoint')} worse" if worse > SAID else ""
    if report.faults:
        more += f"; {format.plural(len(report.faults), 'fault')} that no release had before"
    better = len(report.comparison.better) if report.comparison else 0
    if better:
        more += f"; {format.plural(better, 'endpoint')} better"
    return f"{more}." if more else ", everything else is unchanged."


def _moved(before: float | None, after: float | None) -> float:
    return abs(after / before - 1) if before and after else 0.0


def _lengths(comparison: Comparison) -> str:
    before, after = comparison.before.window.seconds, comparison.after.window.seconds
    return f"{format.duration(before)} of it against {format.duration(after)} since"


def facts(report: ReleaseReport) -> tuple[Part, ...]:
    """Commits, author and link, as far as told. The range is what `git log` takes: all since the release before."""
    one, commits = report.release, commit_range(report.before, report.release)
    said = [Part(f"commit {one.commit[:12]}")] if one.commit else []
    said = [Part(f"commits {commits}")] if commits else said
    said += [Part(f"by {one.author}")] if one.author else []
    # Only addresses of the web: the text came from whoever could mark a deploy.
    said += [Part("what changed", one.url)] if one.url.startswith(("https://", "http://")) else []
    return row(said)
