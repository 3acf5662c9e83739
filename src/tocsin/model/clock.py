"""What time it is; passed in wherever time decides something, so that tests can turn it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives the current time as an aware UTC datetime."""


def utc_now() -> datetime:
    return datetime.now(UTC)
