"""The loop: told once, again when there is news, and neither lost nor repeated over a restart."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pipeline_world import PLAIN, World, names

from tocsin.alerts.handling import Handler
from tocsin.alerts.intake import Refused
from tocsin.alerts.settings import AlertSettings
from tocsin.model.access import Principal, Role
from tocsin.model.alert import Alert
from tocsin.model.alert_state import Change
from tocsin.model.notification import Outcome


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_group_is_told_once_after_its_wait(world: World) -> None:
    world.fire("Down", instance="a")
    world.turn(5)
    world.fire("Down", instance="b")

    assert world.turn(24) == []
    (told,) = world.turn(10)
    assert [alert.labels["instance"] for alert in told.firing] == ["a", "b"]
    assert told.group_key == '{}:{alertname="Down"}'
    assert world.turn(600) == [] or world.told[-1].status == "resolved"


def test_new_alert_of_a_told_group_waits_for_the_group_interval(world: World) -> None:
    first = world.fire("Down", instance="a")
    world.turn(31, (first,))
    second = world.fire("Down", instance="b")

    assert world.turn(290, (first, second)) == []
    (told,) = world.turn(20, (first, second))
    assert len(told.firing) == 2


def test_firing_group_is_repeated_after_the_repeat_interval(world: World) -> None:
    alert = world.fire("Down")
    told = world.turn(4 * 3600 + 700, (alert,))

    assert [(one.made_at - told[0].made_at) for one in told] == [timedelta(0), timedelta(hours=4, minutes=5)]


def test_resolved_alert_is_told_at_the_next_look_and_then_forgotten(world: World) -> None:
    alert = world.fire("Down")
    world.turn(60)
    world.resolve(alert)
    (told,) = world.turn(300)

    assert told.status == "resolved"
    assert world.pipeline.known() == {}
    assert [change.change for change in world.control.alerts.history()][::-1] == [
        Change.FIRING, Change.NOTIFIED, Change.RESOLVED, Change.NOTIFIED,
    ]  # fmt: skip


def test_alert_that_ends_before_it_was_told_is_never_told(world: World) -> None:
    alert = world.fire("Blip")
    world.turn(10)
    world.resolve(alert)

    assert world.turn(600) == []


def test_silence_of_the_source_counts_as_resolved_after_the_timeout(world: World) -> None:
    world.fire("Down")
    first, second = world.turn(700)

    assert (first.status, second.status) == ("firing", "resolved")
    assert Change.EXPIRED in [change.change for change in world.control.alerts.history()]


def test_server_that_was_away_for_long_goes_on_where_it_was(world: World) -> None:
    alert, over = world.fire("Down"), world.fire("Over")
    world.turn(400, (alert, over))
    world.now += timedelta(minutes=20)
    world.restart()

    assert world.turn(20) == []  # its source has not had time to speak
    world.pipeline.accept([alert])
    world.resolve(over)
    assert [(told.status, names(told)) for told in world.turn(900, (alert,))] == [("resolved", [])]
    changes = [change.change for change in world.control.alerts.history(fingerprint=alert.fingerprint)]
    assert changes == [Change.NOTIFIED, Change.FIRING]


def test_what_nobody_speaks_of_after_a_restart_is_over_in_time(world: World) -> None:
    alert = world.fire("Down")
    world.turn(400, (alert,))
    world.now += timedelta(minutes=20)
    world.restart()

    assert world.turn(290) == []
    [told] = world.turn(320)
    assert told.status == "resolved"
    changes = [change.change for change in world.control.alerts.history(fingerprint=alert.fingerprint)]
    assert changes == [Change.NOTIFIED, Change.EXPIRED, Change.NOTIFIED, Change.FIRING]


def test_what_had_ended_before_the_restart_stays_over(world: World) -> None:
    alert = world.fire("Down", ends=world.now + timedelta(seconds=100))
    world.turn(110)
    world.restart()

    assert [told.status for told in world.turn(400)] == ["resolved"]
    assert not world.pipeline.known()
    changes = [change.change for change in world.control.alerts.history(fingerprint=alert.fingerprint)]
    assert changes == [Change.NOTIFIED, Change.RESOLVED, Change.NOTIFIED, Change.FIRING]


def test_rule_that_falls_silent_is_no_rule_that_says_it_is_over(world: World) -> None:
    ends = world.now + timedelta(seconds=240)
    world.pipeline.accept([Alert({"alertname": "Down"}, starts_at=world.now, ends_at=ends, is_until_told=True)])
    world.turn(400)

    changes = [change.change for change in world.control.alerts.history()]
    assert changes == [Change.NOTIFIED, Change.EXPIRED, Change.NOTIFIED, Change.FIRING]


def test_restart_repeats_nothing_and_goes_on(world: World) -> None:
    alert = world.fire("Down")
    world.turn(40)
    world.restart()

    assert world.turn(400, (alert,)) == []
    world.resolve(alert)
    assert [told.status for told in world.turn(400)] == ["resolved"]


def test_kill_between_firing_and_notifying_tells_exactly_once(world: World) -> None:
    alert = world.fire("Down")
    world.restart()
    assert len(world.turn(60, (alert,))) == 1


def test_kill_between_writing_and_sending_tells_exactly_once(world: World) -> None:
    alert = world.fire("Down")
    world.is_dead = True
    with pytest.raises(SystemExit):
        world.turn(60)
    world.is_dead = False
    world.restart()

    assert len(world.told) == 1
    assert world.turn(400, (alert,)) == []


def test_second_server_on_the_same_store_tells_nothing_twice(tmp_path: Path) -> None:
    world = World(tmp_path)
    alert = world.fire("Down")
    first = world.pipeline
    world.restart()
    second = world.pipeline
    for _ in range(60):
        world.now += timedelta(seconds=1)
        first.tick()
        second.tick()

    assert [names(told) for told in world.told] == [[alert.name]]


def test_failed_delivery_is_tried_at_the_next_look(world: World) -> None:
    alert = world.fire("Down")
    world.outcomes = [Outcome.FAILED]

    assert world.turn(60, (alert,)) == []
    (told,) = world.turn(300, (alert,))
    assert names(told) == ["Down"]
    assert Change.FAILED in [change.change for change in world.control.alerts.history()]


def test_failed_word_of_the_end_is_said_again(world: World) -> None:
    alert = world.fire("Down")
    world.turn(40)
    world.resolve(alert)
    world.outcomes = [Outcome.FAILED]

    assert [told.status for told in world.turn(700)] == ["resolved"]


def test_receiver_that_breaks_stops_no_other(tmp_path: Path) -> None:
    text = PLAIN.replace(
        "group_by: [alertname]", "group_by: [alertname]\n  routes: [{matchers: [team=a], receiver: other}]"
    )
    world = World(tmp_path, text + "  - name: other\n")
    told: list[str] = []

    def deliver(notification):  # type: ignore[no-untyped-def]
        if notification.receiver == "team":
            raise ValueError("broken")
        told.append(notification.receiver)
        return world.deliver(notification)

    world.pipeline._outbox._deliver = deliver
    world.fire("One")
    world.fire("Two", team="a")
    world.turn(40)

    assert told == ["other"]


def test_too_many_alerts_are_refused_and_the_others_kept(tmp_path: Path) -> None:
    world = World(tmp_path, settings=AlertSettings(most_alerts=3))
    alerts = [Alert({"alertname": "Many", "instance": str(place)}, starts_at=world.now) for place in range(5)]

    with pytest.raises(Refused, match="3 are kept already"):
        world.pipeline.accept(alerts)
    assert len(world.pipeline.known()) == 3


def test_alert_without_labels_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="it has no labels"):
        world.pipeline.accept([Alert({}, starts_at=world.now)])


def test_history_is_forgotten_after_its_time(tmp_path: Path) -> None:
    world = World(tmp_path, settings=AlertSettings(history_hours=1))
    world.fire("Down")
    world.turn(700)
    world.now += timedelta(hours=3)
    world.pipeline.tick()

    assert world.control.alerts.history() == []
    assert world.control.alerts.listed() == []


def test_server_that_lags_behind_another_still_tells_what_it_alone_knows(tmp_path: Path) -> None:
    world = World(tmp_path)
    one = world.fire("Down", instance="a")
    first = world.pipeline
    world.restart()
    second = world.pipeline
    for step in range(700):
        world.now += timedelta(seconds=1)
        if step % 60 == 0:
            first.accept([one])
            second.accept([one])
        if step == 100:
            first.accept([Alert({**one.labels, "instance": "b"}, starts_at=world.now)])
        if step == 400:
            second.accept([Alert({**one.labels, "instance": "c"}, starts_at=world.now)])
        first.tick()
        second.tick()

    told = {alert.labels["instance"] for each in world.told for alert in each.firing}
    assert told == {"a", "b", "c"}


def test_group_is_called_acknowledged_once_everything_in_it_is(tmp_path: Path) -> None:
    world = World(tmp_path)
    heard: list[str] = []
    world.pipeline.on_acknowledged = heard.append
    alerts = [world.fire("Down", host=host) for host in "ab"]
    world.turn(60, tuple(alerts))
    ada = Principal("u", "ada", Role.OPERATOR)

    Handler(world.pipeline).acknowledge(ada, world.pipeline.known()[alerts[0].fingerprint])
    assert heard == []
    Handler(world.pipeline).acknowledge(ada, world.pipeline.known()[alerts[1].fingerprint])
    assert heard == ['{}:{alertname="Down"}']
