"""An alertmanager.yml that changes is in force without a restart; a broken one changes nothing and says so."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from pipeline_world import PLAIN, World, names
from prometheus_client import REGISTRY

from tocsin.alerts.config import AlertConfig, AlertConfigError
from tocsin.alerts.config_file import ConfigFile
from waiting import eventually

NIGHT = PLAIN.replace("receiver: team\n", "receiver: night\n").replace("name: team", "name: night")


def metric(name: str) -> float:
    found = REGISTRY.get_sample_value(f"tocsin_alerts_config_{name}")
    assert found is not None
    return found


def config_file(tmp_path: Path, text: str = PLAIN) -> tuple[Path, ConfigFile]:
    path = tmp_path / "alertmanager.yml"
    path.write_text(text)
    return path, ConfigFile(str(path), look_seconds=0.02)


def test_alerts_take_the_new_routes_and_nobody_is_told_twice(tmp_path: Path) -> None:
    world = World(tmp_path)
    path, file = config_file(tmp_path)
    file.use = world.pipeline.use
    down = world.fire("Down")
    assert [one.receiver for one in world.turn(60, (down,))] == ["team"]

    path.write_text(PLAIN.replace("4h", "5h"))
    assert file.reload() == ""
    assert world.turn(600, (down,)) == []

    path.write_text(NIGHT)
    assert file.reload() == ""
    world.fire("Slow")
    told = world.turn(60, (down,))
    assert sorted(names(one)[0] for one in told) == ["Down", "Slow"]
    assert {one.receiver for one in told} == {"night"}


def test_alert_that_ended_while_the_file_changed_is_told_to_be_over(tmp_path: Path) -> None:
    world = World(tmp_path, PLAIN.replace("5m", "10s"))
    path, file = config_file(tmp_path)
    file.use = world.pipeline.use
    down = world.fire("Down")
    world.turn(40)
    world.resolve(down)
    path.write_text(PLAIN.replace("4h", "5h").replace("5m", "10s"))
    file.reload()

    assert [one.status for one in world.turn(30)] == ["resolved"]
    changes = [change.change.value for change in world.control.alerts.history(fingerprint=down.fingerprint)]
    assert changes[::-1] == ["firing", "notified", "resolved", "notified"]


def test_broken_file_keeps_the_former_and_says_so(tmp_path: Path) -> None:
    path, file = config_file(tmp_path)
    used: list[AlertConfig] = []
    file.use = used.append
    before, hashed = file.config, metric("hash")
    path.write_text("route: {receiver: nobody}\nreceivers: []")

    assert "there is no receiver 'nobody'" in file.reload()
    assert (file.config, used, metric("last_reload_successful"), metric("hash")) == (before, [], 0, hashed)
    path.write_text(NIGHT)
    assert file.reload() == file.problem == ""
    assert (used[0].route.receiver, metric("last_reload_successful")) == ("night", 1)
    assert metric("hash") != hashed
    assert metric("last_reload_success_timestamp_seconds") == pytest.approx(time.time(), abs=60)


def test_change_is_noticed_by_itself_and_a_template_counts(tmp_path: Path) -> None:
    words = tmp_path / "words.tmpl"
    words.write_text("one")
    _, file = config_file(tmp_path, f"templates: ['*.tmpl']\n{PLAIN}")
    used: list[object] = []
    file.use = used.append
    file.start()
    try:
        words.write_text("another")
        os.utime(words, (1, 1))
        eventually(lambda: used, "the change is noticed", pause_seconds=0.02)
    finally:
        file.close()


def test_start_with_a_broken_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AlertConfigError, match="no root route"):
        config_file(tmp_path, "receivers: []")
