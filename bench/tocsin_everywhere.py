"""A pytest plugin that puts `tocsin.instrument(app)` into every FastAPI app of somebody else's tests.

    PYTHONPATH=bench pytest -p tocsin_everywhere

Faults of ours, which never reach an app, are told at the end, so that a run that passes is also one without them.
"""

from __future__ import annotations

import functools
import logging
import traceback
from typing import Any

import tocsin

causes: list[str] = []


class _Causes(logging.Handler):
    """Keeps what the first fault of each place was, and where it came from."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            last = traceback.extract_tb(error.__traceback__)[-1]
            causes.append(f"{error!r} at {last.filename}:{last.lineno}")


def pytest_configure() -> None:
    from fastapi import FastAPI

    logging.getLogger("tocsin").addHandler(_Causes())
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
    terminalreporter.write_line(f"tocsin: {requests} requests counted, faults: {dict(guard.faults)} {causes or ''}")
