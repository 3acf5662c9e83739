"""The ingest keys in memory, for a check that costs the ingest path a hash and a dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from threading import Event, Lock, Thread

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tocsin.model.control import IngestKey
from tocsin.storage.control.keys import Keys

log = structlog.get_logger(__name__)

REFRESH_SECONDS = 1.0
WRITE_BACK_EVERY = 10  # refreshes; when a key was last used need not be known to the second


class KeyRing:
    """Live keys, read again every second and at once when this process changes one.

    `start()` runs the refresh in a thread of its own; `find` never waits. While the store cannot be read, the keys
    known last keep working and `is_stale` is true.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._by_hash: Mapping[bytes, IngestKey] = {}
        self._used: set[str] = set()
        self._refreshing = Lock()
        self._stop = Event()
        self._thread: Thread | None = None
        self.is_stale = True
        keys.on_change(self.refresh)

    def find(self, secret: str) -> IngestKey | None:
        """The live key behind what a request sent, or None; marks it as used."""
        key = self._by_hash.get(sha256(secret.encode("utf-8", "surrogatepass")).digest())
        if key is not None:
            self._used.add(key.id)
        return key

    def __len__(self) -> int:
        return len(self._by_hash)

    def refresh(self) -> None:
        """Reads the keys again. Called from threads, never from the event loop."""
        # One at a time: an older answer must not replace a newer one.
        with self._refreshing:
            try:
                live = self._keys.live()
            except SQLAlchemyError as error:
                self.is_stale = True
                log.warning("keyring.stale", reason=str(error), keys=len(self._by_hash))
                return
            self._by_hash = {bytes.fromhex(hashed): key for hashed, key in live.items()}
            self.is_stale = False

    def write_back(self) -> None:
        """Stores which keys were used since the last call."""
        used, self._used = self._used, set()
        if not used:
            return
        try:
            self._keys.note_used(used)
        except SQLAlchemyError as error:
            self._used |= used
            log.warning("keyring.last_used_not_stored", reason=str(error), keys=len(used))

    def start(self) -> None:
        """Reads the keys and keeps them fresh until `stop()`."""
        self.refresh()
        self._thread = Thread(target=self._run, name="tocsin-keyring", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the refresh and stores what was used."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        self.write_back()

    def _run(self) -> None:
        rounds = 0
        while not self._stop.wait(REFRESH_SECONDS):
            self.refresh()
            rounds += 1
            if rounds % WRITE_BACK_EVERY == 0:
                self.write_back()
