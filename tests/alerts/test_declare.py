"""An alert that is declared an incident: once, with the place where people gather, for all of its group."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.alerts.pipeline_world import PLAIN, World

from tocsin.alerts.handling import Handler
from tocsin.model.alert_state import Change, KnownAlert
from tocsin.model.control import SYSTEM
from tocsin.model.delivery import Room
from tocsin.storage.control import InvalidInput


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, PLAIN.replace("30s", "0s"))
    for host in "ab":
        made.fire("Down", host=host)
    made.turn(1)
    return made


def known(world: World, host: str) -> KnownAlert:
    return next(one for one in world.pipeline.known().values() if one.alert.labels.get("host") == host)


def test_one_group_gets_one_place_and_what_is_declared_later_has_it_too(world: World) -> None:
    asked: list[tuple[str, str]] = []
    world.pipeline.on_declared = lambda group, user: asked.append((group, user))
    handler = Handler(world.pipeline)

    handler.declare(SYSTEM, known(world, "a"), user="U1")
    handler.declare(SYSTEM, known(world, "a"))
    ((group, user),) = asked
    handler.gather(group, Room("slack", "#inc-1"))
    handler.declare(SYSTEM, known(world, "b"))

    assert user == "U1"
    assert len(asked) == 1
    assert [known(world, host).handling.incident_room for host in "ab"] == ["#inc-1", "#inc-1"]
    history = world.control.alerts.history(change=Change.DECLARED)
    assert sorted(change.detail.get("to", "") for change in history) == ["", "#inc-1", "#inc-1"]


def test_a_place_that_could_not_be_made_is_in_the_history(world: World) -> None:
    handler = Handler(world.pipeline)
    handler.declare(SYSTEM, known(world, "a"))
    (group,) = world.pipeline.members(known(world, "a").fingerprint)
    handler.gather(group, Room("slack", "", problem="no channel could be made"))

    newest = world.control.alerts.history(change=Change.DECLARED)[0]

    assert (newest.actor, newest.detail["note"]) == ("slack", "no channel could be made")
    assert known(world, "b").handling.declared_by == ""


def test_what_does_not_fire_is_no_incident_and_a_new_firing_is_none_yet(world: World) -> None:
    handler = Handler(world.pipeline)
    handler.declare(SYSTEM, known(world, "a"))
    over = handler.resolve(SYSTEM, known(world, "b"))
    with pytest.raises(InvalidInput, match="it does not fire"):
        handler.declare(SYSTEM, over)
    handler.resolve(SYSTEM, known(world, "a"))
    world.now += timedelta(minutes=1)
    world.fire("Down", host="a")
    world.turn(1)
    assert known(world, "a").handling.declared_by == ""
