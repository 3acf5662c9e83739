"""Leaks, blocking calls, restarts and containers: each told from what it is not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import tocsin
from tocsin.sdk.agents import current_agent
from tocsin.sdk.instrument import _census, _leaks
from tocsin.sdk.instrument._cgroup import Container
from tocsin.sdk.instrument._leaks import LeakWatch, ResidentMemory
from tocsin.sdk.instrument._restarts import LastWords, Life, reason_of
from tocsin.sdk.records import WARN
from tocsin.testing import capture_spans
from waiting import await_exit, eventually

MB = 1_000_000


class Undo:
    """Keeps what nobody asks for again."""

    def __init__(self) -> None:
        self.history: list[bytes] = []


class Record:
    def __init__(self, number: int) -> None:
        self.number = number


# -- leaks


class Grown(ResidentMemory):
    def __init__(self) -> None:
        super().__init__()
        self.held = 100 * MB

    def read(self) -> int:
        return self.held


def test_a_leak_is_told_with_what_grows_and_ends_when_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_census, "HOLD_SECONDS", 10.0)  # the heap of a test run is large
    told: list[tuple[str, str, dict[str, Any], int]] = []
    now, memory, undo = 0.0, Grown(), Undo()
    watch = LeakWatch(60.0, lambda *event: told.append(event), memory, lambda: now)
    while not told and now < 600:
        now += 1
        memory.held += 1 * MB
        undo.history.extend(bytes(1000) for _ in range(100))
        watch.tick()
        if watch._thread is not None:
            watch._thread.join(30)
    [(event, body, attributes, severity)] = told
    assert (event, severity) == ("tocsin.runtime.leak", WARN)
    assert watch.verdict.bytes_per_hour / MB == pytest.approx(3600, rel=0.05)
    growing = dict(
        zip(
            attributes["tocsin.leak.growing"],
            zip(attributes["tocsin.leak.growing_number"], attributes["tocsin.leak.growing_bytes"], strict=True),
            strict=True,
        )
    )  # what other tests of this process have left may grow, too
    [(number, size)] = [found for name, found in growing.items() if name.endswith("Undo.history (list of bytes)")]
    assert number >= 500
    assert size == pytest.approx(number * 1041, rel=0.02)
    assert "Undo.history" in body
    for _ in range(200):
        now += 1
        watch.tick()
    assert not watch.verdict.is_leak
    assert len(told) == 1
    watch.close()


def test_a_heap_that_takes_too_long_to_list_is_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_census, "HOLD_SECONDS", -1.0)
    told: list[dict[str, Any]] = []
    now, memory = 0.0, Grown()
    watch = LeakWatch(60.0, lambda _event, _body, attributes, _severity: told.append(attributes), memory, lambda: now)
    while not told and now < 600:
        now += 1
        memory.held += 1 * MB
        watch.tick()
        if watch._thread is not None:
            watch._thread.join(30)
    assert "not looked through a second time" in told[0]["tocsin.leak.note"]
    assert told[0]["tocsin.leak.growing"] == []
    watch.close()


def test_types_that_grow_are_counted() -> None:
    before = _census.take()
    kept = {place: Record(place) for place in range(3000)}
    found = {each.name: each.number for each in _census.growth(before, _census.take())}
    name = f"{Record.__module__}.{Record.__qualname__}"
    assert 2900 <= found[name] <= 3100
    assert len(kept) == 3000


def test_resident_memory_is_what_the_kernel_says() -> None:
    memory = ResidentMemory()
    status = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("VmRSS"))
    assert memory.read() == pytest.approx(int(status.split()[1]) * 1024, rel=0.05)
    memory.close()
    assert memory.read() == 0
    assert _leaks.EVENT == "tocsin.runtime.leak"


# -- blocking calls


def test_a_blocking_call_is_an_event_with_line_source_stack_and_endpoint() -> None:
    app = FastAPI()
    tocsin.instrument(app, tenant="header:X-Tenant-ID", loop_lag_seconds=0.05)

    @app.get("/block/{place}")
    async def block(place: int) -> int:
        time.sleep(0.4)  # noqa: ASYNC251  the fault that is looked for
        return place

    with TestClient(app) as client, capture_spans() as captured:
        client.get("/block/1", headers={"X-Tenant-ID": "acme"})
        client.get("/block/2", headers={"X-Tenant-ID": "acme"})

        def told() -> list[Any]:
            agent = current_agent()
            assert agent is not None
            agent.figures.next_gauges = 0.0
            agent.figures.all()
            return [record for record in captured.records if record.event == "tocsin.runtime.blocked"]

        [first] = eventually(told, "the blocked loop is told")
        assert first.attributes["tocsin.blocked.source"].startswith("time.sleep(0.4)")
        assert "test_runtime_watch.py" in first.attributes["tocsin.blocked.line"]
        assert " in block" in first.attributes["code.stacktrace"].splitlines()[0]
        assert (first.attributes["http.route"], first.tenant) == ("/block/{place}", "acme")
        assert 250 <= first.attributes["tocsin.blocked_ms"] <= 5000
        # The second came within ten seconds: it is counted, not told.
        assert len(told()) == 1


# -- restarts

NOW = LastWords(7, "99", "boot", "1.1", 1000.0, 1000.0, 0)
BEFORE = LastWords(6, "50", "boot", "1.1", 100.0, 990.0, 0, "exit")


@pytest.mark.parametrize(
    ("before", "now", "reason"),
    [
        (None, NOW, "first"),
        (BEFORE, NOW, "clean"),
        (replace(BEFORE, ended="stopped"), NOW, "clean"),
        (replace(BEFORE, release="1.0"), NOW, "deploy"),
        (replace(BEFORE, ended="crash: KeyError", release="1.0"), NOW, "crash"),
        (replace(BEFORE, ended=""), NOW, "killed"),
        (replace(BEFORE, ended=""), replace(NOW, oom_kills=1), "oom"),
        (replace(BEFORE, ended="", boot="another"), NOW, "reboot"),
    ],
)
def test_the_last_words_say_why(before: LastWords | None, now: LastWords, reason: str) -> None:
    assert reason_of(before, now).reason == reason


LIVING = """
    import sys, time
    sys.path[:0] = [{source!r}]
    from pathlib import Path
    from tocsin.sdk.instrument._restarts import Life, listen_for_the_end
    life = Life("shop", sys.argv[1], lambda: 0, Path({folder!r}))
    listen_for_the_end(lambda: life)
    restart = life.begin()
    print(restart.reason, restart.before.pid if restart.before else 0, flush=True)
    if sys.argv[2] == "crash":
        raise KeyError("x")
    if sys.argv[2] == "stay":
        time.sleep(60)
