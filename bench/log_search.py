"""How long searches over many log lines take: what the indexes of `logs` are worth.

    python -m bench.log_search [--rows 20000000] [--keep FOLDER] [--repeat 5]

The lines are made inside the engine: a week of twelve services and twenty tenants, in five shapes with ids, numbers and
JSON. Every question is asked as LogQL asks it, and once more without indexes (plain): the ratio of the two is of processor
time, so that it holds on a busy machine, too.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tocsin.model.tenant import PLATFORM, Scope
from tocsin.query.log_source import LogSource
from tocsin.query.logql import engine as logql
from tocsin.query.logql.expressions import LogQuery
from tocsin.query.logql.parser import parse
from tocsin.query.promql.source import Grid
from tocsin.storage.telemetry.chdb import ChdbEngine
from tocsin.storage.telemetry.engine import Value
from tocsin.storage.telemetry.migrate import migrate
from tocsin.storage.telemetry.store import TelemetryStore

START = 1_795_000_000  # seconds; the lines fill the seven days behind
DAYS = 7
BLOCK = 250_000
BODIES = (
    "concat('GET /api/v1/orders/', toString(r1 % 1000000), ' 200 in ', toString(r2 % 900), ' ms')",
    "concat('Connection to db-', toString(r1 % 8), '.internal:5432 ', if(r2 % 200000 = 0, 'Timeout after ', "
    "'opened in '), toString(r3 % 3000), ' ms pool=primary')",
    "concat('Charged invoice inv_', lower(hex(r1)), ' amount ', toString(r2 % 100000), ' EUR via stripe')",
    'concat(\'{"event":"cache.get","key":"session:\', lower(hex(r1)), \'","hit":\', if(r2 % 3 = 0, \'false\', '
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
            "WITH sipHash64(number, 1) AS r1, sipHash64(number, 2) AS r2, sipHash64(number, 3) AS r3 "
            f"SELECT fromUnixTimestamp64Nano(toInt64({START * 10**9} + number * {step_ns}), 'UTC') AS t, t, "
            "concat('tenant-', toString(r1 % 20)), 'production', concat('service-', toString(r2 % 12)), "
            "concat('1.', toString(intDiv(number, 4000000))), "
            "multiIf(r3 % 100000 < 3, 21, r3 % 100 = 1, 17, r3 % 20 = 2, 13, r3 % 10 = 3, 5, 9), "
            f"multiIf({bodies}, {BODIES[-1]}), 's', toFixedString(unhex(hex(sipHash128(intDiv(number, 8)))), 16), "
            f"{ATTRIBUTES}, 'sssss', map('service.name', concat('service-', toString(r2 % 12)), 'host.name', "
            "concat('web-', toString(r2 % 24))), 'ss' "
            f"FROM numbers({first}, {min(BLOCK, rows - first)}) "
            "SETTINGS max_threads = 1, max_insert_threads = 1, "
            "exclude_materialize_skip_indexes_on_insert = 'body_words'"
        )
    return time.perf_counter() - started


@dataclass(frozen=True)
class Question:
    """`kind`: field, text or number. Texts with {names} are filled from a line that is there."""

    kind: str
    text: str
    tenant: str = ""


QUESTIONS = (
    Question("field", '{service_name="service-3"}'),
    Question("field", '{service_name="service-3", level="error"}'),
    Question("field", '{tenant="tenant-7", level="warn"}'),
    Question("field", '{level="fatal"}'),
    Question("field", '{host_name="web-11"}', "tenant-5"),
    Question("field", '{service_name=~".+"} | trace_id="{trace_id}"'),
    Question("field", '{service_name=~".+"} | request_id="{request_id}"'),
    Question("field", '{service_name=~".+"} | request_id="nobody"'),
    Question("field", '{service_name=~".+"} | http_route="/orders/7" | http_response_status_code="500"'),
    Question("field", '{service_name=~".+"} | enduser_id="{enduser_id}"'),
    Question("text", '{service_name=~".+"} |= "Charged invoice"'),
    Question("text", '{service_name=~".+"} |= "Timeout"'),
    Question("text", '{service_name=~".+"} |= "internal:5432 Timeout after"'),
    Question("text", '{service_name=~".+"} |= "nowhere to be found"'),
    Question("text", '{service_name=~".+"} |= "eouts"'),
    Question("text", '{service_name=~".+"} |~ "(?i)timeout|deadlock"'),
    Question("text", '{service_name="service-8", level="info"} |= "Timeout"', "tenant-0"),
    Question("number", 'sum by (level) (count_over_time({service_name="service-3"}[1h]))'),
    Question("number", 'sum(count_over_time({service_name=~".+"} |= "Timeout" [1h]))'),
    Question("number", 'sum by (service_name) (rate({level="error"}[1h]))'),
)


class Plain(TelemetryStore):
    """Reads every line: what the same question costs without an index."""

    def _limits(self, scope: Scope) -> dict[str, Value]:
        return {**super()._limits(scope), "use_skip_indexes": 0, "use_query_condition_cache": 0}


class Asking(TelemetryStore):
    """Without the engine's memory of earlier answers, which would make a repeated question too quick."""

    def _limits(self, scope: Scope) -> dict[str, Value]:
        return {**super()._limits(scope), "use_query_condition_cache": 0}


