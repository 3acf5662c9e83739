"""Charts and tiles of calls: how many, how long, how many at once."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.model.window import Window
from tocsin.query.calls import Calls, CallSeries
from tocsin.query.pools import PoolSeries
from tocsin.web import format
from tocsin.web.charts import Chart, Line, Points, spark
from tocsin.web.tiles import NOTICEABLE, Tile


def call_charts(series: CallSeries, window: Window, noun: str, rest: str = "", href: str = "") -> list[Chart]:
    """How many calls, how long they take, how many run at once. noun: 'statements'."""
    times = series.times
    rates = [Line(noun, settled(series.rate, series, window), "c1", is_filled=True)]
    if any(series.error_rate):
        rates.append(Line("failed", settled(series.error_rate, series, window), "bad"))
    waits = [Line("p50", series.p50_seconds, "c2"), Line("p95", series.p95_seconds, "c1")]
    busy = [Line("at once", settled(series.busy, series, window), "c3", is_filled=True)]
    return [
        Chart("call-rate", format.sentence(noun), "per second", "rate", times, rates, window, href=href, rest=rest),
        Chart("call-duration", "Duration", "", "seconds", times, waits, window, href=href, rest=rest),
        Chart("call-busy", "Running at once", "on average", "count", times, busy, window, href=href, rest=rest),
    ]


def pool_chart(series: PoolSeries, limit: int, window: Window) -> Chart:
    """Connections by state, stacked, with the bound of one process as a line."""
    colours = {"active": "c1", "idle": "c2", "overflow": "bad"}
    lines = [
        Line(state, values, colours[state], is_filled=state == "active")
        for state, values in series.states.items()
        if state != "overflow" or any(values)
    ]
    limits = [(float(limit), "bad")] if limit else []
    return Chart("pool", series.name, "connections", "count", series.times, lines, window, limits=limits)


def call_tiles(now: Calls, before: Calls, series: CallSeries, window: Window, noun: str, than: str) -> list[Tile]:
    """Calls, errors, duration and time together against the time before."""
    rates = settled(series.rate, series, window)
    value, unit = format.duration_parts(now.p95_seconds)
    slower = bool(before.p95_seconds and now.p95_seconds and now.p95_seconds > before.p95_seconds * NOTICEABLE)
    busy, spent = settled(series.busy, series, window), format.duration_parts(now.total_seconds)
    note = format.against(now.rate, before.rate, than) or f"{format.plural(now.calls, 'call')} in this time"
    failed = f"{format.plural(now.errors, 'failed call')}" if now.errors else "none failed"
    tone = "ok" if not now.errors else "bad" if now.error_ratio >= 0.05 else "warn" if now.error_ratio >= 0.01 else ""
    return [
        Tile(format.sentence(noun), format.number(now.rate), "/s", note, "", "c1", *spark(rates)),
        Tile("Errors", format.percent(now.error_ratio), "%", failed, tone, "bad", *spark(series.error_rate)),
        Tile("p95", value, unit, format.against(now.p95_seconds, before.p95_seconds, than), "bad" if slower else "",
             "c3", *spark(series.p95_seconds)),
        Tile("Time together", spent[0], spent[1], format.against(now.total_seconds, before.total_seconds, than), "",
             "c2", *spark(busy)),
    ]  # fmt: skip


def settled(rates: Sequence[float], series: CallSeries, window: Window) -> Points:
    """Rates whose last step, while it lasts, is left out: counts of calls come some seconds later than it ends."""
    if not series.times:
        return list(rates)
    is_done = window.end_ns / 1e9 - series.times[-1] >= series.step_seconds
    return list(rates) if is_done else [*rates[:-1], None]
