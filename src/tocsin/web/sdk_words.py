"""What the SDK costs an app, in one sentence."""

from __future__ import annotations

from tocsin.query.sdk import SdkCost
from tocsin.sdk.overhead import LEVELS
from tocsin.web import format


def sdk_words(cost: SdkCost) -> str:
    """'The SDK takes 9 µs a request, nothing shed, nothing dropped.'"""
    takes = "The SDK has not measured its cost yet"
    if cost.overhead_seconds is not None:
        takes = f"The SDK takes {format.duration(cost.overhead_seconds)} a request"
    shed = "nothing shed" if not cost.shed_level else f"{_shed(cost.shed_level)} shed"
    dropped = "nothing dropped" if not cost.dropped else f"{format.plural(cost.dropped, 'item')} dropped"
    return f"{takes}, {shed}, {dropped}."


def _shed(level: int) -> str:
    """What is left out at a level; a newer SDK may know more levels than this server."""
    return LEVELS[min(level, len(LEVELS) - 1)]
