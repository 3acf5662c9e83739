"""Who follows hears when something was stored, from whatever thread, and nobody is kept who has gone."""

from __future__ import annotations

import asyncio
import threading

from tocsin.storage.telemetry.arrivals import Arrivals


def test_every_follower_hears_of_what_came_once() -> None:
    async def heard() -> list[bool]:
        arrivals = Arrivals()
        with arrivals.following() as one, arrivals.following() as other:
            threading.Thread(target=arrivals.came).start()
            came = [await one.wait(10), await other.wait(10)]
            return [*came, await one.wait(0.01)]

    assert asyncio.run(heard()) == [True, True, False]


def test_what_came_while_a_follower_was_busy_is_not_missed() -> None:
    async def heard() -> bool:
        arrivals = Arrivals()
        with arrivals.following() as follower:
            arrivals.came()
            arrivals.came()
            return await follower.wait(10)

    assert asyncio.run(heard())


def test_something_is_followed_only_while_somebody_does() -> None:
    async def seen() -> list[bool]:
        arrivals = Arrivals()
        before = arrivals.is_followed
        with arrivals.following():
            during = arrivals.is_followed
        return [before, during, arrivals.is_followed]

    assert asyncio.run(seen()) == [False, True, False]


def test_a_follower_whose_loop_is_closed_harms_nobody() -> None:
    arrivals = Arrivals()

    async def enter() -> None:
        arrivals.following().__enter__()

    asyncio.run(enter())
    arrivals.came()
