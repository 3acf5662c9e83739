"""The columns of the rollup of calls, out of the metrics in which our SDK counts them.

Each operation is an instrumentation scope: its attributes say what was called, those of the points by whom.
"""

from __future__ import annotations

from tocsin.storage.telemetry.messages import KEY_VALUE
from tocsin.storage.telemetry.otlp_sql import map_sql, tenant_sql, time_sql

CALLS, AMOUNT, ASKED = "tocsin.calls", "tocsin.calls.amount", "tocsin.calls.asked"
REPEATED, REPEAT_SECONDS = "tocsin.calls.repeated", "tocsin.calls.repeat.duration"
SLOW = "tocsin.calls.slow"
# What our SDK counts of calls: these metrics make no series.
CALL_METRICS = (CALLS, AMOUNT, ASKED, REPEATED, REPEAT_SECONDS, SLOW)

_NAMESPACE, _ADDRESS, _PORT = "called['db.namespace']", "called['server.address']", "called['server.port']"
_AT = f"if({_PORT} IN ('', '0', '80', '443'), {_ADDRESS}, concat({_ADDRESS}, ':', {_PORT}))"
_POOL = "called['db.client.connection.pool.name']"
_KIND = "called['tocsin.call.kind']"
_TEMPLATE = "concat(called['http.request.method'], ' ', called['url.template'])"
_OPERATION = (
    f"multiIf(called['db.query.text'] != '', called['db.query.text'], {_KIND} = 'http', trimRight({_TEMPLATE}), "
    f"{_KIND} = 'pool', 'connection wait', called['db.query.summary'])"
)
_DIGEST = "called['tocsin.db.fingerprint']"

COLUMNS = {
    "time": f"toStartOfInterval({time_sql('point.time')}, INTERVAL 10 SECOND)",
    "environment": "if(resource['deployment.environment.name'] != '', resource['deployment.environment.name'], "
    "resource['deployment.environment'])",
    "service": "if(resource['service.name'] != '', resource['service.name'], 'unknown_service')",
    "tenant": tenant_sql("attributes", "resource"),
    "kind": _KIND,
    "system": f"multiIf({_KIND} = 'pool', splitByChar('/', {_POOL})[1], {_KIND} = 'http', 'http', "
    "called['db.system.name'])",
    "target": f"multiIf({_KIND} = 'pool', {_POOL}, {_KIND} = 'http', {_AT}, {_ADDRESS} = '', {_NAMESPACE}, "
    f"{_NAMESPACE} = '', {_AT}, concat({_AT}, '/', {_NAMESPACE}))",
    "digest": f"if({_DIGEST} != '', {_DIGEST}, lower(hex(sipHash64({_OPERATION}))))",
    "caller": "attributes['tocsin.caller']",
    "error": "attributes['error.type']",
    "line": "attributes['tocsin.call.line']",
    "release": "resource['service.version']",
    "sdk": "resource['telemetry.sdk.name']",
    "operation": f"any({_OPERATION})",
    "collection": "any(if(called['db.collection.name'] != '', called['db.collection.name'], called['tocsin.cache']))",
    "origin": "any(called['tocsin.call.origin'])",
    "calls": f"sumIf(point.count, name = '{CALLS}')",
    "seconds": f"sumIf(point.sum, name = '{CALLS}')",
    "buckets": "sumMap(mapFromArrays(arrayMap(i -> toInt16(point.offset + i - 1), arrayFilter(i -> "
    "point.bucket_counts[i] > 0, arrayEnumerate(point.bucket_counts))), arrayFilter(c -> c > 0, point.bucket_counts)))",
    "amount": f"sumIf(toUInt64(point.sum), name = '{AMOUNT}')",
    "asked": f"sumIf(toUInt64(point.sum), name = '{ASKED}')",
    "repeat_requests": f"sumIf(point.count, name = '{REPEATED}')",
    "repeat_calls": f"sumIf(toUInt64(point.sum), name = '{REPEATED}')",
    "repeat_seconds": f"sumIf(point.sum, name = '{REPEAT_SECONDS}')",
    "slow_calls": f"sumIf(point.count, name = '{SLOW}')",
    "slow_seconds": f"sumIf(point.sum, name = '{SLOW}')",
}
DIMENSIONS = 13  # the first columns; the rest add up

_SHAPE = (
    f"Array(Tuple(attributes Array({KEY_VALUE.column_type()}), time UInt64, count UInt64, sum Float64, offset Int32, "
    "bucket_counts Array(UInt64)))"
)
# Only deltas count, and durations only in buckets of the rollups' own scale.
_POINTS = (
    "CAST(arrayConcat("
    "arrayMap(p -> (p.attributes, p.time_unix_nano, p.count, ifNull(p.sum, 0), p.positive.offset, "
    "p.positive.bucket_counts), arrayFilter(p -> p.scale = 6, metric.exponential.points)), "
    "arrayMap(p -> (p.attributes, p.time_unix_nano, p.count, ifNull(p.sum, 0), 0, []), metric.histogram.points)"
    f"), '{_SHAPE}')"
)
_PLAIN = ", ".join(f"'{name}'" for name in (AMOUNT, ASKED, REPEATED, REPEAT_SECONDS, SLOW))
_IS_OURS = (
    f"(metric.name = '{CALLS}' AND metric.exponential.temporality = 1) OR "
    f"(metric.name IN ({_PLAIN}) AND metric.histogram.temporality = 1)"
)


def points(table_function: str) -> str:
    """Rows (resource, called, name, point, attributes): one per point; `called` are the scope's attributes."""
    scopes = (
        f"SELECT {map_sql('part.resource.attributes')} AS resource, arrayJoin(part.scope_items) AS scope_item "
        f"FROM (SELECT arrayJoin(resource_items) AS part FROM {table_function})"
    )
    metrics = (
        f"SELECT resource, {map_sql('scope_item.scope.attributes')} AS called, arrayJoin(scope_item.metrics) AS metric "
        f"FROM ({scopes}) WHERE resource['telemetry.sdk.name'] = 'tocsin' AND scope_item.scope.name = 'tocsin.calls'"
    )
    return (
        f"SELECT resource, called, metric.name AS name, point, {map_sql('point.attributes')} AS attributes "
        f"FROM (SELECT resource, called, metric, arrayJoin({_POINTS}) AS point FROM ({metrics}) WHERE {_IS_OURS})"
    )
