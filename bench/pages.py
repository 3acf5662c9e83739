"""How long every page takes on thirty days of data.

    python -m bench.pages [--millions 10]

Fills a store with thirty days of 40 routes and 100 tenants: so many million spans with their errors and a release a
week, the calls of those routes, jobs, critical operations, isolation and eight processes. Starts the server on it and
asks for each page three times at each range. Prints milliseconds from request to last byte, median of three; beside
them the processor's milliseconds, which other programs on the machine disturb less.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from bench.server import Running, tocsin_on
from tocsin.storage.telemetry.chdb import ChdbEngine
from tocsin.storage.telemetry.migrate import migrate

DAYS, CHUNK = 30, 500_000
PAGES = {
    "overview": "/?",
    "services": "/services?",
    "service": "/services/bench?",
    "endpoint": "/services/bench/endpoint?method=GET&route=/items/7&",
    "traces": "/traces?",
    "failing traces of a tenant": "/traces?status=error&tenant=tenant-7&",
    "tenants": "/tenants?",
    "tenant": "/tenants/tenant-7?",
    "database": "/database?",
    "database of a tenant": "/database?tenant=tenant-7&",
    "statement": "/database/digest-7?",
    "dependencies": "/dependencies?",
    "jobs": "/jobs?",
    "job": "/jobs/job-2?",
    "errors": "/errors?",
    "runtime": "/runtime?",
    "operations": "/operations?",
    "operation": "/operations/operation-1?",
    "isolation": "/isolation?",
    "releases": "/releases?",
    "release": "/releases/bench/1.3?",
    "dashboard": "/dashboards/application?",
    "explorer": "/explore?q=sum+by+(route)+(rate(http_requests_total[1h]))&",
}
RANGES = ("1h", "24h", "7d", "30d")

FILL = """
INSERT INTO spans (start, duration_ns, trace_id, span_id, parent_span_id, tenant, environment, service, release, sdk,
    name, kind, method, route, status_code, status, attributes, attribute_types, event_times, event_names,
    event_attributes, event_types)
SELECT
    now64(9) - toIntervalMillisecond(toUInt64(({first} + number) / {total} * {days} * 86400000)) AS start,
    toUInt64(exp(16 + randNormal(0, 1))), unhex(hex(generateUUIDv4())), substring(unhex(hex(generateUUIDv4())), 1, 8),
    '',     concat('tenant-', toString(intDiv(rand(1) % 10000, 100))), 'bench', 'bench',
    concat('1.', toString(intDiv({first} + number, intDiv({total}, 4)))), 'opentelemetry',
    concat('GET ', route), 2, 'GET', concat('/items/', toString(rand(2) % 40)) AS route,
    if(rand(3) % 100 = 0, 500, 200) AS status_code, if(status_code = 500, 2, 0),
    map('http.request.method', 'GET', 'http.route', route, 'http.response.status_code', toString(status_code)), 'ssi',
    if(status_code = 500, [toUnixTimestamp64Nano(start)], []), if(status_code = 500, ['exception'], []),
    if(status_code = 500, [map('exception.type', 'ValueError', 'exception.message', 'bad amount')], []),
    if(status_code = 500, ['ss'], [])
FROM numbers({count})
SETTINGS max_partitions_per_insert_block = 0
"""

# Once an hour for thirty days, and every five minutes of the last one besides.
CALLS = """
INSERT INTO calls_10s (time, environment, service, tenant, kind, system, target, digest, caller, error, line, release,
    sdk, operation, collection, origin, calls, seconds, buckets, amount, asked, repeat_requests, repeat_calls,
    repeat_seconds, slow_calls, slow_seconds)
