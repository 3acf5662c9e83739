"""How a command ends when it cannot do its work: one clear line and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


def fail(message: str) -> NoReturn:
    """Print `message` on standard error and exit with 2."""
    print(f"tocsin: {message}", file=sys.stderr)  # noqa: T201 - this is the command line's way to speak
    sys.exit(2)


@contextmanager
def failing_clearly() -> Iterator[None]:
    """Turn the expected reasons not to start into one line each; anything else keeps its traceback."""
    # Here, because they bring a second of imports that most commands can do without.
    from tocsin.alerts.config import AlertConfigError
    from tocsin.collect.scrape_config import ScrapeConfigError
    from tocsin.collect.tail_config import TailConfigError
    from tocsin.config import ConfigError
    from tocsin.storage.control import ControlError
    from tocsin.storage.telemetry.engine import EngineError

    try:
        yield
    except (
        ConfigError, AlertConfigError, ScrapeConfigError, TailConfigError, ControlError, EngineError, OSError
    ) as error:  # fmt: skip
        fail(str(error))
