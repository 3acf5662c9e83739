"""The sentences that open the metrics explorer: what was found, what is largest, how it moved."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.query.evaluate import Evaluated, aligned, shared_and_own, short_text
from tocsin.web import format
from tocsin.web.units import guessed, written
from tocsin.web.words import Headline, Part, Speech

MOVED = 0.1
"""Of its value at the start of the time shown: a series that moved less is level."""


def answers(say: Speech, done: Sequence[Evaluated]) -> Headline:
    """Of what the queries found."""
    failed = [one for one in done if one.error]
    if failed:
        error = failed[0].error
        assert error is not None
        which = (
            "This query"
            if len(done) == 1
            else f"{format.sentence(format.count_word(len(failed)))} of {len(done)} queries"
        )
        return Headline("warn", (Part(f"{which} cannot be answered: {error.text}."),))
    series = sum(len(one.series) for one in done)
    if not series:
        texts = [one for one in done if one.result and one.result.type == "string"]
        if texts:
            return Headline("quiet", (Part("A text, not a number."),))
        return Headline(
            "quiet",
            (Part(f"No series match in {say.span}."),),
            (Part("Look for the metric "), Part("among those there are", say.here(q=None)), Part(".")),
        )
    return Headline(
        "quiet", (Part(f"{format.plural(series, 'series', 'series')}{_largest(say, done)}."),), (_took(done),)
    )


def _took(done: Sequence[Evaluated]) -> Part:
    took = [one.result.statistics for one in done if one.result]
    samples, seconds = sum(one.samples for one in took), sum(one.seconds for one in took)
    return Part(f"{format.plural(samples, 'sample')} read in {format.duration(seconds)}.")


def _largest(say: Speech, done: Sequence[Evaluated]) -> str:
    """Which series is highest now, and how it moved within the time shown; '' for several queries."""
    if len(done) != 1:
        return ""
    found, unit = done[0].series, guessed(done[0].text)
    _, own = shared_and_own([one.labels for one in found])
    grid = done[0].grid
    known = []
    for labels, series in zip(own, found, strict=True):
        values = [value for value in aligned(series, grid) if value is not None]
        if values:
            known.append((values[-1], values[0], short_text(labels)))
    if not known:
        return ""
    last, first, name = max(known)
    shown = f"{name} is highest with {written(last, unit)}" if len(known) > 1 and name else f"now {written(last, unit)}"
    if len(grid) > 1 and first and abs(last - first) >= MOVED * abs(first):
        way = "up" if last > first else "down"
        shown += f", {way} from {written(first, unit)} at the start of {say.span.replace('the last', 'the')}"
    return f"; {shown}" if len(known) > 1 else f", {shown}"


def browser(say: Speech, listed: Sequence[tuple[str, int]], find: str) -> Headline:
    """Of the metrics there are."""
    if not listed:
        if find:
            return Headline("quiet", (Part(f"No metric is called anything like {find[:60]}."),))
        return Headline("quiet", (Part(f"No metrics came in within {say.span}."),))
    total = sum(series for _, series in listed)
    most, count = max(listed, key=lambda pair: pair[1])
    found = f"{format.plural(len(listed), 'metric')} with {format.plural(total, 'series', 'series')}"
    if find:
        return Headline("quiet", (Part(f"{found} match {find[:60]}."),))
    share = f"; {most} has the most, {format.number(count)}" if len(listed) > 1 else ""
    return Headline("quiet", (Part(f"{found} in {say.span}{share}."),), (Part("Pick one below, or ask in PromQL."),))