"""


def live(folder: Path, release: str, how: str) -> subprocess.Popen[str]:
    source = str(Path(tocsin.__file__).parents[1])
    code = textwrap.dedent(LIVING.format(source=source, folder=str(folder)))
    command = [sys.executable, "-c", code, release, how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def said(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    with process.stdout as told:
        return told.readline().split()


def test_real_processes_tell_what_became_of_the_one_before(tmp_path: Path) -> None:
    folder = tmp_path / "lives"
    first = live(folder, "1", "stay")
    assert said(first) == ["first", "0"]
    first.send_signal(signal.SIGKILL)
    await_exit(first)
    for how, release, expected in (
        ("exit", "1", ["killed", str(first.pid)]),
        ("crash", "1", ["clean"]),
        ("exit", "1", ["crash"]),
        ("exit", "2", ["deploy"]),
    ):
        process = live(folder, release, how)
        assert said(process)[: len(expected)] == expected
        await_exit(process)
    assert len(list(folder.glob("*.life"))) == 1


def test_several_that_start_at_once_take_over_from_one_each_and_none_from_the_living(tmp_path: Path) -> None:
    gone = [live(tmp_path, "1", "stay") for _ in range(2)]
    assert [said(process)[0] for process in gone] == ["first", "first"]
    for process in gone:
        process.kill()
        await_exit(process)
    now = [live(tmp_path, "1", "stay") for _ in range(3)]
    told = sorted(said(process)[0] for process in now)
    for process in now:
        process.kill()
        await_exit(process)
    assert told == ["first", "killed", "killed"]


def test_words_that_cannot_be_read_or_are_old_are_nobodys(tmp_path: Path) -> None:
    (tmp_path / "shop-1-2.life").write_text("{")
    old = LastWords(1, "2", "", "1", 0.0, 1.0, 0, "exit")
    words = {name: getattr(old, name) for name in old.__slots__}
    (tmp_path / "shop-3-4.life").write_text(json.dumps(words))
    life = Life("shop", "1", lambda: 0, tmp_path)
    assert life.begin().reason == "first"
    assert len(list(tmp_path.glob("*.life"))) == 1
    life.forget()
    assert list(tmp_path.glob("*.life")) == []


def test_last_figures_of_an_app_that_has_stopped_are_no_sign_of_life_and_later_ones_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life("shop", "1", lambda: 0, tmp_path)
    life.begin()
    [path] = tmp_path.glob("*.life")
    life.end("stopped")
    assert json.loads(path.read_text())["ended"] == "stopped"
    life.show_up()
    assert json.loads(path.read_text())["ended"] == "stopped"
    now = time.time() + 16
    monkeypatch.setattr(time, "time", lambda: now)
    life.show_up()
    assert json.loads(path.read_text())["ended"] == ""
    life.forget()


def test_the_start_is_an_event_of_the_process() -> None:
    app = FastAPI()
    tocsin.instrument(app)
    with TestClient(app) as client, capture_spans() as captured:
        client.get("/")

        def told() -> list[Any]:
            agent = current_agent()
            assert agent is not None
            agent.figures.next_gauges = 0.0
            agent.figures.all()
            return [record for record in captured.records if record.event == "tocsin.runtime.restart"]

        [start] = eventually(told, "the start is told")
        assert start.attributes["process.pid"] == os.getpid()
        assert start.attributes["tocsin.restart.reason"] in ("first", "clean", "killed", "crash", "deploy")


# -- containers


def files(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_limits_of_the_second_version_are_read(tmp_path: Path) -> None:
    files(
        tmp_path,
        own="0::/app\n",
        app__cpu_dot_max="150000 100000\n",
        app__cpu_dot_stat="usage_usec 5\nnr_throttled 3\nthrottled_usec 2500000\n",
        app__memory_dot_max="536870912\n",
        app__memory_dot_events="low 0\noom 2\noom_kill 1\n",
    )
    container = Container(tmp_path, tmp_path / "own")
    assert container.cpu_limit_cores() == 1.5
    assert container.cpu_throttled_seconds() == 2.5
    assert (container.memory_limit_bytes(), container.oom_kills()) == (536870912, 1)


def test_limits_of_the_first_version_are_read(tmp_path: Path) -> None:
    files(
        tmp_path,
        own="4:memory:/docker/x\n1:cpu,cpuacct:/docker/x\n",
        cpu__cpu_dot_cfs_quota_us="50000\n",
        cpu__cpu_dot_cfs_period_us="100000\n",
        cpu__cpu_dot_stat="nr_periods 9\nnr_throttled 2\nthrottled_time 3000000000\n",
        memory__memory_dot_limit_in_bytes="9223372036854771712\n",
        memory__memory_dot_oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
    )
    container = Container(tmp_path, tmp_path / "own")
    assert container.cpu_limit_cores() == 0.5
    assert container.cpu_throttled_seconds() == 3.0
    assert (container.memory_limit_bytes(), container.oom_kills()) == (None, 4)


def test_without_limits_nothing_is_said(tmp_path: Path) -> None:
    files(tmp_path, own="0::/\n", cpu_dot_max="max 100000\n", memory_dot_max="max\n")
    container = Container(tmp_path, tmp_path / "own")
    assert (container.cpu_limit_cores(), container.memory_limit_bytes()) == (None, None)
    assert (container.cpu_throttled_seconds(), container.oom_kills()) == (None, 0)
