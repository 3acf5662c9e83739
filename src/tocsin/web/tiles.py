"""The figures at the top of a page: now, against the time before, with a small line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.model.window import Window
from tocsin.query.active import ActiveRequests
from tocsin.query.red import Red, RedSeries
from tocsin.query.tenants import TenantRow
from tocsin.web import format
from tocsin.web.charts import Points, settle, spark

NOTICEABLE = 1.2
"""By how much a value must grow before its tile takes a colour."""


LATEST_STEPS = 3
"""Steps of the chart that make up 'now'."""


@dataclass(frozen=True, slots=True)
class Tile:
    """`tone` is '', 'ok', 'warn' or 'bad' and colours the note; `line` and `area` are SVG paths; `cells` are drawn
    instead of them, as error ratios 0-1."""

    label: str
    value: str
    unit: str = ""
    note: str = ""
    tone: str = ""
    colour: str = "c1"
    line: str = ""
    area: str = ""
    href: str = ""
    cells: tuple[float | None, ...] = ()


def red_tiles(now: Red, before: Red | None, series: RedSeries, window: Window, than: str) -> list[Tile]:
    """Requests, errors and response time against the time before; `than` names it, as 'the hour before'."""
    return [
        _requests(now, before, settle(series.request_rate, series, window), than),
        _errors(now, before, settle(series.error_rate, series, window), than),
        _p95(now, before, series.p95_seconds, than),
    ]


def error_tiles(now: Red, before: Red | None, series: RedSeries, window: Window, than: str) -> list[Tile]:
    """What failed on our side and what on the clients', against the time before."""
    return [
        _errors(now, before, settle(series.error_rate, series, window), than, "Server errors"),
        _client_errors(now, before, settle(series.client_error_rate, series, window), than),
    ]


def active_tile(active: ActiveRequests) -> Tile:
    line, area = spark(active.values)
    known = [value for value in active.values if value is not None]
    note = f"most {format.number(max(known))} in this time" if known else "not reported"
    return Tile("Active now", format.number(active.now), "", note, "", "c2", line, area)


def tenants_tile(rows: Sequence[TenantRow], hurt: int, href: str) -> Tile:
    """How many tenants are hurt, with the worst error ratio of any tenant over time."""
    named = [each for each in rows if each.tenant]
    columns = zip(*(each.cells for each in named), strict=True) if named else ()
    cells = tuple(max((value for value in column if value is not None), default=None) for column in columns)
    tone = "bad" if hurt else "ok" if named else ""
    note = "hurt now" if hurt else "none hurt" if named else "no traffic"
    value, unit = (str(hurt), f"of {len(named)}") if hurt else (str(len(named)), "")
    return Tile("Tenants", value, unit, note, tone, href=href, cells=cells)


def _requests(now: Red, before: Red | None, values: Points, than: str) -> Tile:
    line, area = spark(values)
    moved = format.against(now.request_rate, before.request_rate if before else None, than)
    note = moved or f"{format.plural(now.requests, 'request')} in this time"
    return Tile("Requests", format.number(_latest(values, now.request_rate)), "/s", note, "", "c1", line, area)


def _latest(values: Points, average: float) -> float:
    """The rate of the last steps: an average over an hour says little about an app that started a minute ago."""
    known = [value for value in values[-LATEST_STEPS:] if value is not None]
    return sum(known) / len(known) if known else average


def _client_errors(now: Red, before: Red | None, values: Points, than: str) -> Tile:
    line, area = spark(values)
    if not now.requests:
        return Tile("Client errors", format.NOTHING, "", "", "", "c3")
    moved = format.against(now.client_error_ratio, before.client_error_ratio if before else None, than)
    note = moved or f"{format.plural(now.client_errors, 'request')} answered with 4xx"
    return Tile("Client errors", format.percent(now.client_error_ratio), "%", note, "", "c3", line, area)


def _errors(now: Red, before: Red | None, values: Points, than: str, label: str = "Errors") -> Tile:
    line, area = spark(values)
    if not now.requests:
        return Tile(label, format.NOTHING, "", "", "", "bad")
    earlier = before.error_ratio if before else None
    note, tone = format.against(now.error_ratio, earlier, than), ""
    if not now.errors:
        note, tone = "none failed", "ok"
    elif earlier is not None and now.error_ratio > max(earlier * NOTICEABLE, 0.01):
        tone = "bad"
    elif now.error_ratio >= 0.01:
        tone = "warn"
    note = note or f"{format.plural(now.errors, 'failed request')}"
    return Tile(label, format.percent(now.error_ratio), "%", note, tone, "bad", line, area)


def _p95(now: Red, before: Red | None, values: Points, than: str) -> Tile:
    line, area = spark(values)
    value, unit = format.duration_parts(now.p95_seconds)
    earlier = before.p95_seconds if before else None
    note = format.against(now.p95_seconds, earlier, than)
    return Tile("p95 response", value, unit, note, "bad" if is_slower(now, before) else "", "c3", line, area)


def is_slower(now: Red, before: Red | None) -> bool:
    """Whether the p95 has grown noticeably."""
    earlier = before.p95_seconds if before else None
    return bool(earlier and now.p95_seconds and now.p95_seconds > earlier * NOTICEABLE)
