"""Which service calls which, kept fresh beside the loop: a look at the store must not delay a notification."""

from __future__ import annotations

import threading
import time
from collections import defaultdict

import structlog

from tocsin.alerts.correlate import Topology
from tocsin.model.tenant import PLATFORM
from tocsin.model.window import Window
from tocsin.query.filters import Filter
from tocsin.query.map import service_map
from tocsin.storage.telemetry.engine import EngineError
from tocsin.storage.telemetry.store import TelemetryStore

log = structlog.get_logger("tocsin.alerts")
FRESH_SECONDS = 60.0
LOOKED_AT_SECONDS = 1800


class ServiceTopology:
    """Calls give what is known now; where that is old, it is read anew in the background."""

    def __init__(self, store: TelemetryStore) -> None:
        self._store = store
        self._known: Topology = {}
        self._read_at = float("-inf")
        self._reading = threading.Lock()

    def __call__(self) -> Topology:
        if time.monotonic() - self._read_at > FRESH_SECONDS and self._reading.acquire(blocking=False):
            threading.Thread(target=self._read, name="tocsin-topology", daemon=True).start()
        return self._known

    def _read(self) -> None:
        try:
            window = Window.last(LOOKED_AT_SECONDS, time.time_ns())
            found: dict[str, set[str]] = defaultdict(set)
            for call in service_map(self._store, PLATFORM, Filter(window)).calls:
                found[call.caller].add(call.callee)
            self._known = {caller: frozenset(callees) for caller, callees in found.items()}
        except EngineError as error:
            log.warning("alerts.topology_unread", error=str(error).splitlines()[0][:200])
        finally:
            self._read_at = time.monotonic()
            self._reading.release()
