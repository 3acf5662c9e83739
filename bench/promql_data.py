"""A day of ten scraped targets: 1,000 series with all that makes metrics hard, as arrays and as remote write requests.

Counters that restart, gauges, classic histograms, targets that are away (with and without stale markers), scrapes that
were missed, NaN. Every sample falls between two whole seconds, so that whether the edge of a range belongs to it, on
which Prometheus 2 and 3 disagree, is never asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import cramjam
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Labels = dict[str, str]

STEP_MS = 15_000
STALE = np.array([0x7FF0000000000002], np.uint64).view(np.float64)[0]
INSTANCES = 10
BOUNDS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf")
ROUTES = ("/login", "/orders", "/search", "/cart", "/health")


@dataclass(frozen=True)
class Day:
    """values and is_there: (n series, n steps); offsets_ms: when within a step each series is scraped, likewise."""

    labels: list[Labels]
    start_ms: int
    offsets_ms: Times
    values: Floats
    is_there: NDArray[np.bool_]

    @property
    def samples(self) -> int:
        return int(self.is_there.sum())


def day(end_ms: int, steps: int = 5760) -> Day:
    """The steps up to `end_ms`. The same numbers every time."""
    random = np.random.default_rng(42)
    made = [series for instance in range(INSTANCES) for series in _target(random, instance, steps)]
    labels = [labels for labels, _ in made]
    values = np.array([values for _, values in made])
    instances = np.array([int(one["instance"].split(":")[0].split(".")[-1]) for one in labels])
    offsets = (200 + 1487 * instances)[:, None] + np.zeros(steps, np.int64)
    jitter = random.integers(-2, 3, (INSTANCES, steps))
    offsets = np.where((instances == 9)[:, None], offsets + jitter[instances], offsets)
    is_there = np.ones(values.shape, dtype=bool)
    _take_away(is_there, values, instances, random)
    is_nan = (instances == 8) & np.array([one.get("sensor") == "9" for one in labels])
    values[is_nan, steps // 3 : steps // 3 + 40] = np.nan
    return Day(labels, end_ms - steps * STEP_MS, offsets, values, is_there)


def _take_away(is_there: NDArray[np.bool_], values: Floats, instances: Times, random: np.random.Generator) -> None:
    """Target 3 is known to be gone for 12 minutes, target 5 just stays away for 25, target 7 is missed at times."""
    steps = is_there.shape[1]
    gone = steps // 2 + 11
    values[instances == 3, gone] = STALE
    is_there[instances == 3, gone + 1 : gone + 48] = False
    is_there[instances == 5, gone + 200 : gone + 300] = False
    is_there[np.ix_(instances == 7, random.random(steps) < 0.005)] = False


def _target(random: np.random.Generator, instance: int, steps: int) -> Iterator[tuple[Labels, Floats]]:
    restarts = np.sort(random.integers(0, steps, 2)) if instance % 2 else np.zeros(0, np.int64)
    traffic = 1.2 + np.sin(np.arange(steps) * 2 * np.pi / 5760 + instance)

    def counter(increases: Floats) -> Floats:
        total = np.cumsum(increases)
        for at in restarts:
            total[at:] -= total[at - 1] if at else 0.0
        return total + (random.integers(0, 10**6) if not len(restarts) else 0)

    def named(name: str, **labels: str) -> Labels:
        target = {"cluster": "eu-1", "instance": f"10.0.0.{instance}:9090", "job": "bench"}
        return {"__name__": f"bench_{name}", **target, **labels}

    for route, method, status in product(ROUTES, ("GET", "POST"), ("200", "500")):
        mean = traffic * (20 if status == "200" else 0.2) * (3 if method == "GET" else 1)
        increases = random.poisson(mean).astype(np.float64)
        yield named("requests_total", route=route, method=method, status=status), counter(increases)
    for device in range(5):
        increases = np.floor(random.gamma(2, 40_000, steps) * traffic)
        yield named("network_bytes_total", device=f"eth{device}"), counter(increases)
    for cpu, mode in product("01", ("idle", "user", "system", "iowait")):
        share = {"idle": 9.0, "user": 4.0, "system": 1.5, "iowait": 0.1}[mode]
        increases = np.round(random.gamma(8, share / 8, steps), 2)
        yield named("cpu_seconds_total", cpu=cpu, mode=mode), np.round(counter(increases), 2)
    for sensor in range(10):
        yield (
            named("temperature_celsius", sensor=str(sensor)),
            np.round(50 + np.cumsum(random.normal(0, 0.1, steps)), 1),
        )
    for area in ("heap", "stack", "cache", "code", "mapped", "shared"):
        pages = 50_000 + np.cumsum(random.integers(-40, 41, steps) * (random.random(steps) < 0.3))
        yield named("memory_bytes", area=area), pages * 4096.0
    for resource in range(8):
        yield named("limit", resource=str(resource)), np.full(steps, float(2 ** (resource + 4)))
    yield named("busy"), (random.random(steps) > 0.02).astype(np.float64)
    for route in ROUTES[:3]:
        yield from _histogram(random, counter, named, route, traffic)


def _histogram(random, counter, named, route, traffic):  # type: ignore[no-untyped-def]  # closures of _target
    shares = np.array([0.02, 0.08, 0.2, 0.25, 0.2, 0.12, 0.06, 0.04, 0.015, 0.01, 0.004, 0.001])
    observed = random.poisson(traffic[:, None] * 30 * shares)
    below = np.cumsum(observed, axis=1).astype(np.float64)
    state = random.bit_generator.state
    for place, bound in enumerate(BOUNDS):
        random.bit_generator.state = state
        yield named("latency_seconds_bucket", route=route, le=bound), counter(below[:, place])
    random.bit_generator.state = state
    yield named("latency_seconds_count", route=route), counter(below[:, -1])
    spent = (observed * random.gamma(4, 0.25, observed.shape) * (0.005 * 2 ** np.arange(12))).sum(axis=1)
    yield named("latency_seconds_sum", route=route, unit="s"), counter(spent)


def requests(day: Day, connections: int, steps_each: int) -> list[list[tuple[bytes, int]]]:
    """Bodies and how many samples each holds, in the order of time, per connection; a series stays on its connection.

    Each step of a series is an entry of its own with all labels, as a scraping Prometheus sends it.
    """
    entries = [_entry(labels) for labels in day.labels]
    made = []
    for connection in range(connections):
        rows = np.arange(len(entries))[connection::connections]
        templates: dict[bytes, _Template] = {}
        bodies = []
        for first in range(0, day.values.shape[1], steps_each):
            parts, samples = [], 0
            for step in range(first, min(first + steps_each, day.values.shape[1])):
                there = rows[day.is_there[rows, step]]
                template = templates.setdefault(there.tobytes(), _Template([entries[row] for row in there]))
                times = day.start_ms + step * STEP_MS + day.offsets_ms[there, step]
                parts.append(template.filled(day.values[there, step], times))
                samples += len(there)
            bodies.append((bytes(cramjam.snappy.compress_raw(b"".join(parts))), samples))
        made.append(bodies)
    return made


class _Template:
    """Encoded entries whose values and times are filled in."""

    def __init__(self, entries: list[bytes]) -> None:
        self._bytes = np.frombuffer(bytearray(b"".join(entries)), np.uint8)
        ends = np.cumsum([len(entry) for entry in entries])
        self._values_at = (ends - 15)[:, None] + np.arange(8)
        self._times_at = (ends - 6)[:, None] + np.arange(6)

    def filled(self, values: Floats, times: Times) -> bytes:
        self._bytes[self._values_at] = np.ascontiguousarray(values).view(np.uint8).reshape(-1, 8)
        septets = times[:, None] >> (7 * np.arange(6)) & 0x7F
        self._bytes[self._times_at] = septets | np.array([0x80] * 5 + [0])
        return self._bytes.tobytes()


def _entry(labels: Labels) -> bytes:
    """A TimeSeries with one sample: its value are the 8 bytes before a tag and the 6 bytes of its time."""
    parts = []
    for name, value in sorted(labels.items()):
        pair = b"\x0a" + _varint(len(name)) + name.encode() + b"\x12" + _varint(len(value)) + value.encode()
        parts.append(b"\x0a" + _varint(len(pair)) + pair)
    body = b"".join(parts) + b"\x12\x10\x09" + bytes(8) + b"\x10" + bytes(6)
    return b"\x0a" + _varint(len(body)) + body


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
