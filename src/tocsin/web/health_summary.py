"""What the health summary says: the verdict of the Overview, and the figures of a time against the time before.

Called by `notify/summary.py` through the composition root; sent through any channel, so everything is plain words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import Protocol
from urllib.parse import urlencode

from tocsin.alerts.dispatch import Pipeline
from tocsin.model.alert_state import AlertChange, Change, KnownAlert
from tocsin.model.notification import Outcome, Report
from tocsin.model.path_check import CHECK, is_check
from tocsin.model.severity import Severity
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.notify.path import PathWatch
from tocsin.notify.settings import NotifySettings
from tocsin.query import errors, evaluate, red
from tocsin.query import tenants as tenants_query
from tocsin.query.filters import Filter
from tocsin.query.metric_reader import MetricReader
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.red import EndpointRow, Red
from tocsin.query.tenants import TenantRow
from tocsin.storage.control import ControlStore
from tocsin.storage.telemetry.store import TelemetryStore
from tocsin.web import format, headline
from tocsin.web.alerting import unhandled_count
from tocsin.web.error_list import ErrorRow, listed
from tocsin.web.state import Settings
from tocsin.web.words import Headline, Speech, endpoint_name

ENDPOINTS, GROUPS = 8, 5  # as many as the Overview reads for its sentence
SHOWN = 3
MOST_CHANGES = 10_000
CHECKS = "sum by (outcome) (increase(tocsin_paging_path_checks_total[{seconds}s]))"


class Source(Protocol):
    """What a summary is made of: the server."""

    @property
    def store(self) -> TelemetryStore: ...
    @property
    def control(self) -> ControlStore: ...
    @property
    def alerts(self) -> Pipeline: ...
    @property
    def path(self) -> PathWatch: ...
    @property
    def settings(self) -> Settings: ...
    def metrics(self, scope: Scope) -> MetricReader: ...


def health_report(source: Source, window: Window) -> Report:
    """How the product was in a time that ends now, for those who see all of it.

    Raises EngineError or SQLAlchemyError when a store does not answer.
    """
    asked = Filter(window)
    say = _speech(window, source.settings[NotifySettings].summary_times.location)
    now = red.totals(source.store, PLATFORM, asked)
    before = red.totals(source.store, PLATFORM, replace(asked, window=window.before()))
    endpoints = red.endpoints(source.store, PLATFORM, asked, limit=ENDPOINTS)
    tenants = tenants_query.tenants(source.store, PLATFORM, asked)
    verdict = _verdict(source, asked, say, now, before, endpoints, tenants)
    facts = [
        *_traffic(say, now, before),
        ("Worst endpoints", _endpoints(endpoints)),
        ("Worst tenants", _tenants(tenants)),
        ("Alerts", _alerts(source, window, say.before)),
        ("New errors", _new_errors(listed(source.store, source.control, PLATFORM, asked, _at(window.end_ns)))),
        ("Paging path", _paging_path(source, window)),
        ("Messages", _messages(source, window)),
    ]
    day = _local(window.end_ns, say.zone)
    return Report(
        title=_plain(f"Health summary, {day:%a} {day.day} {day:%b}: {verdict.text}"),
        summary=_plain(_period(say, window, now, sum(1 for each in tenants if each.tenant))),
        state=verdict.state,
        facts=tuple((heading, _plain(words)) for heading, words in facts if words),
        links=_links(window),
    )


def _verdict(
    source: Source,
    asked: Filter,
    say: Speech,
    now: Red,
    before: Red,
    endpoints: Sequence[EndpointRow],
    tenants: Sequence[TenantRow],
) -> Headline:
    """The sentence of the Overview."""
    if not now.requests and not _has_data(source.store):
        return headline.nothing_yet()
    harmed = tenants_query.harmed(source.store, PLATFORM, asked)
    groups = errors.error_groups(source.store, PLATFORM, asked, limit=GROUPS)
    named = sum(1 for each in tenants if each.tenant)
    firing = unhandled_count(source.alerts, PLATFORM)
    return headline.overview(say, now, before, harmed, named, endpoints, groups, firing)


def _has_data(store: TelemetryStore) -> bool:
    """Whether anything was ever received."""
    known = tenants_query.known_environments(store, PLATFORM) or tenants_query.known_tenants(store, PLATFORM)
    return bool(known)


def _traffic(say: Speech, now: Red, before: Red) -> Iterable[tuple[str, str]]:
    if not now.requests and not before.requests:
        return ()
    if not now.requests:
        return (("Requests", f"none; {format.number(before.requests)} in {say.before}"),)
    failed = f"{format.percent(now.error_ratio)} % ({format.number(now.errors)})"
    slow = format.duration(now.p95_seconds)
    if not before.requests:
        return ("Requests", f"{format.number(now.requests)}, none in {say.before}"), ("Failed", failed), ("p95", slow)
    moved = format.against(now.requests, before.requests, say.before)
    return (
        ("Requests", f"{format.number(now.requests)}, {moved}"),
        ("Failed", f"{failed}, {format.percent(before.error_ratio)} % in {say.before}"),
        ("p95", f"{slow}, {format.duration(before.p95_seconds)} in {say.before}"),
    )


def _endpoints(rows: Sequence[EndpointRow]) -> str:
    """Those that made people wait or fail the most; '' without requests."""
    return "\n".join(
        f"{endpoint_name(row.method, row.route)} of {row.service}: {_red(row.red)}{_hurt(row.tenants_hurt)}"
        for row in rows[:SHOWN]
    )


def _hurt(tenants: Sequence[str]) -> str:
    return f", for {format.join(tenants)}" if tenants else ""


def _tenants(rows: Sequence[TenantRow]) -> str:
    named = [row for row in rows if row.tenant]
    failing = [row for row in named if row.red.errors]
    if named and not failing:
        return f"none of {format.plural(len(named), 'tenant')} had a failed request"
    lines = [f"{row.tenant}: {_red(row.red)}" for row in failing[:SHOWN]]
    more = len(failing) - SHOWN
    return "\n".join([*lines, *([f"{format.plural(more, 'more tenant')} with failed requests"] if more > 0 else [])])


def _red(figures: Red) -> str:
    asked = format.plural(figures.requests, "request")
    failed = f"{format.percent(figures.error_ratio)} % of {asked} failed" if figures.errors else f"{asked}, none failed"
    return f"{failed}, p95 {format.duration(figures.p95_seconds)}"


def _alerts(source: Source, window: Window, before_words: str) -> str:
    """By severity, with how many somebody took and how many are not over."""
    book, start, end = source.control.alerts, _at(window.start_ns), _at(window.end_ns)
    changes = [
        one
        for kind in (Change.FIRING, Change.ACKNOWLEDGED)
        for one in book.history(start=start, end=end, change=kind, limit=MOST_CHANGES)
        if one.name != CHECK
    ]
    fired, taken = _fired(changes), _taken(changes)
    clock = source.alerts.clock()
    known = source.alerts.known().values()
    firing = [one for one in known if one.is_firing(clock) and not is_check(one.alert.labels)]
    still = Counter(one.alert.severity for one in firing)
    lines = [
        f"{severity.named('priority')}: {fired[severity]} fired, {taken[severity]} acknowledged, "
        f"{still[severity]} still {'fires' if still[severity] == 1 else 'fire'}"
        for severity in Severity
        if fired[severity] or still[severity]
    ]
    past = window.before()
    marks = book.marks(start=_at(past.start_ns), end=_at(past.end_ns))
    earlier = sum(one.fired for one in marks if one.name != CHECK)
    if not lines:
        return f"none fired; {earlier or 'none'} in {before_words}"
    return "\n".join([*lines, *_unanswered(firing), f"{earlier or 'none'} fired in {before_words}"])


def _fired(changes: Iterable[AlertChange]) -> Mapping[Severity, int]:
    return Counter(one.severity for one in changes if one.change is Change.FIRING)


def _taken(changes: Iterable[AlertChange]) -> Mapping[Severity, int]:
    """Firings that somebody acknowledged; each once, however many did."""
    open_firings: dict[str, Severity] = {}
    taken: Counter[Severity] = Counter()
    for one in sorted(changes, key=lambda each: (each.at, each.id)):
        if one.change is Change.FIRING:
            open_firings[one.fingerprint] = one.severity
        elif one.fingerprint in open_firings:
            taken[open_firings.pop(one.fingerprint)] += 1
    return taken


def _unanswered(firing: Sequence[KnownAlert]) -> list[str]:
    """The worst that fire and that nobody took, by name."""
    left = sorted((one for one in firing if not one.handling.acknowledged_by), key=lambda one: one.alert.severity)
    names = list(dict.fromkeys(_named(one) for one in left))
    return [f"nobody has acknowledged {format.join(names, SHOWN)}"] if names else []


def _named(known: KnownAlert) -> str:
    return f"{known.alert.name} ({known.alert.tenant})" if known.alert.tenant else known.alert.name


def _new_errors(rows: Sequence[ErrorRow]) -> str:
    new = [row for row in rows if row.is_in("new")]
    lines = [
        f"{row.name}{f' at {row.routes[0]}' if row.routes else ''}, {format.plural(row.count, 'time')}"
        f"{_hurt(row.tenants)}"
        for row in new[:SHOWN]
    ]
    more = len(new) - SHOWN
    back = sum(1 for row in rows if row.is_in("regressed"))
    rest = [f"{format.count_word(more)} more"] if more > 0 else []
    rest += [f"{format.count_word(back)} came back after they were resolved"] if back else []
    return "\n".join([*lines, *rest]) or "none"


def _paging_path(source: Source, window: Window) -> str:
    """Whether synthetic alerts reached their receipts."""
    arrived, lost = _checks(source, window)
    last = next(iter(reversed(source.path.results)), None)
    if last is not None and not last.is_well:
        return f"broken: {last.reason}"
    if arrived + lost:
        if lost:
            return f"{lost} of {format.plural(arrived + lost, 'synthetic alert')} got no receipt"
        return f"well: {format.plural(arrived, 'synthetic alert')} arrived"
    if last is not None:
        return f"well: a synthetic alert arrived within {format.duration(last.seconds)}"
    return "not tried; set notify.test_interval_seconds to prove it again and again"


def _checks(source: Source, window: Window) -> tuple[int, int]:
    """Synthetic alerts that arrived and that were lost, of all servers together."""
    text = CHECKS.format(seconds=round(window.seconds))
    settings = source.settings[QuerySettings]
    found = evaluate.at(source.metrics(PLATFORM), text, window.end_ns // 1_000_000, settings)
    counts = {one.labels.get("outcome", ""): round(float(one.values[-1])) for one in found.series}
    return counts.get("arrived", 0), counts.get("lost", 0)


def _messages(source: Source, window: Window) -> str:
    """What could not be delivered; '' when everything was."""
    counts = source.control.deliveries.counts(_at(window.start_ns))
    failed = {place[0]: by[Outcome.FAILED] for place, by in counts.items() if by.get(Outcome.FAILED)}
    if not failed:
        return ""
    return f"{format.number(sum(failed.values()))} could not be delivered, to {format.join(sorted(failed))}"


def _period(say: Speech, window: Window, now: Red, tenants: int) -> str:
    zone = f"{_local(window.end_ns, say.zone):%Z}"
    start, end = (f"{_local(at_ns, say.zone):%a %H:%M}" for at_ns in (window.start_ns, window.end_ns))
    if not now.requests:
        return f"{start} to {end} {zone}: no requests."
    asked = format.plural(now.requests, "request")
    who = f" from {format.plural(tenants, 'tenant')}" if tenants else ""
    failed = f"{format.percent(now.error_ratio)} % failed" if now.errors else "none failed"
    return f"{start} to {end} {zone}: {asked}{who}, {failed}, p95 {format.duration(now.p95_seconds)}."


def _links(window: Window) -> tuple[tuple[str, str], ...]:
    """Pages that show this very time, whenever they are opened."""
    span = urlencode({"start": window.start_ns // 10**9, "end": window.end_ns // 10**9})
    return ("Overview", f"/?{span}"), ("Alerts", "/alerts"), ("Errors", f"/errors?{span}")


def _speech(window: Window, zone: tzinfo) -> Speech:
    hours = round(window.seconds / 3600)
    length = format.plural(hours // 24, "day") if hours % 24 == 0 and hours > 24 else f"{hours} hours"

    def link(path: str, **parameters: object) -> str:
        return path  # messages have links of their own

    def here(**changes: object) -> str:
        return "/"

    return Speech(link, here, window.end_ns, zone, f"the last {length}", f"the {length} before")


def _plain(words: str) -> str:
    """Without the narrow spaces of the pages, which not every mail program and telephone shows."""
    return words.replace(format.NARROW, " ")


def _local(instant_ns: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(instant_ns // 10**9, zone)


def _at(instant_ns: int) -> datetime:
    return datetime.fromtimestamp(instant_ns // 10**9, UTC)
