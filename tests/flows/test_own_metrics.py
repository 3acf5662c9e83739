"""The server keeps its own metrics and those of its machine like everybody else's: a minute after the start at most."""

from __future__ import annotations

import time
from pathlib import Path

from engine_slot import EngineSlot
from tocsin.app.server import Server
from tocsin.app.settings import SECTIONS
from tocsin.config import load
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.query.promql.engine import instant
from tocsin.query.series import StoreSource
from waiting import eventually


def test_own_metrics_and_the_machine_answer_in_promql(tmp_path: Path, no_engine: EngineSlot) -> None:
    overrides = {"server.data": str(tmp_path), "server.self_metrics_seconds": 0.5, "collect_host.interval_seconds": 0.5}
    server = Server(load(SECTIONS, None, {}, overrides))
    server.start()

    def value(query: str, scope: Scope = PLATFORM) -> float | None:
        found = instant(StoreSource(server.store, scope), query, int(time.time() * 1000)).series
        return float(found[0].points[0].value) if found else None  # type: ignore[arg-type]  # no histograms here

    try:
        eventually(lambda: value('up{job="host"}') and value("tocsin_store_rows > 0"), "host and server are scraped")
        assert value('up{job="host"}') == 1
        assert value('up{job="tocsin"}') == 1
        assert value("count(node_cpu_seconds_total{mode='idle'}) > 0")
        assert value("node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes < 1")
        assert value("tocsin_spool_bytes") is not None
        assert value("up", Scope(frozenset({"acme"}))) is None
        states = {state.target.job: state.health for state in server.scraper.states()}
        assert states == {"host": "up", "tocsin": "up"}
    finally:
        server.close()
