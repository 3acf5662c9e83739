"""How long searches over many log lines take: what the indexes of `logs` are worth.

    python -m bench.log_search [--rows 20000000] [--keep FOLDER] [--repeat 5]

The lines are made inside the engine: a week of twelve services and twenty tenants, in five shapes with ids, numbers and
JSON. Every question is asked as LogQL asks it, and once more by reading every line, so that the ratio holds on any
machine.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tocsin.model.tenant import PLATFORM
from tocsin.storage.telemetry.chdb import ChdbEngine
from tocsin.storage.telemetry.migrate import migrate
from tocsin.storage.telemetry.store import QuerySettings, TelemetryStore

START = 1_795_000_000  # seconds; the lines fill the seven days behind
DAYS = 7
BLOCK = 250_000
BODIES = (
    "concat('GET /api/v1/orders/', toString(r1 % 1000000), ' 200 in ', toString(r2 % 900), ' ms')",
    "concat('Connection to db-', toString(r1 % 8), '.internal:5432 ', if(r2 % 200000 = 0, 'Timeout after ', "
    "'opened in '), toString(r3 % 3000), ' ms pool=primary')",
    "concat('Charged invoice inv_', lower(hex(r1)), ' amount ', toString(r2 % 100000), ' EUR via stripe')",
    "concat('{\"event\":\"cache.get\",\"key\":\"session:', lower(hex(r1)), '\",\"hit\":', if(r2 % 3 = 0, 'false', "
    "'true'), ',\"duration\":', toString((r3 % 5000) / 1000), '}')",
    "concat('Worker ', toString(r1 % 64), ' finished job ', toString(r2 % 100000), ' queue=mail attempts=', "
    "toString(r3 % 4))",
)
ATTRIBUTES = (
    "map('request.id', lower(hex(sipHash64(number, 7))), 'http.route', concat('/orders/', toString(r1 % 40)), "
    "'http.response.status_code', if(r2 % 50 = 0, '500', '200'), 'enduser.id', toString(r3 % 10000), "
    "'duration_ms', toString(r2 % 3000))"
)


def fill(engine: ChdbEngine, rows: int) -> float:
    """Seconds it took."""
    started = time.perf_counter()
    step_ns = DAYS * 86_400 * 10**9 // rows
    bodies = ", ".join(f"number % {len(BODIES)} = {place}, {body}" for place, body in enumerate(BODIES[:-1]))
    for first in range(0, rows, BLOCK):
        engine.execute(
            "INSERT INTO logs (time, observed, tenant, environment, service, release, severity, body, body_type, "
            "trace_id, attributes, attribute_types, resource, resource_types) "
            f"WITH sipHash64(number, 1) AS r1, sipHash64(number, 2) AS r2, sipHash64(number, 3) AS r3 "
            f"SELECT fromUnixTimestamp64Nano(toInt64({START * 10**9} + number * {step_ns}), 'UTC') AS t, t, "
            "concat('tenant-', toString(r1 % 20)), 'production', concat('service-', toString(r2 % 12)), "
            "concat('1.', toString(intDiv(number, 4000000))), "
            "multiIf(r3 % 100000 < 3, 21, r3 % 100 = 1, 17, r3 % 20 = 2, 13, r3 % 10 = 3, 5, 9), "
            f"multiIf({bodies}, {BODIES[-1]}), 's', toFixedString(unhex(hex(sipHash128(intDiv(number, 8)))), 16), "
            f"{ATTRIBUTES}, 'sssss', map('service.name', concat('service-', toString(r2 % 12)), 'host.name', "
            "concat('web-', toString(r2 % 24))), 'ss' "
            f"FROM numbers({first}, {min(BLOCK, rows - first)}) "
            f"SETTINGS max_threads = 1, max_insert_threads = 1, exclude_materialize_skip_indexes_on_insert = 'body_words'"
        )
    return time.perf_counter() - started
