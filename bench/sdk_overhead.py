"""What monitoring costs a FastAPI request: Tocsin beside its peers, measured in pairs in one run.

    python -m bench.sdk_overhead [--quick] [--routes 100] [--only in-process|uvicorn]
    python -m bench.sdk_overhead --stages [--routes 100] [--quick]

In process, an app with and one without the candidate take turns in the same process; the difference of CPU time
(all threads, so export is included, and every pass ends with a flush) is taken pass by pass, and the median is shown.
Over uvicorn, all servers are up at once and are loaded one after the other, round after round; the share of the bare
server's requests/s is taken round by round. Exports go to a sink in a process of its own. With
--stages Tocsin alone is measured, stage by stage; see sdk_stages.py.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.sdk_app import HEADERS, create_app, run_pass
from bench.sdk_stages import report_stages

CANDIDATES = ("bare", "tocsin", "by hand", "prometheus", "opentelemetry")


# -- the candidates


def add_candidate(name: str, app: Any, endpoint: str) -> Callable[[], None]:
    """Instruments the app; gives the function that flushes what is still to be exported."""
    if name == "tocsin":
        return _add_tocsin(app, endpoint)
    if name == "by hand":
        app.add_middleware(CountedByHand)
    if name == "prometheus":
        from prometheus_fastapi_instrumentator import Instrumentator

        Instrumentator().instrument(app)
    if name == "opentelemetry":
        return _add_opentelemetry(app, endpoint)
    return lambda: None


class CountedByHand:
    """The least that teams write themselves with prometheus-client: a histogram by route, method and status."""

    seconds: Any = None

    def __init__(self, app: Any) -> None:
        from prometheus_client import Histogram

        self.app = app
        if CountedByHand.seconds is None:
            CountedByHand.seconds = Histogram("http_request_seconds", "Duration.", ["method", "route", "status"])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500
        began = time.perf_counter()

        async def watched(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "")
            self.seconds.labels(scope["method"], route, status).observe(time.perf_counter() - began)


def _add_tocsin(app: Any, endpoint: str) -> Callable[[], None]:
    import tocsin
    from tocsin.sdk.agents import current_agent

    options = json.loads(os.environ.get("BENCH_TOCSIN", "{}"))
    tocsin.instrument(app, endpoint=endpoint, service="bench", tenant="header:X-Tenant-ID", **options)

    def flush() -> None:
        agent = current_agent()
        if agent is not None:
            agent.exporter.flush(5.0)

    return flush


def _add_opentelemetry(app: Any, endpoint: str) -> Callable[[], None]:
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    tracers = TracerProvider()
    tracers.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces"), max_queue_size=8192, schedule_delay_millis=200)
    )
    trace.set_tracer_provider(tracers)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{endpoint}/v1/metrics"), 1000)
    metrics.set_meter_provider(MeterProvider([reader]))
    # Without the send and receive spans: the leanest it can be.
    FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])

    def flush() -> None:
        tracers.force_flush()

    return flush


# -- in process


async def measure_in_process(name: str, routes: int, endpoint: str, passes: int, requests: int) -> dict[str, float]:
    bare, other = create_app(routes), create_app(routes)
    # The peers and the bare app must not feel Tocsin's or OpenTelemetry's global state: FastAPI's native telemetry
    # of the bare app is off in every process.
    bare._telemetry.update(tracing=False)
    if name == "opentelemetry":
        other._telemetry.update(tracing=False)
    flush = add_candidate(name, other, endpoint)
    for app in (bare, other):
        await run_pass(app, requests)
    flush()
    bare_us, added_us = [], []
    for turn in range(passes):
        cost = {}
        for app in (bare, other) if turn % 2 else (other, bare):
            began = time.process_time()
            await run_pass(app, requests)
            if app is other:
                flush()
            cost[app is other] = (time.process_time() - began) / requests * 1e6
        bare_us.append(cost[False])
        added_us.append(cost[True] - cost[False])
    return {"bare_us": statistics.median(bare_us), "added_us": statistics.median(added_us)}


# -- over uvicorn


class Client(asyncio.Protocol):
    """One kept-alive connection that asks again as soon as it is answered."""

    def __init__(self, request: bytes, totals: list[int]) -> None:
        self.request, self.totals = request, totals
        self.received = b""
        self.running = True

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator or len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]):
            return
        assert head.startswith(b"HTTP/1.1 200"), head
        self.received = b""
        self.totals[0] += 1
        if self.running:
            self.transport.write(self.request)


async def load(port: int, seconds: float, connections: int) -> tuple[float, int]:
    """(requests per second, requests in all)"""
    lines = [b"GET /api/items/42?q=abc HTTP/1.1"] + [name + b": " + value for name, value in HEADERS]
    request = b"\r\n".join(lines) + b"\r\n\r\n"
    totals = [0]
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: Client(request, totals), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.sleep(0.3)
    began, before = time.perf_counter(), totals[0]
    await asyncio.sleep(seconds)
    rate = (totals[0] - before) / (time.perf_counter() - began)
    for client in clients:
        client.running = False
    await asyncio.sleep(0.05)
    for client in clients:
        client.transport.close()
    return rate, totals[0]


def serve(name: str, routes: int, endpoint: str, port: int) -> None:
    import uvicorn

    app = create_app(routes)
    if name == "opentelemetry":
        app._telemetry.update(tracing=False)
    add_candidate(name, app, endpoint)
    uvicorn.run(app, port=port, log_level="error", access_log=False, loop="uvloop", http="httptools")


# -- the sink


class Sink(asyncio.Protocol):
    """Answers 200 to every POST; prints how many items of which signal came when asked with GET."""

    totals: dict[str, int] = {}  # noqa: RUF012

    def connection_made(self, transport: Any) -> None:
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            head, separator, rest = self.buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            if len(rest) < size:
                return
            self.buffer = rest[size:]
            self.count(head, rest[:size])
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    def count(self, head: bytes, body: bytes) -> None:
        signal = head.split(b" ", 2)[1].decode()
        if b"gzip" in head.lower().partition(b"content-encoding:")[2][:8]:
            body = gzip.decompress(body)
        self.totals[signal] = self.totals.get(signal, 0) + len(body)


async def run_sink(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port)
    await server.serve_forever()


# -- putting it together


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench.sdk_overhead", *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"cannot reach port {port}: it did not open in 20 s")


def in_process(routes: int, endpoint: str, quick: bool) -> dict[str, dict[str, float]]:
    results = {}
    for name in CANDIDATES:
        passes, requests = (12, 500) if quick else (40, 1000)
        if name == "opentelemetry":
            passes //= 2
        child = start("--child", "in-process", "--name", name, "--routes", routes, "--endpoint", endpoint,
                      "--passes", passes, "--requests", requests)  # fmt: skip
        output = child.communicate()[0]
        results[name] = json.loads(output.splitlines()[-1])
    return results


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, all threads."""
    return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def over_uvicorn(routes: int, endpoint: str, quick: bool) -> dict[str, dict[str, float]]:
    """Medians over the rounds: requests/s, share of bare, µs of server CPU a request, share of it that bare needs."""
    ports = {name: free_port() for name in CANDIDATES}
    servers = {
        name: start("--child", "serve", "--name", name, "--routes", routes, "--endpoint", endpoint, "--port", port)
        for name, port in ports.items()
    }
    rounds: list[dict[str, tuple[float, float]]] = []
    try:
        for port in ports.values():
            wait_for(port)
        for turn in range(11 if quick else 41):
            seen = {}
            for name in list(ports) if turn % 2 else list(ports)[::-1]:
                before = cpu_seconds(servers[name].pid)
                rate, count = asyncio.run(load(ports[name], 0.4, 24))
                seen[name] = (rate, (cpu_seconds(servers[name].pid) - before) / count * 1e6)
            rounds.append(seen)
    finally:
        for server in servers.values():
            server.terminate()
    del rounds[0]  # warm-up
    median = statistics.median
    return {
        name: {
            "rate": median(r[name][0] for r in rounds),
            "kept": median(r[name][0] / r["bare"][0] for r in rounds),
            "cpu_us": median(r[name][1] for r in rounds),
            "cpu_kept": median(r["bare"][1] / r[name][1] for r in rounds),
        }
        for name in CANDIDATES
    }


