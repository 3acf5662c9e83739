"""Slows down an address that keeps sending wrong secrets: passwords of many accounts, set-up links, bearer tokens."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import TypeVar

from tocsin.model.clock import Clock
from tocsin.storage.control.errors import Throttled
from tocsin.storage.control.secrets import digest
from tocsin.storage.control.throttle import network_of

Value = TypeVar("Value")

REMEMBERED = 10_000  # addresses, and good secrets; beyond it the ones not seen for longest are forgotten


class Attempts:
    """A bucket of attempts for each address, a minute's worth, filled again steadily; what is right costs nothing.

    A secret that was right before is always let through, so a neighbour behind the same address locks nobody out. It is
    kept in memory, each server for itself: it guards against load and patience, `Throttle` guards single accounts.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._full_at: OrderedDict[str, datetime] = OrderedDict()  # when the address's bucket will be full again
        self._good: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def admit(self, ip: str, act: str, secret: str = "") -> None:
        """Take one attempt to `act` ("sign in") from the address. Raises Throttled when none is left."""
        if not self._per_minute:
            return
        now, each = self._clock(), timedelta(minutes=1) / self._per_minute
        with self._lock:
            if secret and digest(secret) in self._good:
                return
            full_at = max(self._full_at.get(network_of(ip), now), now) + each
            over = full_at - now - timedelta(minutes=1)
            if over > timedelta(0):
                raise Throttled(math.ceil(over.total_seconds()), act)
            _remember(self._full_at, network_of(ip), full_at)

    def was_right(self, ip: str, secret: str = "") -> None:
        """Give the attempt back, and let this secret through from now on."""
        if not self._per_minute:
            return
        with self._lock:
            known = bool(secret) and digest(secret) in self._good
            if secret:
                _remember(self._good, digest(secret), None)
            if not known and (full_at := self._full_at.get(network_of(ip))):
                self._full_at[network_of(ip)] = full_at - timedelta(minutes=1) / self._per_minute

    def was_wrong(self, secret: str) -> None:
        """A secret that was right once and is revoked now counts like any other."""
        with self._lock:
            self._good.pop(digest(secret), None)


def _remember(kept: OrderedDict[str, Value], key: str, value: Value) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > REMEMBERED:
        kept.popitem(last=False)
