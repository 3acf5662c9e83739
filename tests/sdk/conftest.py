"""A clean process for every test, and a receiver for those that export."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.util._once import Once

from sdk.receiver import Receiver
from tocsin.sdk import agents, guard, instrument
from tocsin.sdk.agent import close_agent


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def clean_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No agent, no global provider and no fault is left behind, and none of our faults goes unnoticed."""
    _forget_provider()
    guard.faults.clear()
    # Nothing listens there: a test that means to export says so.
    monkeypatch.setenv("TOCSIN_ENDPOINT", "http://127.0.0.1:9")
    yield
    instrument.switch_all_off()
    faults = dict(guard.faults)
    for agent in agents.all_agents():
        close_agent(agent, 0.0)
    _forget_provider()
    guard.faults.clear()
    assert not faults


def _forget_provider() -> None:
    trace._TRACER_PROVIDER = None
    trace._TRACER_PROVIDER_SET_ONCE = Once()
