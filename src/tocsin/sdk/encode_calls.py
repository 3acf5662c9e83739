"""What the app has called, by caller: exact counts that the server folds into its rollup of calls.

Every operation is an instrumentation scope of its own, so that its text is sent once an export, not once a point.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tocsin.sdk.encode import AttributeCache, delimited, key_value
from tocsin.sdk.encode import text as utf8
from tocsin.sdk.encode_points import TIMES, exponential, metric, plain_point

if TYPE_CHECKING:
    from tocsin.sdk.call_digest import CallCollection
    from tocsin.sdk.calls import Operation

# The server knows them by these names; see `storage/telemetry/decode_calls.py`.
CALLS, AMOUNT, ASKED = "tocsin.calls", "tocsin.calls.amount", "tocsin.calls.asked"
REPEATED, REPEAT_SECONDS = "tocsin.calls.repeated", "tocsin.calls.repeat.duration"
SLOW = "tocsin.calls.slow"
SCOPE = "tocsin.calls"


_UNITS = {REPEAT_SECONDS: "s", SLOW: "s"}
_Points = dict[str, list[bytes]]


class CallEncoder:
    """Encodes collections of calls; used by one thread at a time."""

    def __init__(self, version: str) -> None:
        self._head = delimited(b"\x0a", utf8(SCOPE)) + delimited(b"\x12", utf8(version))
        self._exponential = AttributeCache(b"\x0a")
        self._histogram = AttributeCache(b"\x4a")

    def encode(self, calls: CallCollection, now_ns: int) -> list[tuple[bytes, list[bytes]]]:
        """(scope, metrics) by operation: durations as deltas, and what the calls brought."""
        times = TIMES.pack(b"\x11", calls.start_ns, b"\x19", now_ns)
        made: dict[Operation, _Points] = {}
        for (operation, tenant, error, caller), row in calls.by_caller.items():
            points = made.setdefault(operation, {})
            facts = _facts(tenant, caller, "error.type", error)
            if row.buckets:
                labels = self._exponential.encode_all(facts)
                points.setdefault(CALLS, []).append(delimited(b"\x0a", labels + times + exponential(row)))
            plain = self._histogram.encode_all(facts)
            if row.amount:
                points.setdefault(AMOUNT, []).append(plain_point(plain, times, row.count, row.amount))
            if row.asked:
                points.setdefault(ASKED, []).append(plain_point(plain, times, row.count, row.asked))
        for key, place in calls.places.items():
            points = made.setdefault(key.operation, {})
            plain = self._histogram.encode_all(_facts(key.tenant, key.caller, "tocsin.call.line", key.line))
            count = place.repeat_requests
            if count:
                points.setdefault(REPEATED, []).append(plain_point(plain, times, count, place.repeat_calls))
                points.setdefault(REPEAT_SECONDS, []).append(plain_point(plain, times, count, place.repeat_seconds))
            if place.slow_calls:
                points.setdefault(SLOW, []).append(plain_point(plain, times, place.slow_calls, place.slow_seconds))
        return [(self._scope(operation), list(_metrics(points))) for operation, points in made.items()]

    def _scope(self, operation: Operation) -> bytes:
        if not operation.scope:
            facts = {"tocsin.call.kind": operation.kind.group, **operation.attributes}
            if operation.origin:
                facts["tocsin.call.origin"] = operation.origin
            attributes = [delimited(b"\x1a", key_value(key, value)) for key, value in facts.items()]
            operation.scope = delimited(b"\x0a", self._head + b"".join(attributes))
        return operation.scope


def _metrics(points: _Points) -> Iterable[bytes]:
    for name, of_name in points.items():
        unit, tag = ("s", b"\x52") if name == CALLS else (_UNITS.get(name, ""), b"\x4a")
        yield delimited(b"\x12", metric(name, unit, tag, of_name))


def _facts(tenant: str, caller: str, name: str, value: str) -> dict[str, str]:
    facts = {"tocsin.caller": caller} if caller else {}
    if tenant:
        facts["tocsin.tenant"] = tenant
    if value:
        facts[name] = value
    return facts
