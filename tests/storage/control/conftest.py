"""A control store on SQLite and on a real PostgreSQL, with a clock that tests turn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from control_people import TurnedClock, quick_passwords

from tocsin.storage.control import ControlStore


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/control.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(url: str, clock: TurnedClock) -> Iterator[ControlStore]:
    opened = ControlStore.open(url, passwords=quick_passwords(), clock=clock)
    yield opened
    opened.close()
