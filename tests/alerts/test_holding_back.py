"""Silence, snooze, maintenance, cooldown and storms hold back; nothing is lost, and the worst is never held."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pipeline_world import CALM, PLAIN, World, names

from tocsin.alerts.explain import explain
from tocsin.alerts.handling import Handler
from tocsin.alerts.settings import AlertSettings
from tocsin.model.alert import Alert
from tocsin.model.alert_state import Change
from tocsin.model.control import SYSTEM
from tocsin.model.silence import LabelMatcher

QUICK = PLAIN.replace("group_wait: 30s", "group_wait: 0s").replace("group_interval: 5m", "group_interval: 10s")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, QUICK)


def changes(world: World, alert: Alert) -> list[str]:
    found = world.control.alerts.history(fingerprint=alert.fingerprint)
    return [change.change.value for change in found][::-1]


def sentence(world: World, alert: Alert) -> str:
    return explain(world.pipeline, world.pipeline.known()[alert.fingerprint]).sentence


def test_silence_holds_back_until_it_ends(world: World) -> None:
    end = world.now + timedelta(seconds=60)
    world.control.silences.set(
        SYSTEM, matchers=[LabelMatcher("alertname", "Down")], starts_at=world.now, ends_at=end, comment="known"
    )
    alert = world.fire("Down")

    assert world.turn(55, (alert,)) == []
    assert "silenced by" in sentence(world, alert)
    assert [names(told) for told in world.turn(30, (alert,))] == [["Down"]]
    assert changes(world, alert) == ["firing", "suppressed", "unsuppressed", "notified"]


def test_maintenance_holds_back_everything_and_shows_what(world: World) -> None:
    world.control.maintenances.begin(SYSTEM, ends_at=world.now + timedelta(seconds=60), reason="upgrade")
    alert = world.fire("Down", severity="page")

    assert world.turn(55, (alert,)) == []
    assert sentence(world, alert) == "Nobody is told: maintenance is on."
    held = world.control.alerts.history(change=Change.SUPPRESSED)
    assert [change.detail["by"].partition(":")[0] for change in held] == ["maintenance"]
    assert len(world.turn(30, (alert,))) == 1  # it expires by itself


def test_maintenance_that_is_ended_early_tells_at_the_next_look(world: World) -> None:
    world.control.maintenances.begin(SYSTEM, ends_at=world.now + timedelta(hours=2), reason="upgrade")
    alert = world.fire("Down")
    world.turn(20, (alert,))
    world.control.maintenances.end(SYSTEM)

    assert len(world.turn(15, (alert,))) == 1
    assert [entry.action for entry in world.control.audit.entries()] == ["maintenance.end", "maintenance.begin"]


def test_maintenance_of_one_tenant_leaves_the_others(world: World) -> None:
    matchers = [LabelMatcher("tenant", "acme")]
    world.control.maintenances.begin(SYSTEM, ends_at=world.now + timedelta(hours=1), reason="move", matchers=matchers)
    world.fire("AcmeDown", tenant="acme")
    world.fire("GlobexDown", tenant="globex")

    assert [names(told) for told in world.turn(20)] == [["GlobexDown"]]


def test_cooldown_holds_back_what_flaps_but_no_worse_alert(tmp_path: Path) -> None:
    world = World(tmp_path, QUICK, settings=AlertSettings(cooldowns=("Flap=15m",), storm_same_count=0))
    first = world.fire("Flap", severity="warning")
    world.turn(15)
    world.resolve(first)
    world.turn(15)
    second = world.fire("Flap", severity="warning")

    assert world.turn(60, (second,)) == []
    assert "cools down 900 s" in sentence(world, second)
    worse = world.fire("Flap", severity="critical")
    (told,) = world.turn(20, (second, worse))
    assert [alert.labels["severity"] for alert in told.firing] == ["critical"]
    assert any(len(told.firing) == 2 for told in world.turn(1000, (second, worse)))


def test_cooldown_survives_a_restart(tmp_path: Path) -> None:
    world = World(tmp_path, QUICK, settings=AlertSettings(cooldowns=("Flap=15m",)))
    first = world.fire("Flap")
    world.turn(15)
    world.resolve(first)
    world.turn(15)
    world.restart()
    world.fire("Flap")

    assert world.turn(60) == []


def storm(tmp_path: Path, **settings: float) -> World:
    text = QUICK.replace("[alertname]", "['...']")
    return World(tmp_path, text, settings=AlertSettings(**settings))  # type: ignore[arg-type]  # numbers of both kinds


def test_sixth_notification_of_one_alert_waits_for_the_digest(tmp_path: Path) -> None:
    world = storm(tmp_path)
    fired = [world.fire("Down", instance=str(place)) for place in range(12)]
    world.turn(30, tuple(fired))

    assert len(world.told) == 5
    (digest,) = world.turn(60, tuple(fired))
    assert digest.held_back == 7
    assert len(digest.firing) == 7
    assert "7 notifications about 7 alerts were held back" in digest.cause
    told = {alert.fingerprint for one in world.told for alert in one.firing}
    assert told == {alert.fingerprint for alert in fired}


def test_no_p0_waits_in_a_storm(tmp_path: Path) -> None:
    world = storm(tmp_path)
    for place in range(40):
        world.fire(f"Noise{place}")
    world.turn(5)
    assert len(world.told) == 20
    world.fire("Breach", severity="page")

    assert [names(told) for told in world.turn(2)] == [["Breach"]]


def test_thousand_alerts_make_a_digest_and_lose_nothing(tmp_path: Path) -> None:
    world = storm(tmp_path)
    for second in range(10):
        world.pipeline.accept(
            [
                Alert({"alertname": f"Storm{place % 7}", "instance": f"{second}-{place}"}, starts_at=world.now)
                for place in range(100)
            ]
        )
        if second == 5:
            world.fire("Breach", severity="p0")
        world.turn(1)
    breach = next(told for told in world.told if names(told) == ["Breach"])
    world.turn(70)

    assert breach.made_at - breach.firing[0].starts_at <= timedelta(seconds=2)
    assert len(world.told) <= 20 + 1 + 2
    told = {alert.fingerprint for one in world.told for alert in one.alerts}
    assert len(told) == 1001
    assert len(world.control.alerts.history(change=Change.FIRING, limit=5000)) == 1001


def test_storm_and_what_it_held_survive_a_restart(tmp_path: Path) -> None:
    world = storm(tmp_path)
    fired = [world.fire("Down", instance=str(place)) for place in range(8)]
    world.turn(20, tuple(fired))
    world.restart()
    more = world.fire("Down", instance="more")

    (digest,) = world.turn(70, (*fired, more))
    assert digest.held_back == 4


def test_acknowledged_alert_is_not_repeated_but_news_are_told(tmp_path: Path) -> None:
    world = World(tmp_path, QUICK.replace("repeat_interval: 4h", "repeat_interval: 1m"))
    alert = world.fire("Down", instance="a")
    world.turn(5)
    Handler(world.pipeline).acknowledge(SYSTEM, world.pipeline.known()[alert.fingerprint], "on it")

    assert world.turn(200, (alert,)) == []
    second = world.fire("Down", instance="b")
    assert len(world.turn(15, (alert, second))) == 1


def test_what_was_given_back_is_repeated_again(tmp_path: Path) -> None:
    world = World(tmp_path, PLAIN.replace("4h", "10m"))
    alert = world.fire("Down")
    world.turn(31, refresh=(alert,))
    handler = Handler(world.pipeline)
    handler.acknowledge(SYSTEM, world.pipeline.known()[alert.fingerprint])
    assert world.turn(1200, refresh=(alert,)) == []
    handler.release(SYSTEM, world.pipeline.known()[alert.fingerprint])

    assert [names(one) for one in world.turn(301, refresh=(alert,))] == [["Down"]]


def test_closed_at_a_provider_it_goes_on_and_belongs_to_nobody(tmp_path: Path) -> None:
    world = World(tmp_path, PLAIN.replace("4h", "10m"))
    alert, over = world.fire("Down"), world.fire("Over")
    told = world.turn(31, refresh=(alert, over))
    world.resolve(over)
    handler = Handler(world.pipeline)
    for one in told:
        handler.acknowledge_told(one, "Ada", "pagerduty")
        handler.release_told(one, "Ada", "pagerduty", is_closed=True)

    assert world.pipeline.known()[alert.fingerprint].handling.acknowledged_by == ""
    repeated = world.turn(901, refresh=(alert,))
    assert ["Down"] in [names(one) for one in repeated]
    changes = world.control.alerts.history(change="released")
    assert [(one.name, one.actor) for one in changes] == [("Down", "Ada")]  # what is over stays over


def test_resolved_where_it_was_told_it_is_over_until_it_fires_anew(world: World) -> None:
    alert = world.fire("Down")
    [told] = world.turn(31, refresh=(alert,))
    Handler(world.pipeline).resolve_told(told, "Ada", "slack")

    assert [one.status for one in world.turn(301, refresh=(alert,))] == ["resolved"]
    [newest, *_] = world.control.alerts.history(fingerprint=alert.fingerprint, change="resolved")
    assert (newest.actor, newest.detail["note"]) == ("Ada", "at slack")


def test_new_firing_begins_without_the_acknowledgement(world: World) -> None:
    alert = world.fire("Down")
    world.turn(5)
    Handler(world.pipeline).acknowledge(SYSTEM, world.pipeline.known()[alert.fingerprint])
    world.resolve(alert)
    world.turn(20)
    world.fire("Down")

    assert world.pipeline.known()[alert.fingerprint].handling.acknowledged_by == ""


def test_snooze_ends_by_itself(world: World) -> None:
    alert = world.fire("Down")
    handler = Handler(world.pipeline)
    handler.snooze(SYSTEM, world.pipeline.known()[alert.fingerprint], timedelta(minutes=1))

    assert world.turn(50, (alert,)) == []
    assert len(world.turn(30, (alert,))) == 1


def test_alert_that_a_person_resolved_stays_so_until_it_fires_anew(world: World) -> None:
    alert = world.fire("Down")
    world.turn(5)
    Handler(world.pipeline).resolve(SYSTEM, world.pipeline.known()[alert.fingerprint])

    assert [told.status for told in world.turn(100, (alert,))] == ["resolved"]
    again = Alert(alert.labels, starts_at=world.now)
    world.pipeline.accept([again])
    assert [told.status for told in world.turn(15, (again,))] == ["firing"]


def test_false_positive_counts_beside_its_rule(tmp_path: Path) -> None:
    world = World(tmp_path, QUICK, settings=CALM)
    for instance in "abcd":
        world.fire("Noisy", instance=instance)
    world.turn(5)
    known = next(iter(world.pipeline.known().values()))
    Handler(world.pipeline).mark_false_positive(SYSTEM, known)

    (marks,) = world.control.alerts.marks(start=world.now - timedelta(hours=1))
    assert (marks.name, marks.fired, marks.false_positives, marks.false_positive_ratio) == ("Noisy", 4, 1, 0.25)
    assert world.control.audit.entries()[0].action == "alert.false_positive"
