"""Of several servers one leads: it keeps the lease, another takes it when it has run out, and nobody tells twice."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pipeline_world import World, names

from tocsin.alerts.lead import Leadership
from tocsin.model.alert import Alert
from tocsin.storage.control import ControlStore


class Clocks:
    """Time that both servers and the database agree on."""

    def __init__(self, control: ControlStore, world: World) -> None:
        self.control, self.world, self.start = control, world, world.now

    def server(self, name: str) -> Leadership:
        return Leadership(
            self.control.leases, name, 10.0, monotonic=lambda: (self.world.now - self.start).total_seconds()
        )

    def turn(self, seconds: float) -> None:
        self.world.now += timedelta(seconds=seconds)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_one_leads_until_its_lease_has_run_out(world: World) -> None:
    clocks = Clocks(world.control, world)
    one, other = clocks.server("one"), clocks.server("other")
    one.renew()
    other.renew()
    assert (one.is_leader, other.is_leader) == (True, False)
    clocks.turn(7)
    one.renew()
    clocks.turn(7)
    other.renew()
    assert (one.is_leader, other.is_leader) == (True, False)

    clocks.turn(2)  # it could not renew: it stops by itself before another may begin
    other.renew()
    assert (one.is_leader, other.is_leader) == (False, False)
    clocks.turn(2)
    other.renew()
    assert (one.is_leader, other.is_leader) == (False, True)
    one.renew()
    assert one.is_leader is False
    assert world.control.leases.holder("alerting") == "other"


def test_server_that_starts_again_goes_on_at_once_and_one_that_ends_lets_go(world: World) -> None:
    clocks = Clocks(world.control, world)
    clocks.server("one").renew()
    again, other = clocks.server("one"), clocks.server("other")
    again.renew()
    assert again.is_leader
    again.close()
    other.renew()
    assert other.is_leader


class Led:
    """A lead that is given and taken."""

    is_shared = True

    def __init__(self) -> None:
        self.is_leader = False


def test_the_one_that_takes_over_tells_what_was_left_and_nothing_twice(world: World) -> None:
    first = world.pipeline
    first.lead = led = Led()
    led.is_leader = True
    first._turn()
    down = world.fire("Down")
    assert [names(one) for one in _turned(world, 40)] == [["Down"]]

    world.fire("Slow")  # taken by the first, its group has not waited yet
    world.restart()
    second = world.pipeline
    second.lead = other = Led()
    assert _turned(world, 60) == []  # it only watches
    assert {known.alert.name for known in second.known().values()} == {"Down", "Slow"}

    led.is_leader, other.is_leader = False, True
    assert [names(one) for one in _turned(world, 60)] == [["Slow"]]
    first._turn()
    world.pipeline = first
    assert _turned(world, 60) == []
    assert first.known().keys() == second.known().keys()
    assert down.fingerprint in second.known()


def test_leader_hears_of_alerts_and_handling_at_another_server(world: World) -> None:
    leading = world.pipeline
    leading.lead = led = Led()
    led.is_leader = True
    leading._turn()
    world.restart()
    other = world.pipeline
    other.lead = Led()
    other._turn()
    alert = Alert({"alertname": "There"}, starts_at=world.now)
    other.accept([alert])
    other.accept([alert])

    world.pipeline = leading
    assert [names(one) for one in _turned(world, 40)] == [["There"]]
    changes = [one.change.value for one in world.control.alerts.history(fingerprint=alert.fingerprint)]
    assert changes == ["notified", "firing"]


def _turned(world: World, seconds: int) -> list:  # type: ignore[type-arg]  # of notifications
    """What is told while the pipeline's loop turns."""
    before = len(world.told)
    for _ in range(seconds):
        world.now += timedelta(seconds=1)
        world.pipeline._turn()
    return world.told[before:]