def report(routes: int, endpoint: str, options: argparse.Namespace) -> None:
    print(f"\n{routes} other routes")
    print(f"{'':15} {'in process':^28} {'over uvicorn':^48}")
    print(
        f"{'candidate':15} {'added µs CPU':>13} {'ratio to bare':>14} "
        f"{'requests/s':>11} {'share kept':>11} {'µs CPU':>9} {'share by CPU':>13}"
    )
    inside = in_process(routes, endpoint, options.quick) if options.only != "uvicorn" else {}
    outside = over_uvicorn(routes, endpoint, options.quick) if options.only != "in-process" else {}
    for name in CANDIDATES:
        line = f"{name:15}"
        if name in inside:
            bare, added = inside[name]["bare_us"], inside[name]["added_us"]
            line += f" {added:13.2f} {(bare + added) / bare:14.3f}"
        if name in outside:
            seen = outside[name]
            line += f" {seen['rate']:11.0f} {seen['kept']:11.3f} {seen['cpu_us']:9.1f} {seen['cpu_kept']:13.3f}"
        print(line, flush=True)
    if inside:
        print(f"bare request: {inside['bare']['bare_us']:.1f} µs CPU")


def stages(routes: int, endpoint: str, quick: bool) -> None:
    print(f"{routes:3} other routes: ", end="", flush=True)
    child = start("--child", "stages", "--routes", routes, "--endpoint", endpoint, "--passes", 300 if quick else 1200)
    print(child.communicate()[0].strip(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer passes, for a first look")
    parser.add_argument("--routes", type=int, action="append", help="other routes of the app; default 5 and 100")
    parser.add_argument("--stages", action="store_true", help="Tocsin alone, by stage; steady on a busy machine")
    parser.add_argument("--only", choices=("in-process", "uvicorn"))
    for name in ("--child", "--name", "--endpoint"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    for name in ("--passes", "--requests", "--port"):
        parser.add_argument(name, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child == "stages":
        bare, monitored = create_app(options.routes[0]), create_app(options.routes[0])
        bare._telemetry.update(tracing=False)
        add_candidate("tocsin", monitored, options.endpoint)
        report_stages(bare, monitored, options.passes)
        os._exit(0)
    elif options.child == "sink":
        asyncio.run(run_sink(options.port))
    elif options.child == "serve":
        serve(options.name, options.routes[0], options.endpoint, options.port)
    elif options.child == "in-process":
        measured = measure_in_process(
            options.name, options.routes[0], options.endpoint, options.passes, options.requests
        )
        print(json.dumps(asyncio.run(measured)), flush=True)
        os._exit(0)
    else:
        port = free_port()
        sink = start("--child", "sink", "--port", port)
        try:
            wait_for(port)
            for routes in options.routes or (5, 100):
                if options.stages:
                    stages(routes, f"http://127.0.0.1:{port}", options.quick)
                    continue
                report(routes, f"http://127.0.0.1:{port}", options)
        finally:
            sink.terminate()


if __name__ == "__main__":
    main()