SELECT toDateTime(now() - 60 * {every} * intDiv(number, 1600), 'UTC'), 'bench', 'bench',
    concat('tenant-', toString(number % 20)), ['db', 'db', 'db', 'http', 'cache'][of % 5 + 1] AS kind,
    if(kind = 'http', 'http', if(kind = 'db', 'postgresql', 'redis')),
    if(kind = 'http', concat('host-', toString(of % 8)), 'db1/bench'), concat('digest-', toString(of)),
    concat('GET /items/', toString(of % 40)), if(rand(1) % 500 = 0, 'TimeoutError', ''),
    if(of % 20 = 0, 'app/items.py:7 in load', ''), '1.3', 'tocsin', concat('SELECT * FROM table_', toString(of)),
    concat('table_', toString(of % 30)), 'app/items.py:7 in load', 20 * {every}, 0.2 * {every},
    map(toInt16(-450 + rand(2) % 60), toUInt64(20 * {every})), 40, if(kind = 'cache', 20 * {every}, 0),
    if(of % 20 = 0, 3, 0), if(of % 20 = 0, 40, 0), if(of % 20 = 0, 0.1, 0), of % 40 = 0, if(of % 40 = 0, 0.3, 0)
FROM (SELECT number, intDiv(number, 20) % 80 AS of FROM numbers({first}, {count}))
SETTINGS max_partitions_per_insert_block = 0
"""
# (metric, its labels as SQL over `number`, number of series without their tenants)
COUNTED = (
    ("operation_outcomes_total", "map('operation', concat('operation-', toString(number % 8)), 'outcome', "
     "['success', 'failure'][intDiv(number, 8) % 2 + 1], 'reason', 'TimeoutError')", 16),
    ("job_runs_total", "map('job_name', concat('job-', toString(number % 8)), 'system', 'celery', 'queue', 'default', "
     "'outcome', ['success', 'failure'][intDiv(number, 8) % 2 + 1])", 16),
    ("tenant_isolation_statements_total", "map('result', ['scoped', 'rows', 'unscoped', 'exempt'][number % 4 + 1])", 4),
)  # fmt: skip
SPREAD = (
    ("operation_duration_seconds", "map('operation', concat('operation-', toString(number % 8)))", 8),
    ("job_duration_seconds", "map('job_name', concat('job-', toString(number % 8)), 'system', 'celery', 'queue', "
     "'default')", 8),
)  # fmt: skip
LEVELS = (
    "process_uptime_seconds", "process_resident_memory_bytes", "process_memory_floor_bytes", "python_threads",
    "process_cpu_seconds_total", "python_asyncio_tasks",
)  # fmt: skip
PAUSES = ("python_event_loop_lag_seconds", "python_gc_pause_seconds")
PROCESSES = 8
SERIES = """
INSERT INTO series SELECT toDate(now()) - intDiv(number, {count}) AS day, '{name}', {tenant}, {id}, {labels}, 'bench',
    'bench', {instance}, {is_delta}, toDateTime64(day, 3, 'UTC')
