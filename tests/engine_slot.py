"""Where a test process keeps its one embedded engine."""

from __future__ import annotations

from pathlib import Path

from tocsin.storage.telemetry.chdb import ChdbEngine, ChdbSettings
from tocsin.storage.telemetry.migrate import migrate
from unsynced import UNSYNCED


class EngineSlot:
    """This process's one place for an engine. Tests that open an engine of their own `vacate` it first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._engine: ChdbEngine | None = None

    def occupied(self) -> ChdbEngine:
        if self._engine is None:
            self._engine = ChdbEngine(self.folder, ChdbSettings(query_connections=2))
            migrate(self._engine, UNSYNCED)
        return self._engine

    def vacate(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None
