"""The sentence above the service map: which dependency hurts whom."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.query.map import Call, ServiceMap
from tocsin.web import format
from tocsin.web.words import FAILING_RATIO, NOTICED_RATIO, Headline, Linker, Part, Speech, row, service_link

MEANT = 3
"""A dependency hurts from so many failed calls on; one failure in ten calls is an accident."""


def service_map(say: Speech, found: ServiceMap) -> Headline:
    if not found.services:
        return Headline("quiet", (Part(f"No requests in {say.span}."),))
    worst = [call for call in found.calls if call.failures >= MEANT and call.error_ratio >= NOTICED_RATIO]
    worst.sort(key=lambda call: -call.error_ratio)
    if worst:
        return _hurts(say, worst[0], len(worst) - 1)
    if not found.calls:
        sub = (Part("Calls appear as soon as a service passes its trace context on, or records its calls as spans."),)
        return Headline("quiet", (Part("No service calls another."),), sub)
    count = len({call.callee for call in found.calls})
    text = "The dependency answers." if count == 1 else f"{format.all_word(count)} dependencies answer."
    return Headline("ok", (Part(text),), _slowest(say, found.calls))


def calls_link(link: Linker, call: Call, **more: object) -> str:
    """The traces with such a call."""
    if call.attribute is not None:
        return link("/traces", service=call.caller, attribute=":".join(call.attribute), **more)
    return link("/traces", service=call.callee, caller=call.caller, **more)


def _hurts(say: Speech, call: Call, others: int) -> Headline:
    rest = f", and {format.plural(others, 'more dependency', 'more dependencies')} with failures" if others else ""
    parts = (
        Part(call.callee, calls_link(say.link, call, status="error"), True),
        Part(f" fails {format.percent(call.error_ratio)} % of the calls of "),
        Part(call.caller, service_link(say.link, call.caller)),
        Part(f"{rest}."),
    )
    said = [
        Part(f"{format.number(call.failures)} of {format.plural(call.calls, 'call')}"),
        Part(f"p95 {format.duration(call.p95_seconds)}"),
        Part("open the failing traces", calls_link(say.link, call, status="error")),
    ]
    return Headline("bad" if call.error_ratio >= FAILING_RATIO else "warn", parts, row(said))


def _slowest(say: Speech, calls: Sequence[Call]) -> tuple[Part, ...]:
    slowest = max(calls, key=lambda call: call.p95_seconds or 0.0)
    if slowest.p95_seconds is None:
        return ()
    took = f"Slowest: {slowest.callee}, p95 {format.duration(slowest.p95_seconds)} for {slowest.caller}"
    return (Part(took, calls_link(say.link, slowest, order="slowest")),)
