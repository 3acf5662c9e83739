"""How a command ends when it cannot do its work: one clear line and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from tocsin.model.expected import ExpectedError


def fail(message: str) -> NoReturn:
    """Print `message` on standard error and exit with 2."""
    print(f"tocsin: {message}", file=sys.stderr)  # noqa: T201 - this is the command line's way to speak
    sys.exit(2)


@contextmanager
def failing_clearly() -> Iterator[None]:
    """Turn the expected reasons not to start into one line each; anything else keeps its traceback."""
    try:
        yield
    except (ExpectedError, OSError) as error:
        fail(str(error))
