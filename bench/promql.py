"""Prometheus and Tocsin beside each other: the same day of samples, the same queries, answers and times compared.

    python -m bench.promql [--repeat 3] [--keep FOLDER] [--only KIND]

Debian's Prometheus (`apt-get install prometheus`) and `tocsin serve` get 1,000 series of 24 hours at 15 s by remote
write, then a few hundred queries over HTTP, one after the other. Answers must agree to 1e-9. What Prometheus 2.42
answers differently by design is not asked: atan2, and ranges with a sample on their edge. A counter that begins near
zero after a gap is extrapolated otherwise too (see `promql_data`).
"""

from __future__ import annotations

import argparse
import http.client
import sys
import tempfile
import threading
import time
import urllib.parse
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from bench.prometheus import Prometheus
from bench.promql_data import day, requests
from bench.promql_queries import Asked, checks, speed
from bench.remote_write import weigh
from bench.server import TOKEN, Running, tocsin_on

CONNECTIONS = 2
# Before each timed query, so that neither pays for what the other still tidies up after its own.
REST_SECONDS = 1.0
IN_STEP = 24  # requests of a minute each
TOLERANCE = 1e-9
Series = dict[tuple[tuple[str, str], ...], tuple[NDArray[np.float64], NDArray[np.float64]]]


