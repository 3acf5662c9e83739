"""How long every page takes on thirty days of data.

    python -m bench.pages [--millions 10]

Fills a store with so many million spans of 40 routes and 100 tenants over thirty days, starts the server on it, and
asks for each page three times at each range. Prints milliseconds from request to last byte, median of three.
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
    '',     concat('tenant-', toString(intDiv(rand(1) % 10000, 100))), 'bench', 'bench', '1.0', 'opentelemetry',
    concat('GET ', route), 2, 'GET', concat('/items/', toString(rand(2) % 40)) AS route,
    if(rand(3) % 100 = 0, 500, 200) AS status_code, if(status_code = 500, 2, 0),
    map('http.request.method', 'GET', 'http.route', route, 'http.response.status_code', toString(status_code)), 'ssi',
    if(status_code = 500, [toUnixTimestamp64Nano(start)], []), if(status_code = 500, ['exception'], []),
    if(status_code = 500, [map('exception.type', 'ValueError', 'exception.message', 'bad amount')], []),
    if(status_code = 500, ['ss'], [])
FROM numbers({count})
SETTINGS max_partitions_per_insert_block = 0
"""


def fill(data: Path, spans: int) -> float:
    """Seconds it took to put `spans` spans, newest first, into a new store."""
    started = time.perf_counter()
    engine = ChdbEngine(data / "telemetry")
    migrate(engine)
    for first in range(0, spans, CHUNK):
        engine.execute(FILL.format(first=first, total=spans, days=DAYS, count=min(CHUNK, spans - first)))
    engine.close()
    return time.perf_counter() - started


def milliseconds(server: Running, path: str) -> float:
    started = time.perf_counter()
    server.text(path)
    return (time.perf_counter() - started) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=float, default=10)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seconds = fill(Path(folder), int(chosen.millions * 1e6))
        print(f"{chosen.millions:g} million spans over {DAYS} days, filled in {seconds:.0f} s")
        server = tocsin_on(Path(folder))
        print(f"{'page':<28}" + "".join(f"{name:>8}" for name in RANGES))
        for page, path in PAGES.items():
            times = [
                statistics.median(milliseconds(server, f"{path}range={name}") for _ in range(3)) for name in RANGES
            ]
            print(f"{page:<28}" + "".join(f"{value:8.0f}" for value in times))
        server.stop()


if __name__ == "__main__":
    main()
