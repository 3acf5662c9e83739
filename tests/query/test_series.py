"""What was written to the remote-write endpoint comes back as NumPy arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prometheus import MINUTE_MS, NOW_MS, series, write_request
from tocsin.ingest.gate import Gate
from tocsin.ingest.remote_write_parse import read_1
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.query.promql.source import Hints, Matcher
from tocsin.query.series import StoreSource
from tocsin.storage.telemetry.chdb import ChdbEngine
from tocsin.storage.telemetry.spool import Spool
from tocsin.storage.telemetry.store import TelemetryStore
from tocsin.storage.telemetry.writer import Writer

HINTS = Hints(0, 0, 0, 0)


@pytest.fixture
def written(engine: ChdbEngine, tmp_path: Path) -> Any:
    """written(body) takes a remote-write body the whole way into the store."""
    spool = Spool(tmp_path / "spool")
    gate = Gate(spool, lambda secret: None)

    def write(body: bytes, read: Any = read_1) -> Any:
        stored, collected = gate.admit_samples(read, body, None)
        stored.result(10)
        Writer(spool, engine, tmp_path / "rejected").drain()
        return collected

    yield write
    spool.close()


def selected(store: TelemetryStore, *matchers: Matcher, scope: Scope = PLATFORM) -> dict[str, list[tuple[int, float]]]:
    found = StoreSource(store, scope).select(matchers, NOW_MS - 60 * MINUTE_MS, NOW_MS + 60 * MINUTE_MS, HINTS)
    return {
        ",".join(f"{name}={value}" for name, value in sorted(entry.labels.items())): list(
            zip(entry.timestamps.tolist(), entry.values.tolist(), strict=True)
        )
        for entry in found
    }


def test_samples_written_come_back_as_arrays(store: TelemetryStore, written: Any) -> None:
    points = [(NOW_MS + step * 15_000, step * 1.5) for step in range(5)]
    for _, point in enumerate(points):  # one a request, as Prometheus sends
        written(write_request([series("up_total", [point], job="shop"), series("other", [point], job="shop")]))
    assert selected(store, Matcher("__name__", "=", "up_total")) == {"__name__=up_total,job=shop": points}
