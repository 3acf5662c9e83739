"""The server's own metrics beyond the counters that each part keeps: what waits, what is stored, how old it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from tocsin.model.tenant import PLATFORM
from tocsin.query.storage import table_sizes
from tocsin.storage.telemetry.engine import EngineError


def exposition(server: Any, accept: str = "") -> tuple[bytes, str]:
    """Everything the server knows of itself and its media type: OpenMetrics to who accepts it, else text."""
    encode, media_type = choose_encoder(accept)
    return encode(ServerCollector(server)), media_type


class ServerCollector:
    """The counters that each part keeps, and the gauges of one server at the moment it is asked."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def collect(self) -> Iterator[Metric]:
        yield from REGISTRY.collect()
        vitals = self._server.vitals
        yield _gauge("tocsin_up_seconds", "Time since the start.", vitals.uptime_seconds)
        yield _gauge("tocsin_spool_bytes", "Telemetry acknowledged but not in the store yet.", vitals.spool_bytes)
        yield _gauge("tocsin_spool_age_seconds", "Age of the oldest of it: the ingest lag.", vitals.spool_age_seconds)
        yield _gauge("tocsin_writer_is_failing", "1 while the last insert failed.", float(bool(vitals.writer_problem)))
        yield from self._sizes()

    def _sizes(self) -> Iterator[Metric]:
        sizes = GaugeMetricFamily("tocsin_store_bytes", "Disk used by a telemetry table.", labels=["table"])
        rows = GaugeMetricFamily("tocsin_store_rows", "Rows of a telemetry table.", labels=["table"])
        try:
            found = table_sizes(self._server.store, PLATFORM)
        except EngineError:
            return  # a store that does not answer must not hide the figures above
        for table in found:
            sizes.add_metric([table.name], table.disk_bytes)
            rows.add_metric([table.name], table.rows)
        yield sizes
        yield rows


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)
