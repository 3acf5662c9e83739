"""Where the SDK's cost lies, stage by stage; steady on a busy machine, for whoever optimises.

    python -m bench.sdk_overhead --stages [--routes 100]

One thread does everything: a slice of requests through the bare app, the same through the monitored one, then by hand
what the export thread would do. Each stage has its own CPU clock, and of all slices the tenth part that was fastest
is believed: neighbours on the machine only ever add. Garbage collection is switched off inside the slices and
measured apart, as the time of all collections that the containers of a long run set off.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from time import thread_time
from typing import Any

from bench.sdk_app import run_pass
from tocsin.sdk import middleware
from tocsin.sdk.agent import PORTION

SLICE_REQUESTS = PORTION  # which the app's own thread digests at once
# At 1,000 requests/s: sent every 500 ms, metrics once a second.
SLICES_PER_BATCH = 500 // SLICE_REQUESTS
SLICES_PER_METRICS = 1000 // SLICE_REQUESTS


def believable(samples: list[float]) -> float:
    """The lower decile."""
    return sorted(samples)[len(samples) // 10]


class Stages:
    """CPU seconds by stage, one sample per slice."""

    def __init__(self) -> None:
        self.samples: dict[str, list[float]] = {}

    def note(self, stage: str, began: float, items: int) -> None:
        self.samples.setdefault(stage, []).append((thread_time() - began) / items)

    def microseconds(self) -> dict[str, float]:
        return {stage: believable(samples) * 1e6 for stage, samples in self.samples.items()}


def leave_it_to_us(agent: Any) -> None:
    """Lets requests believe that the export thread is running and that no portion is full."""
    agent.exporter.is_idle = False
    middleware.PORTION = sys.maxsize


async def measure_stages(bare: Any, monitored: Any, slices: int) -> dict[str, float]:
    """µs of CPU per request: bare, request (added by the SDK), digest, encode, send, metrics, gc."""
    from tocsin.sdk.agents import current_agent

    for app in (bare, monitored):
        await run_pass(app, SLICE_REQUESTS)
    agent = current_agent()
    assert agent is not None
    agent.exporter.stop(5.0)
    leave_it_to_us(agent)
    stages = Stages()
    gc.collect()
    gc.disable()
    for turn in range(slices):
        for app, stage in ((bare, "bare"), (monitored, "monitored")):
            began = thread_time()
            await run_pass(app, SLICE_REQUESTS)
            stages.note(stage, began, SLICE_REQUESTS)
        began = thread_time()
        agent.digest()
        stages.note("digest", began, SLICE_REQUESTS)
        if turn % SLICES_PER_BATCH == 0:
            export_by_hand(agent, stages)
        if turn % SLICES_PER_METRICS == 0:
            began = thread_time()
            agent.exporter.flush(5.0)
            stages.note("metrics", began, SLICE_REQUESTS * SLICES_PER_METRICS)
            gc.collect(0)
    gc.enable()
    figures = stages.microseconds()
    figures["request"] = figures.pop("monitored") - figures["bare"]
    figures["gc"] = await measure_gc(monitored, agent) - await measure_gc(bare, agent)
    return figures


def export_by_hand(agent: Any, stages: Stages) -> None:
    exporter = agent.exporter
    with exporter._work_lock:
        requests = len(exporter.queue)
        began = thread_time()
        while exporter.queue:
            exporter._collect_batch()
        stages.note("encode", began, requests)
        began = thread_time()
        while exporter._payloads:
            exporter._send_first(5.0)
        stages.note("send", began, requests)


async def measure_gc(app: Any, agent: Any) -> float:
    """µs of CPU per request inside the collector, over a run long enough for the old generation."""
    spent, began = [0.0], [0.0]

    def observe(phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            began[0] = thread_time()
        else:
            spent[0] += thread_time() - began[0]

    gc.collect()
    gc.callbacks.append(observe)
    for _ in range(100):
        await run_pass(app, SLICE_REQUESTS)
        agent.exporter.flush(5.0)
    gc.callbacks.remove(observe)
    return spent[0] / (100 * SLICE_REQUESTS) * 1e6


def report_stages(bare: Any, monitored: Any, slices: int) -> None:
    figures = asyncio.run(measure_stages(bare, monitored, slices))
    bare_us = figures.pop("bare")
    order = ("request", "digest", "encode", "send", "metrics", "gc")
    print("  ".join(f"{stage} {figures[stage]:5.2f}" for stage in order), end="")
    print(f"  total {sum(figures.values()):5.2f} µs   (bare {bare_us:.1f})", flush=True)
