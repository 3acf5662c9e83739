"""A small cache in the process, for answers that may be half a minute old."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import tocsin

T = TypeVar("T")


class Cache:
    """Keeps up to `max_entries` values for `lifetime_seconds` each."""

    def __init__(self, lifetime_seconds: float = 30.0, max_entries: int = 1000) -> None:
        self._lifetime_seconds = lifetime_seconds
        self._max_entries = max_entries
        self._entries: dict[Hashable, tuple[float, Any]] = {}
        self._lock = threading.Lock()

    def get_or_load(self, key: Hashable, load: Callable[[], T]) -> T:
        """The kept value, or what `load` returns, which is kept from now on."""
        with self._lock:
            expires_at, value = self._entries.get(key, (0.0, None))
        name = str(key[0]) if isinstance(key, tuple) else "other"
        if expires_at > time.monotonic():
            tocsin.count("cache_hits_total", cache=name)
            kept: T = value
            return kept
        tocsin.count("cache_misses_total", cache=name)
        loaded = load()
        with self._lock:
            if len(self._entries) >= self._max_entries:
                self._entries.pop(next(iter(self._entries)))
            self._entries[key] = (time.monotonic() + self._lifetime_seconds, loaded)
        return loaded