def ask(store: TelemetryStore, question: Question) -> int:
    """How many lines or series there were."""
    scope = Scope.of(question.tenant) if question.tenant else PLATFORM
    source, node = LogSource(store, scope), parse(question.text)
    end = START + DAYS * 86_400
    if isinstance(node, LogQuery):
        return len(logql.select_lines(source, node, logql.Asked(START * 10**9, end * 10**9, 100)).lines)
    grid = Grid((START + 3600) * 1000, end * 1000, 3_600_000)
    return len(logql.range_query(source, node, grid, question.text).series)


def filled(question: Question, labels: dict[str, str]) -> Question:
    text = question.text
    for name in ("trace_id", "request_id", "enduser_id"):
        text = text.replace(f"{{{name}}}", labels[name])
    return Question(question.kind, text, question.tenant)


def seconds_of(work: Callable[[], int], repeat: int) -> tuple[list[float], float, int]:
    """How long each took, the least processor time of one, and what it found."""
    took: list[float] = []
    busy: list[float] = []
    count = 0
    for _ in range(repeat):
        started, began = time.perf_counter(), time.process_time()
        count = work()
        took.append(time.perf_counter() - started)
        busy.append(time.process_time() - began)
    return took, min(busy), count


def report(engine: ChdbEngine, repeat: int) -> None:
    indexed, plain = Asking(engine), Plain(engine)
    rows, disk = indexed.read(
        PLATFORM, "SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'logs'"
    ).rows[0]
    parts = indexed.read(
        PLATFORM,
        "SELECT name, sum(data_compressed_bytes) FROM system.data_skipping_indices WHERE table = 'logs' GROUP BY name",
    ).rows
    print(f"{rows:,} lines, {disk / rows:.1f} bytes a line on disk; of it " + ", ".join(
        f"{name} {size / rows:.1f}" for name, size in sorted(parts, key=lambda part: -part[1])
    ))  # fmt: skip
    middle = logql.Asked((START + DAYS * 43_200) * 10**9, (START + DAYS * 43_200 + 600) * 10**9, 1)
    query = parse("{}")
    assert isinstance(query, LogQuery)
    [line] = logql.select_lines(LogSource(indexed, PLATFORM), query, middle).lines
    found: dict[str, list[float]] = {}
    print(f"{'median ms':>9} {'worst':>7} {'CPU ms':>7} {'plain':>7} {'ratio':>6} {'found':>5}  question")
    for question in (filled(one, line.labels()) for one in QUESTIONS):
        took, busy, count = seconds_of(partial(ask, indexed, question), repeat)
        _, whole, _ = seconds_of(partial(ask, plain, question), 1)
        middle_of = statistics.median(took)
        found.setdefault(question.kind, []).append(middle_of)
        print(
            f"{middle_of * 1000:9.0f} {max(took) * 1000:7.0f} {busy * 1000:7.0f} {whole * 1000:7.0f} {whole / busy:6.1f} "
            f"{count:5}  {question.text}{f' as {question.tenant}' if question.tenant else ''}",
            flush=True,
        )
    for kind, medians in found.items():
        print(f"{kind}: median {statistics.median(medians) * 1000:.0f} ms, worst {max(medians) * 1000:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="a folder that is filled once and asked again")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engine = ChdbEngine(folder)
        stack.callback(engine.close)
        migrate(engine)
        if not engine.query("SELECT count() FROM logs", {}, {}, 60).rows[0][0]:
            print(
                f"{given.rows / fill(engine, given.rows):,.0f} lines a second inserted, merges beside them", flush=True
            )
            while engine.query("SELECT count() FROM system.merges", {}, {}, 60).rows[0][0]:
                time.sleep(1)
        report(engine, given.repeat)


if __name__ == "__main__":
    main()
