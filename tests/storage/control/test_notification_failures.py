"""What could not be told is found among the newest notifications, without reading what they say."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests.alerts.pipeline_world import PLAIN, World

from tocsin.model.notification import Outcome


def test_failures_are_those_of_the_newest(tmp_path: Path) -> None:
    world = World(tmp_path, PLAIN.replace("30s", "0s"))
    world.outcomes = [Outcome.FAILED]
    world.fire("Down")
    world.turn(1)
    assert world.control.notifications.failures() == [("team", "the receiver answers 503")]

    for name in ("A", "B"):
        world.now += timedelta(seconds=1)
        world.fire(name)
        world.turn(1)
    assert world.control.notifications.failures(among=2) == []
    assert len(world.control.notifications.failures()) == 1


def test_what_was_told_later_is_no_failure_any_more(tmp_path: Path) -> None:
    world = World(tmp_path, PLAIN.replace("30s", "0s"))
    world.outcomes = [Outcome.FAILED, Outcome.SENT]
    world.fire("Down")
    world.turn(1)
    assert world.control.notifications.failures()

    world.now += timedelta(minutes=10)
    world.fire("Down")
    world.turn(1)
    assert world.control.notifications.failures() == []