FROM (SELECT number, number % {count} AS of FROM numbers({count} * {days}))
"""


def fill_inside(engine: ChdbEngine) -> None:
    """Calls, jobs, operations, isolation and processes."""
    for every, steps in ((60, DAYS * 24), (5, 24 * 12)):
        for first in range(0, steps * 1600, CHUNK):
            engine.execute(CALLS.format(every=every, first=first, count=min(CHUNK, steps * 1600 - first)))
    for name, labels, kinds in COUNTED:
        engine.execute(_series(name, labels, kinds * 20, "1", "concat('tenant-', toString(of % 20))"))
        engine.execute(
            f"INSERT INTO deltas SELECT '{name}', sipHash64('{name}', number % {kinds * 20}), concat('tenant-', "
            f"toString(number % 20)), now64(3) - toIntervalMinute(5 * intDiv(number, {kinds * 20})), "
            f"1 + rand() % 20 FROM numbers({kinds * 20 * DAYS * 288}) SETTINGS max_partitions_per_insert_block = 0"
        )
    for name, labels, kinds in SPREAD:
        engine.execute(_series(name, labels, kinds * 20, "1", "concat('tenant-', toString(of % 20))"))
        engine.execute(_histograms(name, kinds * 20, 5, "concat('tenant-', toString(number % 20))", is_delta=True))
    for name in LEVELS:
        engine.execute(_series(name, "map()", PROCESSES, "0", "''"))
        engine.execute(
            f"INSERT INTO samples SELECT '{name}', sipHash64('{name}', number % {PROCESSES}), '', now64(3) - "
            f"toIntervalSecond(15 * intDiv(number, {PROCESSES})), 1e6 - intDiv(number, {PROCESSES}) "
            f"FROM numbers({PROCESSES * DAYS * 5760}) SETTINGS max_partitions_per_insert_block = 0"
        )
    for name in PAUSES:
        engine.execute(_series(name, "map()", PROCESSES, "0", "''"))
        engine.execute(_histograms(name, PROCESSES, 1, "''", is_delta=False))


def _series(name: str, labels: str, count: int, is_delta: str, tenant: str) -> str:
    instance = "''" if is_delta == "1" else "concat('process-', toString(of))"
    labels = labels.replace("number", "intDiv(of, 20)")
    return SERIES.format(
        name=name, count=count, days=DAYS, labels=labels, is_delta=is_delta, tenant=tenant, instance=instance,
        id=f"sipHash64('{name}', of)",
    )  # fmt: skip


def _histograms(name: str, count: int, minutes: int, tenant: str, *, is_delta: bool) -> str:
    steps = DAYS * 1440 // minutes
    much = "20" if is_delta else f"20 * ({steps} - intDiv(number, {count}))"
    return (
        f"INSERT INTO native_histograms (name, series, tenant, time, is_delta, schema, count, sum, positive_indexes, "
        f"positive_counts) SELECT '{name}', sipHash64('{name}', number % {count}), {tenant}, now64(3) - "
        f"toIntervalMinute({minutes} * intDiv(number, {count})), {is_delta:d}, {6 if is_delta else 2}, {much}, "
        f"0.05 * {much}, arrayMap(at -> toInt32(at - 16), range(12)), "
        f"arrayMap(at -> toFloat64({much}) / 12, range(12)) "
        f"FROM numbers({count * steps}) SETTINGS max_partitions_per_insert_block = 0"
    )


def fill(data: Path, spans: int) -> float:
    """Seconds it took to put `spans` spans, newest first, into a new store."""
    started = time.perf_counter()
    engine = ChdbEngine(data / "telemetry")
    migrate(engine)
    for first in range(0, spans, CHUNK):
        engine.execute(FILL.format(first=first, total=spans, days=DAYS, count=min(CHUNK, spans - first)))
    fill_inside(engine)
    engine.close()
    return time.perf_counter() - started


def milliseconds(server: Running, path: str) -> tuple[float, float]:
    """From request to last byte: of the clock, and of the processor."""
    started, used = time.perf_counter(), server.cpu_seconds()
    server.text(path)
    return (time.perf_counter() - started) * 1000, (server.cpu_seconds() - used) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=float, default=10)
    parser.add_argument("--data", type=Path, help="a folder to keep; one that is filled already is used as it is")
    parser.add_argument("--only", default="", help="pages with this word in their name")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = chosen.data or Path(folder)
        if not (data / "telemetry").exists():
            seconds = fill(data, int(chosen.millions * 1e6))
            print(f"{chosen.millions:g} million spans over {DAYS} days, filled in {seconds:.0f} s")
        server = tocsin_on(data)
        print(f"{'page':<28}" + "".join(f"{name:>8}" for name in RANGES) + f"{'of processor':>16}")
        for page, path in PAGES.items():
            if chosen.only not in page:
                continue
            taken = [[milliseconds(server, f"{path}range={name}") for _ in range(3)] for name in RANGES]
            clock, processor = ([statistics.median(each[of] for each in one) for one in taken] for of in (0, 1))
            print(
                f"{page:<28}" + "".join(f"{value:8.0f}" for value in clock)
                + "   " + "".join(f"{value:8.0f}" for value in processor), flush=True,
            )  # fmt: skip
        server.stop()


if __name__ == "__main__":
    main()
