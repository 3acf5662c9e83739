"""The sentence above a comparison: how much longer it took than a normal request, and where that time went."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.query.compare import Step
from tocsin.query.traces import Trace
from tocsin.web import format
from tocsin.web.words import Headline, Part, Speech, trace_link

WORTH_SAYING = 0.1
"""A step that took less than this part of the difference goes unsaid."""

SAME = 0.1
"""Below this part of the normal duration, the two took as long."""

EXTRA_CALLS = 3


def comparison(say: Speech, own: Trace, normal: Trace, steps: Sequence[Step]) -> Headline:
    """'POST /orders took 780 ms longer than a normal one: 780 ms more in SELECT items, 39 extra calls of it.'"""
    sub = _sub(say, own, normal)
    name, more_ns = Part(own.root.name), own.duration_ns - normal.duration_ns
    failed = own.root.status == "error"
    if more_ns < -SAME * normal.duration_ns:
        parts = [name, Part(f" {'failed' if failed else 'ended'} {_took(-more_ns)} sooner than a normal one")]
        missing = _only(steps, is_own=False)
        tail = f": {missing} never ran." if missing else "."
        return Headline("bad" if failed else "ok", (*parts, Part(tail)), sub)
    if more_ns <= SAME * normal.duration_ns:
        text = " failed, and took as long as a normal one." if failed else " took as long as a normal one."
        return Headline("bad" if failed else "ok", (name, Part(text)), sub)
    verb = " failed and took " if failed else " took "
    parts = [name, Part(f"{verb}{_took(more_ns)}", is_harm=True), Part(" longer than a normal one")]
    where = where_it_went(steps, more_ns)
    return Headline("bad" if failed else "warn", (*parts, Part(f": {where}." if where else ".")), sub)


def where_it_went(steps: Sequence[Step], more_ns: int) -> str:
    """'780 ms more in build report, 84 extra SELECTs'; '' when no step stands out."""
    said = []
    slower = sorted(steps, key=lambda step: -step.more_self_ns)[:2]
    for step in slower:
        if step.more_self_ns >= WORTH_SAYING * more_ns:
            said.append(f"{_took(step.more_self_ns)} more in {step.name if step.depth else 'the handler itself'}")
    most = max(steps, key=lambda step: step.more_calls, default=None)
    if most is not None and most.more_calls >= EXTRA_CALLS:
        is_named = any(most.name in each for each in said)
        said.append(f"{most.more_calls:,} extra calls of {'it' if is_named and len(said) == 1 else most.name}")
    return ", ".join(said)


def _only(steps: Sequence[Step], *, is_own: bool) -> str:
    """The uppermost steps that are only in one of the two."""
    lonely = [step for step in steps if not (step.normal_calls if is_own else step.own_calls)]
    paths = {step.path for step in lonely}
    return format.join([step.name for step in lonely if step.path[:-1] not in paths])


def _sub(say: Speech, own: Trace, normal: Trace) -> tuple[Part, ...]:
    return (
        Part("this trace", trace_link(say.link, own.trace_id)),
        Part(f" took {_took(own.duration_ns)} with {format.plural(len(own.spans), 'span')}; "),
        Part("the normal one", trace_link(say.link, normal.trace_id)),
        Part(f" {_took(normal.duration_ns)} with {len(normal.spans):,}, the median of those that succeeded"),
    )


def _took(duration_ns: int) -> str:
    return format.duration(duration_ns / 1e9)
