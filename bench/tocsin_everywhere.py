"""A pytest plugin that puts `tocsin.instrument(app)` into every FastAPI app of somebody else's tests.

    PYTHONPATH=bench pytest -p tocsin_everywhere

Faults of ours, which never reach an app, are told at the end, so that a run that passes is also one without them.
"""

from __future__ import annotations

import functools
from typing import Any

import tocsin


def pytest_configure() -> None:
    from fastapi import FastAPI

    original = FastAPI.__init__

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        tocsin.instrument(self)

    FastAPI.__init__ = __init__  # type: ignore[method-assign]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    from tocsin.sdk import guard
    from tocsin.sdk.agents import all_agents

    requests = sum(agent.red.total for agent in all_agents())
    terminalreporter.write_line(f"tocsin: {requests} requests counted, faults: {dict(guard.faults)}")
