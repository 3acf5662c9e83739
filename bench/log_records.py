"""What a log record costs the app: Tocsin beside python-json-logger, structlog's and loguru's own JSON, in one run.

    python -m bench.log_records [--quick]

All candidates take turns in one process, inside the same request span, so that only ratios between them are to be
believed on a shared machine: of each the lower quartile of its passes. `on the path` is what the caller waits for;
`CPU` adds the export thread, which encodes and hands over to a server that takes everything. `added` is on top of
logging to a handler that does nothing. Lines go to /dev/null, so that no disk is measured.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TextIO

import loguru
import structlog
from pythonjsonlogger import jsonlogger

import tocsin
from tocsin.sdk import instrument
from tocsin.sdk.agent import Agent, agent_for
from tocsin.sdk.logs import hook, output
from tocsin.sdk.logs.json_format import FIELDS, JsonFormatter
from tocsin.sdk.settings import Settings
from tocsin.sdk.transport import Response

RECORDS = 1000
FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
Setup = Callable[[], Any]
log = logging.getLogger("shop.orders")


class Nothing(logging.Handler):
    """Takes a record and does nothing with it."""

    def emit(self, record: logging.LogRecord) -> None:
        pass


def stdlib(count: int) -> None:
    for number in range(count):
        log.info(
            "order %d of %s took %.1f ms", number, "acme", 17.3, extra={"order": number, "plan": "team", "ms": 17.3}
        )


def with_structlog(logger: Any, count: int) -> None:
    for number in range(count):
        logger.info("order.booked", order=number, plan="team", ms=17.3, whose="acme")


def with_loguru(logger: Any, count: int) -> None:
    for number in range(count):
        logger.bind(order=number, plan="team", ms=17.3).info("order {} of {} took 17.3 ms", number, "acme")


@contextmanager
def handler(one: logging.Handler) -> Iterator[None]:
    log.addHandler(one)
    try:
        yield
    finally:
        log.removeHandler(one)


@contextmanager
def sending(is_on: bool) -> Iterator[None]:
    hook.sends = is_on
    try:
        yield
    finally:
        hook.sends = True


@contextmanager
def writing(stream: TextIO) -> Iterator[None]:
    ours = output.StreamOutput(lambda: stream, logging.INFO)
    ours.setFormatter(JsonFormatter(FIELDS, timestamp=True))
    output.add(ours)
    try:
        yield
    finally:
        output.remove(ours)


def theirs(stream: TextIO) -> logging.Handler:
    made = logging.StreamHandler(stream)
    made.setFormatter(jsonlogger.JsonFormatter(FORMAT))
    return made


class Bench:
    """Runs candidates in turns and keeps what each pass took."""

    def __init__(self, agent: Agent, records: int) -> None:
        self._agent, self._records = agent, records
        self.taken: dict[str, list[tuple[float, float]]] = {}

    def measure(self, name: str, work: Callable[[int], None]) -> None:
        """One pass: seconds a record on the path, and of CPU with the export."""
        exporter = self._agent.exporter
        exporter.flush(10)
        cpu = time.process_time()
        began = time.perf_counter()
        work(self._records)
        path = time.perf_counter() - began
        exporter.flush(10)
        spent = time.process_time() - cpu
        self.taken.setdefault(name, []).append((path / self._records, spent / self._records))

    def figures(self, name: str) -> tuple[float, float]:
        """Both in µs, the lower quartile of the passes."""
        paths, cpus = zip(*self.taken[name], strict=True)
        return tuple(statistics.quantiles(one, n=4)[0] * 1e6 for one in (paths, cpus))  # type: ignore[return-value]  # two


def run(passes: int, records: int) -> Bench:
    settings = Settings(
        service="bench", log_rate=0, queue_logs=1_000_000, transport=lambda *_: Response(200), enabled=True
    )
    agent = agent_for(settings)
    log.setLevel(logging.INFO)
    log.propagate = False
    sink = open(os.devnull, "w")  # noqa: SIM115 - open until the process ends
    bench = Bench(agent, records)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper("iso"),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(sink),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    loguru.logger.remove()
    loguru.logger.add(sink, serialize=True, diagnose=False)
    events, messages = structlog.get_logger("shop").bind(), loguru.logger
    tracer = agent.provider.get_tracer("bench")
    for _ in range(passes):
        with tracer.start_as_current_span("request"):
            tocsin.set_tenant("acme")
            with handler(Nothing()), sending(False):
                bench.measure("logging: to nothing", stdlib)
            with handler(theirs(sink)), sending(False):
                bench.measure("logging: python-json-logger", stdlib)
            with handler(Nothing()), sending(False), writing(sink):
                bench.measure("logging: Tocsin's JSON", stdlib)
            with handler(Nothing()):
                bench.measure("logging: Tocsin over OTLP", stdlib)
            with handler(Nothing()), writing(sink):
                bench.measure("logging: Tocsin's JSON and OTLP", stdlib)
            for name, work in {
                "structlog": partial(with_structlog, events), "loguru": partial(with_loguru, messages),
            }.items():  # fmt: skip
                with sending(False):
                    bench.measure(f"{name}: its own JSON", work)
                bench.measure(f"{name}: its own JSON, Tocsin over OTLP", work)
    return bench


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the passes")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    bench = run(4 if arguments.quick else 40, RECORDS)
    assert all(instrument.is_on(name) for name in ("logging", "structlog", "loguru")), instrument.states()
    rows = {name: bench.figures(name) for name in bench.taken}
    if arguments.json:
        json.dump(rows, sys.stdout, indent=2)
        return
    base = {"logging": "logging: to nothing", "structlog": "structlog: its own JSON", "loguru": "loguru: its own JSON"}
    print(f"{'µs a record':<42}{'on the path':>12}{'added':>8}{'CPU':>8}{'added':>8}")
    for name, (path, cpu) in rows.items():
        least = rows[base[name.partition(":")[0]]]
        print(f"{name:<42}{path:>12.1f}{path - least[0]:>8.1f}{cpu:>8.1f}{cpu - least[1]:>8.1f}")
    nothing = rows["logging: to nothing"][0]
    ours, other = (rows[f"logging: {name}"][0] - nothing for name in ("Tocsin's JSON and OTLP", "python-json-logger"))
    print(
        f"\nTocsin's JSON and OTLP beside python-json-logger: "
        f"{ours:.1f} against {other:.1f} µs, {ours / other:.2f} of it"
    )


if __name__ == "__main__":
    main()