@dataclass
class Side:
    """One of the two: where it is asked, and what it took."""

    name: str
    port: int
    write_path: str
    api: str
    seconds: dict[Asked, list[float]] = field(default_factory=lambda: defaultdict(list))

    def write(self, bodies: list[tuple[bytes, int]], pace: threading.Barrier) -> None:
        """Send one after the other, never far ahead of other connections: Prometheus takes nothing an hour old."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        headers = {"content-type": "application/x-protobuf", "content-encoding": "snappy"}
        for turn, (body, _) in enumerate(bodies):
            if turn % IN_STEP == 0:
                pace.wait(60)
            connection.request("POST", self.write_path, body, headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status >= 300:
                pace.abort()
                raise RuntimeError(f"cannot write to {self.name}: it answers {answer.status} {said[:300]!r}")
        connection.close()

    def ask(self, asked: Asked) -> bytes:
        """The whole answer, and how long it took to the last byte."""
        parameters = {"query": asked.text, "time": asked.end_ms / 1000}
        if asked.step_ms:
            start_ms = asked.end_ms - asked.length_ms
            times = {"start": start_ms / 1000, "end": asked.end_ms / 1000, "step": asked.step_ms / 1000}
            parameters = {"query": asked.text, **times}
        path = f"{self.api}/{'query_range' if asked.step_ms else 'query'}?{urllib.parse.urlencode(parameters)}"
        started = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=180)
        connection.request("GET", path, headers={"authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse().read()
        self.seconds[asked].append(time.perf_counter() - started)
        connection.close()
        return answer


def read(answer: bytes) -> Series | str:
    """Series by labels, each its times and values; the text of an error."""
    said = orjson.loads(answer)
    if said["status"] != "success":
        return str(said["error"])
    result = said["data"]["result"]
    if said["data"]["resultType"] in ("scalar", "string"):
        result = [{"metric": {}, "value": result}]
    found: Series = {}
    for series in result:
        points = series["values"] if "values" in series else [series["value"]]
        times = np.array([time for time, _ in points], np.float64)
        found[tuple(sorted(series["metric"].items()))] = times, np.array([value for _, value in points], np.float64)
    return found


def difference(ours: Series | str, theirs: Series | str, is_ordered: bool) -> str:
    """The first thing that is not the same; '' when all is."""
    if isinstance(ours, str) or isinstance(theirs, str):
        both_refuse = isinstance(ours, str) and isinstance(theirs, str)
        return "" if both_refuse else f"ours {str(ours)[:200]!r}, theirs {str(theirs)[:200]!r}"
    if ours.keys() != theirs.keys():
        more, less = ours.keys() - theirs.keys(), theirs.keys() - ours.keys()
        return f"{len(ours)} series against {len(theirs)}; only ours {list(more)[:1]}, only theirs {list(less)[:1]}"
    if is_ordered and list(ours) != list(theirs):
        return "another order"
    for labels, (times, values) in ours.items():
        their_times, their_values = theirs[labels]
        if not np.array_equal(times, their_times):
            odd = sorted(set(times) ^ set(their_times))[:3]
            return f"{dict(labels)}: {len(times)} points against {len(their_times)}, such as at {odd}"
        near = np.isclose(values, their_values, rtol=TOLERANCE, atol=0, equal_nan=True)
        if not near.all():
            at = int(np.flatnonzero(~near)[0])
            count = int((~near).sum())
            return f"{dict(labels)} at {times[at]:.0f}: {values[at]!r}, theirs {their_values[at]!r}; {count} such"
    return ""


def ranked(found: Series | str) -> Series | str:
    """What topk and bottomk chose, as one series per rank: of equals, which one is chosen is not defined."""
    if isinstance(found, str):
        return found
    points = sorted(
        (time, value) for times, values in found.values() for time, value in zip(times, values, strict=True)
    )
    times, values = np.array(points).reshape(-1, 2).T
    return {(): (times, values)}


def ingest(side: Side, bodies: list[list[tuple[bytes, int]]], cpu: float, server: Running | Prometheus) -> None:
    started = time.perf_counter()
    pace = threading.Barrier(len(bodies))
    with ThreadPoolExecutor(len(bodies)) as threads:
        list(threads.map(lambda own: side.write(own, pace), bodies))
    seconds = time.perf_counter() - started
    samples = sum(count for own in bodies for _, count in own)
    cpu = server.cpu_seconds() - cpu
    print(f"ingest: {side.name} {samples / seconds:,.0f} samples/s, {cpu / samples * 1e6:.2f} µs of CPU a sample")


def compare(ours: Side, theirs: Side, asked: list[Asked]) -> None:
    different: list[tuple[Asked, str]] = []
    for one in asked:
        mine, other = read(ours.ask(one)), read(theirs.ask(one))
        if "topk" in one.text or "bottomk" in one.text:
            mine, other = ranked(mine), ranked(other)
        found = difference(mine, other, "sort" in one.text)
        if found:
            different.append((one, found))
    print(f"answers: {len(asked) - len(different)} of {len(asked)} equal to {TOLERANCE:g}")
    for one, found in different:
        form = f"{one.length_ms / 3_600_000:g} h every {one.step_ms / 1000:g} s" if one.step_ms else "at one time"
        print(f"  different: {one.text} ({form}, to {one.end_ms}): {found}")


def table(ours: Side, theirs: Side, asked: list[Asked], title: str) -> None:
    """Median and p95 of each side per kind, and the median of the ratios query by query."""
    print(f"\n{title}")
    print(f"{'kind':<20}{'queries':>8}{'ours ms':>10}{'p95':>9}{'theirs ms':>11}{'p95':>9}{'ratio':>8}")
    for kind in [*dict.fromkeys(one.kind for one in asked), ""]:
        chosen = [one for one in asked if kind in ("", one.kind)]
        mine = np.array([np.median(ours.seconds[one]) for one in chosen]) * 1000
        other = np.array([np.median(theirs.seconds[one]) for one in chosen]) * 1000
        row = (np.median(mine), np.percentile(mine, 95), np.median(other), np.percentile(other, 95))
        numbers = f"{row[0]:>10.1f}{row[1]:>9.1f}{row[2]:>11.1f}{row[3]:>9.1f}{np.median(mine / other):>8.2f}"
        print(f"{kind or 'all':<20}{len(chosen):>8}{numbers}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="a folder to keep what was stored, and to find it again")
    parser.add_argument("--only", default="", help="only queries of this kind")
    parser.add_argument("--each", action="store_true", help="print every timed query")
    parser.add_argument("--no-checks", action="store_true", help="only time")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run(chosen, chosen.keep or Path(scratch))


def run(chosen: argparse.Namespace, folder: Path) -> None:
    seal = folder / "end_ms"
    is_filled = seal.exists()
    end_ms = int(seal.read_text()) if is_filled else int(time.time() * 1000) // 60_000 * 60_000
    for name in ("prometheus", "tocsin"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    prometheus, tocsin = Prometheus(folder / "prometheus"), tocsin_on(folder / "tocsin")
    theirs = Side("prometheus", prometheus.port, prometheus.write_path, prometheus.api)
    ours = Side("tocsin", tocsin.port, "/prometheus/api/v1/write", "/prometheus/api/v1")
    try:
        if not is_filled:
            fill(ours, theirs, tocsin, prometheus, end_ms)
            seal.write_text(str(end_ms))
        asked = [one for one in checks(end_ms) if chosen.only in ("", one.kind)]
        if not chosen.no_checks:
            compare(ours, theirs, asked)
            table(ours, theirs, asked, "small queries")
        timed = [one for one in speed(end_ms) if chosen.only in ("", one.kind)]
        for _ in range(chosen.repeat):
            for one in timed:
                for side in (ours, theirs):
                    time.sleep(REST_SECONDS)
                    side.ask(one)
        table(ours, theirs, timed, "range queries over 1,000 series × 24 h, every 2 minutes")
        for one in timed if chosen.each else []:
            print(f"  {np.median(ours.seconds[one]):.3f} {np.median(theirs.seconds[one]):.3f} {one.text}")
        print(f"\nmemory: tocsin {tocsin.peak_mb():.0f} MB at most")
        weight = prometheus.disk_bytes() if not is_filled else 0
    finally:
        prometheus.stop()
        tocsin.stop()
    if weight:
        samples = day(end_ms).samples
        print(f"disk: prometheus {weight / samples:.2f} B a sample, with index, compacted")
        weigh(folder / "tocsin", samples, 0)


def fill(ours: Side, theirs: Side, tocsin: Running, prometheus: Prometheus, end_ms: int) -> None:
    made = day(end_ms)
    bodies = requests(made, CONNECTIONS, steps_each=4)
    print(f"data: {len(made.labels):,} series, {made.samples:,} samples", flush=True)
    ingest(ours, bodies, tocsin.cpu_seconds(), tocsin)
    ingest(theirs, bodies, prometheus.cpu_seconds(), prometheus)
    while tocsin.get("/api/v1/monitoring/status")["spool_bytes"]:
        time.sleep(0.1)
    prometheus.settle(end_ms)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
