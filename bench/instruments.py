"""What watching costs each query, Redis command, HTTP call and job: Tocsin beside OpenTelemetry's packages, in one run.

    python -m bench.instruments [--quick] [--only query|psycopg|asyncpg|command|call|isolation|job]

Every candidate has a process of its own, in which its instrument is switched on and off in turns, below the same
request span. `on the path` is what the caller waits for: of the requests of a pass, ten calls each, the lower quartile
(the machine is shared), on less off, and the median over the passes. `CPU` adds what comes later, spans made, encoded
and sent to a sink in another process; it is the whole process's, all threads. `own meter` is what the SDK reports of
itself in the running product. Redis and the HTTP server are
processes of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from bench.postgres import running_postgres
from bench.sdk_overhead import free_port, start, wait_for

CANDIDATES = ("tocsin", "opentelemetry")
CALLS_A_REQUEST = 10
NAMES = {
    "query": "SQLAlchemy query (SQLite)",
    "psycopg": "psycopg query",
    "asyncpg": "asyncpg query",
    "command": "Redis GET",
    "call": "httpx GET",
    "job": "Celery task, queued and run",
}
Switch = Callable[[bool], None]
Work = Callable[[], Any]


# -- what is called


def prepare_query(_ports: dict[str, int]) -> tuple[Work, Any]:
    from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, insert, select

    engine = create_engine("sqlite://")
    metadata = MetaData()
    customers = Table("customers", metadata, Column("id", Integer, primary_key=True), Column("name", String(50)))
    metadata.create_all(engine)
    connection = engine.connect()
    connection.execute(insert(customers), [{"id": n, "name": f"customer {n}"} for n in range(10)])
    statement = select(customers).where(customers.c.id == 7)

    def work() -> None:
        connection.execute(statement).all()

    return work, engine


def prepare_psycopg(ports: dict[str, int]) -> tuple[Work, Any]:
    import psycopg

    url = f"postgresql://bench@127.0.0.1:{ports['postgres']}/postgres"
    connection = psycopg.connect(url, autocommit=True)
    return lambda: connection.execute("SELECT 7 + %s", (1,)).fetchall(), None


def prepare_asyncpg(ports: dict[str, int]) -> tuple[Work, Any]:
    import asyncpg

    url = f"postgresql://bench@127.0.0.1:{ports['postgres']}/postgres"
    opened: list[Any] = []

    async def work() -> None:
        if not opened:
            opened.append(await asyncpg.connect(url))
        await opened[0].fetch("SELECT 7 + $1", 1)

    return work, None


def prepare_command(ports: dict[str, int]) -> tuple[Work, Any]:
    import redis

    client = redis.Redis(port=ports["redis"])
    client.set("customer:7:name", "Ada")
    return lambda: client.get("customer:7:name"), None


def prepare_call(ports: dict[str, int]) -> tuple[Work, Any]:
    import httpx

    client = httpx.Client(trust_env=False)
    url = f"http://127.0.0.1:{ports['sink']}/customers/7"
    return lambda: client.post(url, content=b"x"), None


def prepare_job(_ports: dict[str, int]) -> tuple[Work, Any]:
    """A task put into a queue in memory, taken out again, and run: without a broker, whose time is not asked for."""
    from celery import Celery

    app = Celery("bench", broker="memory://", set_as_current=False)

    @app.task(name="bench.add")
    def add(one: int, other: int) -> int:
        return one + other

    channel = app.connection().default_channel

    def work() -> None:
        add.apply_async((1, 2))
        channel.basic_get("celery", no_ack=True)
        add.apply((1, 2))

    work()
    return work, None


PREPARE = {
    "query": prepare_query,
    "psycopg": prepare_psycopg,
    "asyncpg": prepare_asyncpg,
    "command": prepare_command,
    "call": prepare_call,
    "job": prepare_job,
}
INSTRUMENTS = {
    "query": "sqlalchemy",
    "psycopg": "psycopg",
    "asyncpg": "asyncpg",
    "command": "redis",
    "call": "httpx",
    "job": "celery",
}


# -- who watches


def own_figure() -> float:
    """What Tocsin's own meter, in the running product, says of a call in µs; 0 without it."""
    if "tocsin.sdk.agent" not in sys.modules:
        return 0.0
    from tocsin.sdk.agents import current_agent

    agent = current_agent()
    if agent is None:
        return 0.0
    costs = agent.meter.costs()
    # A task is queued below a request and runs as a job of its own.
    of_request = sum(costs.get(name, 0.0) for name in ("db", "cache", "http", "queue")) / CALLS_A_REQUEST
    return (of_request + costs.get("jobs", 0.0)) * 1e6


