"""The embedded engine, of which one process can hold one: opened once, emptied for each test, lent out on request."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine_slot import EngineSlot
from spooled import spooled
from tocsin.storage.telemetry.chdb import ChdbEngine
from tocsin.storage.telemetry.spool import write_messages
from tocsin.storage.telemetry.store import TENANT_TABLES, TelemetryStore

Put = Callable[..., None]


@pytest.fixture(scope="session")
def engine_slot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineSlot]:
    slot = EngineSlot(tmp_path_factory.mktemp("engine"))
    yield slot
    slot.vacate()


@pytest.fixture
def no_engine(engine_slot: EngineSlot) -> EngineSlot:
    """For tests that open an engine, or a whole server, in this process."""
    engine_slot.vacate()
    return engine_slot


@pytest.fixture
def engine(engine_slot: EngineSlot) -> ChdbEngine:
    """The engine with its schema and empty tables."""
    engine = engine_slot.occupied()
    for table in (*TENANT_TABLES, "downsampled"):
        engine.execute(f"TRUNCATE TABLE {table}")
    return engine


@pytest.fixture
def store(engine: ChdbEngine) -> TelemetryStore:
    return TelemetryStore(engine)


_tokens = itertools.count()


@pytest.fixture
def put(engine: ChdbEngine, tmp_path: Path) -> Put:
    """put(request, …) stores OTLP requests, each signal as one segment."""

    def put(*requests: Any) -> None:
        for signal, messages in spooled(requests).items():
            if messages:
                segment = tmp_path / f"{signal}.segment"
                write_messages(segment, messages)
                engine.insert_segment(signal, segment, f"put-{tmp_path}-{next(_tokens)}")

    return put
