"""At any instant of the past it is known who had been told of an alert, and why nobody was."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pipeline_world import PLAIN, START, World

from tocsin.alerts.config import read_alert_config
from tocsin.alerts.handling import Handler
from tocsin.alerts.past import PastExplanation, explain_at
from tocsin.model.access import Principal, Role
from tocsin.model.alert import Alert
from tocsin.model.control import SYSTEM
from tocsin.model.notification import Outcome
from tocsin.model.silence import LabelMatcher

NIGHT = PLAIN.replace(
    "receivers:\n",
    "  routes: [{matchers: [kind=night], mute_time_intervals: [noon]}]\n"
    "time_intervals: [{name: noon, time_intervals: [{times: [{start_time: '12:00', end_time: '12:05'}]}]}]\n"
    "receivers:\n",
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, NIGHT)


def at(world: World, alert: Alert, seconds: float) -> PastExplanation:
    """seconds: since the world's start."""
    history = world.control.alerts.history(fingerprint=alert.fingerprint, limit=100)
    sent = world.control.notifications.found
    return explain_at(alert.labels, history, world.pipeline.config, START + timedelta(seconds=seconds), sent)


def clock(moment: datetime) -> str:
    return f"{moment:%H:%M:%S} UTC"


def test_before_while_and_after_it_was_told(world: World) -> None:
    world.turn(10)
    alert = world.fire("Down")
    (told,) = world.turn(60, (alert,))
    world.resolve(alert)
    world.turn(5)

    early = at(world, alert, 5)
    assert (early.state, early.sentence[:35]) == ("unknown", "Nobody was told: it fired only at 2")
    waiting = at(world, alert, 15)
    assert waiting.state == "active"
    assert waiting.sentence.endswith(f"{clock(told.made_at)}, when the group had waited.")
    assert at(world, alert, 60).sentence.startswith("team was told at 2026-03-02 12:00:40 UTC")
    over = at(world, alert, 74)
    assert over.state == "resolved"
    assert "it was over since 2026-03-02 12:01:1" in over.sentence


def test_silence_that_is_over_now_is_the_reason_then(world: World) -> None:
    end = world.now + timedelta(seconds=120)
    matchers = [LabelMatcher("alertname", "Down")]
    world.control.silences.set(SYSTEM, matchers=matchers, starts_at=world.now, ends_at=end, comment="known")
    alert = world.fire("Down")
    world.turn(600, (alert,))

    then = at(world, alert, 90)
    assert then.state == "suppressed"
    assert "silenced by" in then.sentence
    assert "known" in then.sentence
    assert at(world, alert, 500).state == "active"


def test_muted_route_is_the_reason(world: World) -> None:
    alert = world.fire("Down", kind="night")
    world.turn(700, (alert,))

    assert (
        "its route held it back from 2026-03-02 12:00:30 UTC on (within noon); it was told"
        in at(world, alert, 100).sentence
    )
    assert "had not waited, and then its route held it back (within noon)" in at(world, alert, 10).sentence
    assert at(world, alert, 690).sentence.startswith("team was told at")


def test_failure_and_acknowledgement_are_told(world: World) -> None:
    world.outcomes = [Outcome.FAILED]
    alert = world.fire("Down")
    world.turn(60, (alert,))
    assert "team could not be told at" in at(world, alert, 50).sentence
    assert "the receiver answers 503" in at(world, alert, 50).sentence
    world.turn(400, (alert,))
    ada = Principal("u", "ada", Role.OPERATOR)
    Handler(world.pipeline).acknowledge(ada, world.pipeline.known()[alert.fingerprint])
    world.turn(60, (alert,))
    assert "ada had acknowledged it at" in at(world, alert, 515).sentence
    world.turn(20)
    Handler(world.pipeline).release(ada, world.pipeline.known()[alert.fingerprint])
    world.turn(20)
    assert "ada had acknowledged it at" in at(world, alert, 515).sentence
    assert "acknowledged" not in at(world, alert, 550).sentence


OTHERS = PLAIN.replace("receiver: team", "receiver: others").replace("name: team", "name: others")


def test_routes_are_those_of_then_also_when_the_configuration_changes(world: World) -> None:
    alert = world.fire("Down")
    world.turn(60, (alert,))
    world.pipeline.use(read_alert_config(OTHERS))
    world.turn(400, (alert,))
    world.text = NIGHT
    world.restart()
    world.turn(400, (alert,))

    first, second, third = at(world, alert, 50), at(world, alert, 300), at(world, alert, 700)
    assert [way.receiver for found in (first, second, third) for way in found.ways] == ["team", "others", "team"]
    assert first.ways[0].line == 3
    assert "team was told at 2026-03-02 12:00:30 UTC" in first.sentence
    assert "others was told at" in second.sentence
    assert not first.is_by_routes_of_now
    changes = [one.change.value for one in world.control.alerts.history(fingerprint=alert.fingerprint)]
    assert changes.count("routed") == 2


def test_same_routes_on_other_lines_are_no_change(world: World) -> None:
    alert = world.fire("Down")
    world.turn(60, (alert,))
    world.pipeline.use(read_alert_config("# a comment\n\n" + NIGHT))
    world.turn(60, (alert,))
    world.restart()
    world.turn(60, (alert,))

    assert world.control.alerts.history(fingerprint=alert.fingerprint, change="routed") == []


def test_receipt_of_then_is_told(world: World) -> None:
    alert = world.fire("Down")
    world.turn(60, (alert,))

    (way,) = at(world, alert, 50).ways
    assert way.receipt == "receipt at 12:00:30 UTC"
    assert "team was told at 2026-03-02 12:00:30 UTC (receipt at 12:00:30 UTC)." in at(world, alert, 50).sentence


def test_end_of_a_mute_is_known(world: World) -> None:
    alert = world.fire("Down", kind="night")
    world.turn(900, (alert,))
    kinds = [one.change.value for one in world.control.alerts.history(fingerprint=alert.fingerprint)][::-1]

    assert kinds == ["firing", "muted", "unmuted", "notified"]
    assert "team was told at" in at(world, alert, 890).sentence
    assert "held it back" not in at(world, alert, 890).sentence


def test_cooldown_that_held_it_back_is_the_reason(world: World) -> None:
    alert = world.fire("Down", cooldown="15m")
    world.turn(60, (alert,))
    world.resolve(alert)
    world.turn(310)
    again = world.fire("Down", cooldown="15m")
    world.turn(400, (again,))

    assert "cools down 900 s" in at(world, again, 760).sentence
    assert "was not told: its route held it back" in at(world, again, 760).sentence


def test_history_without_routes_says_that_it_uses_those_of_now(world: World) -> None:
    alert = world.fire("Down")
    world.turn(60, (alert,))
    bare = [replace(one, detail={}) for one in world.control.alerts.history(fingerprint=alert.fingerprint)]
    found = explain_at(alert.labels, bare, world.pipeline.config, START + timedelta(seconds=50), lambda keys: {})

    assert found.is_by_routes_of_now
    assert "These are the routes of now" in found.sentence