def with_tocsin(kind: str, app: Any, endpoint: str, _engine: Any) -> tuple[Any, Switch, Work]:
    from tocsin import MonitoringMiddleware, Settings
    from tocsin.sdk import instrument
    from tocsin.sdk.agents import current_agent

    # Ten equal calls a request are no N+1 here: what naming one costs is not what is asked.
    settings = Settings.load(
        endpoint=endpoint, service="bench", tenant="header:x-tenant-id", instruments=INSTRUMENTS[kind],
        repeated_queries=CALLS_A_REQUEST + 1, overhead_budget_us=0,
    )  # fmt: skip

    def switch(on: bool) -> None:
        if on:
            instrument.switch_on(settings)
            assert instrument.states()[INSTRUMENTS[kind]] == "on", instrument.states()
        else:
            instrument.switch_all_off()

    def flush() -> None:
        agent = current_agent()
        if agent is not None:
            agent.exporter.flush(5.0)

    return MonitoringMiddleware(app, settings=settings), switch, flush


def with_opentelemetry(kind: str, app: Any, endpoint: str, engine: Any) -> tuple[Any, Switch, Work]:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    exporter = OTLPSpanExporter(f"{endpoint}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=65536, schedule_delay_millis=200))
    trace.set_tracer_provider(provider)
    instrumentor, options = _instrumentor(kind, engine)

    def switch(on: bool) -> None:
        if on:
            # SQLAlchemy 2.1 is beyond what the package says it knows; it works when told to try.
            instrumentor.instrument(skip_dep_check=True, **options)
        elif instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()

    def flush() -> None:
        provider.force_flush()

    return OpenTelemetryMiddleware(app, exclude_spans=["receive", "send"]), switch, flush


def _instrumentor(kind: str, engine: Any) -> tuple[Any, dict[str, Any]]:
    if kind == "query":
        from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor

        return SQLAlchemyInstrumentor(), {"engine": engine}
    if kind == "command":
        from opentelemetry.instrumentation.redis import RedisInstrumentor

        return RedisInstrumentor(), {}
    if kind == "job":
        from opentelemetry.instrumentation.celery import CeleryInstrumentor

        return CeleryInstrumentor(), {}
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

    return HTTPXClientInstrumentor(), {}


WITH = {"tocsin": with_tocsin, "opentelemetry": with_opentelemetry}


# -- measuring


async def measure(candidate: str, kind: str, ports: dict[str, int], passes: int, requests: int) -> dict[str, float]:
    work, engine = PREPARE[kind](ports)
    spent_ns: list[int] = []
    is_async = asyncio.iscoroutinefunction(work)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        began = time.perf_counter_ns()
        for _ in range(CALLS_A_REQUEST):
            awaited = work()
            if is_async:
                await awaited
        spent_ns.append(time.perf_counter_ns() - began)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    endpoint = f"http://127.0.0.1:{ports['sink']}"
    watched, switch, flush = WITH[candidate](kind, app, endpoint, engine)
    path_us: dict[bool, list[float]] = {True: [], False: []}
    cpu_us: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(passes + 1):
        for on in (True, False) if turn % 2 else (False, True):
            switch(on)
            await run(watched, requests // 5)
            flush()
            spent_ns.clear()
            began = time.process_time()
            await run(watched, requests)
            flush()
            if turn:  # the first is for warming up
                cpu_us[on].append((time.process_time() - began) / requests / CALLS_A_REQUEST * 1e6)
                path_us[on].append(statistics.quantiles(spent_ns, n=4)[0] / CALLS_A_REQUEST / 1e3)
            switch(False)
    median = statistics.median
    return {
        "own": own_figure(),
        "bare": median(path_us[False]),
        "path": median(a - b for a, b in zip(path_us[True], path_us[False], strict=True)),
        "cpu": median(a - b for a, b in zip(cpu_us[True], cpu_us[False], strict=True)),
    }


async def run(app: Any, requests: int) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        pass

    for _ in range(requests):
        scope = {
            "type": "http", "method": "GET", "path": "/work", "raw_path": b"/work", "query_string": b"",
            "scheme": "http", "http_version": "1.1", "headers": [(b"host", b"bench"), (b"x-tenant-id", b"acme")],
            "root_path": "", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "asgi": {"version": "3.0"},
        }  # fmt: skip
        await app(scope, receive, send)


# -- tenant isolation: of our own, on top of what a query costs anyway

ISOLATION_ROWS = 500
ISOLATED = {
    "statement": "a statement checked",
    "row": f"a row checked, of {ISOLATION_ROWS}",
    "key": "a key of Redis checked",
    "new_key": "a key never seen before",
}


def isolated_keys(settings: Any) -> dict[str, Callable[[bool], None]]:
    """What the check adds to a command, without the way to Redis, beside which a microsecond is not seen."""
    from tocsin.sdk.instrument._isolation_keys import Keys

    keys = Keys(settings, str)
    numbers = itertools.count()

    def check_known(on: bool) -> None:
        args = ("GET", "org:acme:customer:7")
        if on:
            keys.check("GET", args)

    def check_new(on: bool) -> None:
        args = ("GET", f"org:acme:customer:{next(numbers)}")
        if on:
            keys.check("GET", args)

    return {"key": check_known, "new_key": check_new}


async def measure_isolation(ports: dict[str, int], passes: int, requests: int) -> dict[str, float]:
    """Added µs a statement of one row, a row of a statement with many, and a key; all of them are checked."""
    from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, insert, select

    import tocsin
    from tocsin import MonitoringMiddleware, Settings
    from tocsin.sdk import instrument

    engine = create_engine("sqlite://")
    orders = Table("orders", MetaData(), Column("id", Integer, primary_key=True), Column("org_id", String(20)))
    orders.create(engine)
    connection = engine.connect()
    connection.execute(insert(orders), [{"id": n, "org_id": "acme"} for n in range(ISOLATION_ROWS)])
    of_acme = select(orders).where(orders.c.org_id == "acme")
    one = of_acme.where(orders.c.id == 7)
    tocsin.isolation(tenant_columns=["org_id"], key_patterns=["org:{tenant}:*"])
    settings = Settings.load(
        endpoint=f"http://127.0.0.1:{ports['sink']}", service="bench", tenant="header:x-tenant-id",
        instruments="isolation", overhead_budget_us=0,
    )  # fmt: skip
    measured: dict[str, float] = {}
    work: dict[str, Callable[[bool], Any]] = {
        "statement": lambda _: connection.execute(one).all(),
        "row": lambda _: connection.execute(of_acme).all(),
        **isolated_keys(settings),
    }
    for name, do in work.items():
        parts = ISOLATION_ROWS if name == "row" else 1
        spent_ns: list[int] = []
        is_on = [False]

        async def app(
            scope: Any, receive: Any, send: Any, do: Any = do, spent: Any = spent_ns, is_on: Any = is_on
        ) -> None:
            on, began = is_on[0], time.perf_counter_ns()
            for _ in range(CALLS_A_REQUEST):
                do(on)
            spent.append(time.perf_counter_ns() - began)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})

        watched = MonitoringMiddleware(app, settings=settings)
        taken: dict[bool, list[float]] = {True: [], False: []}
        for turn in range(passes + 1):
            for on in (True, False) if turn % 2 else (False, True):
                instrument.switch_all_off()
                if on:
                    instrument.switch_on(settings)
                is_on[0] = on
                spent_ns.clear()
                await run(watched, requests // (5 if name == "row" else 1))
                if turn:
                    quartile = statistics.quantiles(spent_ns, n=4)[0]
                    taken[on].append(quartile / CALLS_A_REQUEST / parts / 1e3)
        measured[f"bare_{name}"] = statistics.median(taken[False])
        pairs = zip(taken[True], taken[False], strict=True)
        measured[name] = statistics.median(a - b for a, b in pairs)
    return measured


def report_isolation(ports: dict[str, int], quick: bool) -> None:
    passes, requests = (8, 100) if quick else (24, 200)
    command = [sys.executable, "-m", "bench.instruments", "--child", "isolation", "--ports", json.dumps(ports)]
    command += ["--passes", str(passes), "--requests", str(requests)]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    found = json.loads(output.splitlines()[-1])
    for name, words in ISOLATED.items():
        bare, added = found[f"bare_{name}"], found[name]
        print(f"isolation: {words:28} bare {bare:8.2f} µs, added {added:6.3f} µs, ratio {(bare + added) / bare:5.2f}")


# -- putting it together


def start_redis(port: int) -> subprocess.Popen[bytes]:
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("cannot measure Redis: redis-server is not installed; run scripts/debian-packages")
    folder = tempfile.mkdtemp()
    return subprocess.Popen([program, "--port", str(port), "--save", "", "--dir", folder], stdout=subprocess.DEVNULL)


def report(kind: str, ports: dict[str, int], quick: bool) -> None:
    passes, requests = (8, 100) if quick else (24, 200)
    results = {}
    # OpenTelemetry's packages for the drivers are not among what the tests install.
    for candidate in CANDIDATES[:1] if kind in ("psycopg", "asyncpg") else CANDIDATES:
        command = [sys.executable, "-m", "bench.instruments", "--child", candidate, "--only", kind, "--ports"]
        command += [json.dumps(ports), "--passes", str(passes), "--requests", str(requests)]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        results[candidate] = json.loads(output.splitlines()[-1])
    ours = results["tocsin"]
    theirs = results.get("opentelemetry", dict.fromkeys(ours, float("nan")))
    print(f"{NAMES[kind]:27} {ours['bare']:8.1f}", end="")
    for part in ("path", "cpu"):
        ratio = theirs[part] / ours[part] if ours[part] > 0 else float("nan")
        print(f" {ours[part]:9.2f} {theirs[part]:13.2f} {ratio:7.1f}", end="")
    print(f" {ours['own']:10.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer passes, for a first look")
    parser.add_argument("--only", choices=[*NAMES, "isolation"])
    for name in ("--child", "--ports"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    for name in ("--passes", "--requests"):
        parser.add_argument(name, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        ports = json.loads(options.ports)
        if options.child == "isolation":
            print(json.dumps(asyncio.run(measure_isolation(ports, options.passes, options.requests))))
            return
        print(json.dumps(asyncio.run(measure(options.child, options.only, ports, options.passes, options.requests))))
        return
    with ExitStack() as stack:
        ports = {"sink": free_port(), "redis": free_port(), "postgres": free_port()}
        stack.enter_context(running_postgres(ports["postgres"]))
        servers: list[subprocess.Popen[Any]] = [start("--child", "sink", "--port", ports["sink"])]
        servers.append(start_redis(ports["redis"]))
        for server in servers:
            stack.callback(server.terminate)
        for port in ports.values():
            wait_for(port)
        if options.only == "isolation":
            report_isolation(ports, options.quick)
            return
        print(f"{'':27} {'bare µs':>8} {'added µs on the path':^31} {'added µs of CPU':^31} {'own meter':>10}")
        head = f"{'tocsin':>9} {'opentelemetry':>13} {'ratio':>7}"
        print(f"{'':27} {'a call':>8} {head} {head}")
        for kind in (options.only,) if options.only else NAMES:
            report(kind, ports, options.quick)
        if not options.only:
            report_isolation(ports, options.quick)


if __name__ == "__main__":
    main()
