"""A delivery log on a fresh control store, and Deliverers over it that are closed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2.profiles import CHEAPEST

from tocsin.notify.deliver import Deliverer
from tocsin.notify.receivers import Integration, Receiver, Receivers
from tocsin.notify.settings import NotifySettings
from tocsin.storage.control import ControlStore
from tocsin.storage.control.passwords import Passwords

QUICK: dict[str, Any] = {"first_wait_seconds": 0.01, "longest_wait_seconds": 0.05, "timeout_seconds": 10.0}
Deliver = Callable[..., Deliverer]


@pytest.fixture
def control(tmp_path: Path) -> Iterator[ControlStore]:
    quick = Passwords(CHEAPEST)
    store = ControlStore.open(f"sqlite:///{tmp_path}/control.db", passwords=quick)
    yield store
    store.close()


@pytest.fixture
def deliverer(control: ControlStore) -> Iterator[Deliver]:
    """deliverer(receiver=[integration, …], …, fallback="x", …) is a Deliverer to these receivers."""
    made = []

    def make(receivers: dict[str, list[Integration]], told: Any = None, **settings: Any):  # type: ignore[no-untyped-def]
        named = {name: Receiver(name, tuple(listed)) for name, listed in receivers.items()}
        filled = NotifySettings(**{**QUICK, **settings})
        made.append(Deliverer(control.deliveries, Receivers(named), filled, told=told))
        return made[-1]

    yield make
    for one in made:
        one.close()
