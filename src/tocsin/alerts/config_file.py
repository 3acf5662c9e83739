"""An alertmanager.yml that is read again when it changes; one that cannot be used leaves the former in force."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from tocsin.alerts import counters
from tocsin.alerts.config import AlertConfig, AlertConfigError, load_alert_config

log = structlog.get_logger("tocsin.alerts")
LOOK_SECONDS = 5.0

Use = Callable[[AlertConfig], None]
"""Puts a configuration into force. Raises AlertConfigError before anything of it is."""


class ConfigFile:
    """config: what is in force. problem: why the file as it is now is not; '' when it is."""

    def __init__(self, file: str, look_seconds: float = LOOK_SECONDS) -> None:
        """Raises AlertConfigError."""
        self.file = file
        self.config = load_alert_config(file)
        self.problem = ""
        self.use: Use = lambda config: None
        self._look_seconds = look_seconds
        self._stamp = self._stamp_now()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._count()

    def start(self) -> None:
        """Look for changes from now on."""
        if self.file:
            self._thread = threading.Thread(target=self._run, name="tocsin-alert-config", daemon=True)
            self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def reload(self) -> str:
        """Read it anew, changed or not; the problem with it, '' when it is in force."""
        with self._lock:
            self._stamp = self._stamp_now()
            try:
                fresh = load_alert_config(self.file)
                self.use(fresh)
            except AlertConfigError as error:
                self.problem = str(error)
                log.error("alerts.config_not_reloaded", file=self.file, error=self.problem)
            else:
                self.config, self.problem = fresh, ""
                log.info("alerts.config_reloaded", file=self.file)
            self._count()
        return self.problem

    def _count(self) -> None:
        counters.config_is_good.set(0 if self.problem else 1)
        if not self.problem:
            counters.config_loaded_at.set(time.time())
            # The first 48 bits, which a float holds exactly.
            counters.config_hash.set(int.from_bytes(hashlib.sha256(self.config.text.encode()).digest()[:6], "big"))

    def _run(self) -> None:
        while not self._stop.wait(self._look_seconds):
            if self._stamp_now() != self._stamp:
                self.reload()

    def _stamp_now(self) -> tuple[tuple[str, int, int], ...]:
        """Changes when the file does, or one of its templates."""
        found = []
        for path in self._watched():
            try:
                said = path.stat()
            except OSError:
                continue  # gone; the next look has another stamp
            found.append((str(path), said.st_mtime_ns, said.st_size))
        return tuple(found)

    def _watched(self) -> Iterator[Path]:
        if self.file:
            yield Path(self.file)
            yield from self.config.template_files()
