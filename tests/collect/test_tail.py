"""Log files read as they are written: nothing lost, nothing doubled, whatever happens to the file."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.log_rows import Row, log_rows, rows_of
from ingest.serving import Ingest, ingest_of
from tocsin.collect import log_finder
from tocsin.collect.log_content import stem
from tocsin.collect.log_follow import BLOCK_SECONDS, DETACHED_SECONDS
from tocsin.collect.tail import Tailer
from tocsin.collect.tail_settings import TailSettings
from tocsin.ingest.gate import Admission, Refused
from tocsin.storage.telemetry.decode import Signal
from tocsin.storage.telemetry.spool import Spool, SpoolSettings, read_messages
from waiting import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
PADDING = "." * 40


class Machine:
    """A folder with log files, and a server that reads them, or does not for a while."""

    def __init__(self, folder: Path, ingest: Ingest, pattern: str = "app.log", **settings: Any) -> None:
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.ingest = ingest
        self.settings = TailSettings(files=(str(self.logs / pattern),), **settings)
        self.state = folder / "tail"
        self.tailer = self._new()

    def _new(self, submit: Callable[[Any], Admission] | None = None) -> Tailer:
        return Tailer(self.settings, self.state, submit or self.submit)

    def submit(self, request: Any) -> Admission:
        return self.ingest.gate.admit(Signal.LOGS, None, request, None)

    def restart(self) -> None:
        self.tailer.close()
        self.tailer = self._new()

    def crash_after_storing(self) -> None:
        """Read, and stop after the spool has it and before that is noted."""

        def store_and_stop(request: Any) -> Admission:
            self.submit(request).stored.result(PATIENCE_SECONDS)
            raise PowerCut

        self.tailer.close()
        dying = self._new(store_and_stop)
        with pytest.raises(PowerCut):
            dying.read_all()
        dying._unsaved.clear()
        dying.close()  # what the end of a process does
        self.tailer = self._new()

    def pass_time(self, seconds: float) -> None:
        for one in self.tailer.followed:
            one.grew -= seconds

    def read(self) -> None:
        self.tailer.read_all()

    def rows(self) -> list[Row]:
        return log_rows(self.ingest)

    def bodies(self) -> list[str]:
        return [row.body for row in self.rows()]


class PowerCut(Exception):
    pass


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    with ingest_of(tmp_path / "spool") as open_to_all:
        yield open_to_all


@pytest.fixture
def machine(tmp_path: Path, ingest: Ingest) -> Iterator[Machine]:
    made = Machine(tmp_path, ingest)
    yield made
    made.tailer.close()


@pytest.fixture
def wide(tmp_path: Path, ingest: Ingest) -> Iterator[Machine]:
    """Its pattern leads to the rotated files, too."""
    made = Machine(tmp_path, ingest, "app.log*")
    yield made
    made.tailer.close()


def write(path: Path, first: int, last: int, mode: str = "a") -> None:
    with path.open(mode) as file:
        file.writelines(f"line {number} {PADDING}\n" for number in range(first, last))


def lines(first: int, last: int) -> list[str]:
    return [f"line {number} {PADDING}" for number in range(first, last)]


def test_lines_are_read_as_they_are_written(machine: Machine) -> None:
    file = machine.logs / "app.log"
    write(file, 0, 3)
    machine.read()
    write(file, 3, 5)
    machine.read()
    machine.read()
    assert machine.bodies() == lines(0, 5)
    row = machine.rows()[0]
    assert row.resource["log.file.path"] == str(file)
    assert abs(row.time_ns - time.time_ns()) < 60 * 10**9
    assert row.observed_ns <= machine.rows()[1].observed_ns


def test_a_half_line_waits_for_its_end(machine: Machine) -> None:
    file = machine.logs / "app.log"
    file.write_text("whole\nhal")
    machine.read()
    assert machine.bodies() == ["whole"]
    machine.restart()
    with file.open("a") as more:
        more.write("f\r\n")
    machine.read()
    assert machine.bodies() == ["whole", "half"]


def test_the_last_half_line_of_a_file_that_is_gone_is_kept(machine: Machine) -> None:
    file = machine.logs / "app.log"
    file.write_text("whole\nhalf")
    machine.read()
    file.rename(machine.logs / "away")
    machine.read()
    machine.pass_time(DETACHED_SECONDS + 1)
    machine.read()
    assert machine.bodies() == ["whole", "half"]
    assert machine.tailer.followed == []


def by_rename(file: Path) -> None:
    file.rename(file.with_name("app.log.1"))


def by_date(file: Path) -> None:
    file.rename(file.with_name("app.log-20261121"))


def by_copy_and_truncate(file: Path) -> None:
    shutil.copyfile(file, file.with_name("app.log.1"))
    os.truncate(file, 0)


def by_rename_and_gzip(file: Path) -> None:
    by_rename(file)
    rotated = file.with_name("app.log.1")
    with gzip.open(file.with_name("app.log.1.gz"), "wb") as packed:
        packed.write(rotated.read_bytes())
    rotated.unlink()


def by_copy_and_gzip(file: Path) -> None:
    with gzip.open(file.with_name("app.log.1.gz"), "wb") as packed:
        packed.write(file.read_bytes())
    os.truncate(file, 0)


ROTATIONS = [by_rename, by_date, by_copy_and_truncate, by_rename_and_gzip, by_copy_and_gzip]
IS_RUNNING = pytest.mark.parametrize("is_running", [True, False], ids=["running", "down"])


@pytest.mark.parametrize("rotate", ROTATIONS)
@IS_RUNNING
@pytest.mark.parametrize("pattern", ["app.log", "app.log*"])
def test_rotation_neither_loses_nor_doubles_a_line(
    tmp_path: Path, ingest: Ingest, rotate: Callable[[Path], None], is_running: bool, pattern: str
) -> None:
    machine = Machine(tmp_path, ingest, pattern)
    file = machine.logs / "app.log"
    write(file, 0, 50)
    machine.read()
    if not is_running:
        machine.tailer.close()
    write(file, 50, 80)  # unread when the file is rotated
    rotate(file)
    write(file, 80, 100)
    if not is_running:
        machine.restart()
    for _ in range(3):
        machine.read()
        machine.pass_time(DETACHED_SECONDS + 1)
    machine.restart()
    machine.read()
    machine.tailer.close()
    assert sorted(machine.bodies(), key=order) == lines(0, 100)


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_file_that_escapes_a_look_because_it_is_being_renamed_is_found_by_the_next(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, is_restarted: bool
) -> None:
    file, started, listed = machine.logs / "app.log", time.time(), os.listdir
    now = [started]
    monkeypatch.setattr(log_finder.time, "time", lambda: now[0])
    write(file, 0, 10)
    machine.read()
    by_rename(file)
    write(file, 10, 20)
    by_rename(file)
    write(file, 20, 30)
    now[0] = started + 10

    def while_it_is_renamed(folder: str) -> list[str]:
        os.utime(folder, (now[0], now[0]))
        return [name for name in listed(folder) if name != "app.log.1"]

    monkeypatch.setattr(log_finder.os, "listdir", while_it_is_renamed)
    machine.read()
    assert machine.bodies() == lines(0, 10) + lines(20, 30)
    monkeypatch.setattr(log_finder.os, "listdir", listed)
    if is_restarted:
        machine.restart()
    now[0] = started + 20
    machine.read()
    assert sorted(machine.bodies(), key=order) == lines(0, 30)


def order(line: str) -> int:
    return int(line.split()[1])


def test_a_copy_that_is_being_made_waits(wide: Machine) -> None:
    file, copy = wide.logs / "app.log", wide.logs / "app.log.1"
    write(file, 0, 100)
    wide.read()
    whole = file.read_bytes()
    copy.write_bytes(whole[:2000])
    wide.read()
    copy.write_bytes(whole)
    wide.read()
    os.truncate(file, 0)
    write(file, 100, 110)
    wide.read()
    wide.read()
    assert wide.bodies() == lines(0, 110)


def test_a_file_emptied_and_filled_beyond_its_former_size_is_read_from_the_start(machine: Machine) -> None:
    file = machine.logs / "app.log"
    write(file, 0, 10)
    machine.read()
    write(file, 10, 40, "w")
    machine.read()
    assert machine.bodies() == lines(0, 40)


def test_the_hole_of_a_file_emptied_under_its_writer_is_passed_over(machine: Machine) -> None:
    file = machine.logs / "app.log"
    with file.open("w") as writer:  # does not append: it goes on where it was
        writer.writelines(f"{line}\n" for line in lines(0, 30_000))
        writer.flush()
        machine.read()
        os.truncate(file, 0)
        machine.read()
        writer.writelines(f"{line}\n" for line in lines(30_000, 30_010))
    machine.read()
    assert machine.bodies() == lines(0, 30_010)


def test_a_file_removed_and_made_anew_is_another_one(machine: Machine) -> None:
    file = machine.logs / "app.log"
    file.write_text("starting\n")
    machine.read()
    for _ in range(2):
        file.unlink()
        file.write_text("starting\n")
        machine.read()
    assert machine.bodies() == ["starting"] * 3


def test_two_files_that_begin_alike_are_two(tmp_path: Path, ingest: Ingest) -> None:
    machine = Machine(tmp_path, ingest, "*.log")
    for name in ("a.log", "b.log"):
        write(machine.logs / name, 0, 30)
        machine.read()
    write(machine.logs / "b.log", 30, 31)
    machine.read()
    assert Counter(machine.bodies()) == Counter(lines(0, 30) * 2 + lines(30, 31))
    machine.tailer.close()


def test_old_compressed_files_are_read_once(wide: Machine) -> None:
    with gzip.open(wide.logs / "app.log.2.gz", "wb") as packed:
        packed.write(b"old\n")
    (wide.logs / "app.log.3.gz").write_bytes(gzip.compress(b"cut off\n")[:-5])
    wide.read()
    wide.read()
    wide.restart()
    wide.read()
    assert wide.bodies() == ["old"]
    assert "no complete gzip file" in next(state.error for state in wide.tailer.states() if state.error)


def test_a_crash_between_the_spool_and_the_note_of_it_doubles_nothing(machine: Machine) -> None:
    file = machine.logs / "app.log"
    write(file, 0, 20)
    machine.crash_after_storing()
    write(file, 20, 30)
    machine.read()
    assert machine.bodies() == lines(0, 30)


@pytest.mark.parametrize("rotate", ROTATIONS)
def test_a_crash_and_a_rotation_after_it_double_nothing(machine: Machine, rotate: Callable[[Path], None]) -> None:
    file = machine.logs / "app.log"
    write(file, 0, 20)
    machine.read()
    write(file, 20, 40)
    machine.crash_after_storing()
    write(file, 40, 60)
    rotate(file)
    write(file, 60, 80)
    machine.read()
    machine.read()
    assert sorted(machine.bodies(), key=order) == lines(0, 80)


def test_what_the_spool_refuses_waits(tmp_path: Path) -> None:
    with ingest_of(tmp_path / "small", spool_bytes=10) as full:
        machine = Machine(tmp_path, full)
        write(machine.logs / "app.log", 0, 5)
        with pytest.raises(Refused, match="the spool holds"):
            machine.read()
        machine.tailer.close()
    with ingest_of(tmp_path / "large") as roomy:
        machine.ingest = roomy
        machine.restart()
        machine.read()
        assert machine.bodies() == lines(0, 5)
        machine.tailer.close()


def test_a_line_of_10_mb_is_cut_and_what_follows_is_read(tmp_path: Path, ingest: Ingest) -> None:
    machine = Machine(tmp_path, ingest, max_line_bytes=1000)
    file = machine.logs / "app.log"
    file.write_bytes(b"before\n" + b"x" * 10_000_000 + b"\nbetween\n" + b"y" * 2000 + b"\nafter\n")
    machine.read()
    rows = machine.rows()
    assert [len(row.body) for row in rows] == [6, 1000, 7, 1000, 5]
    assert [row.attributes.get("tocsin.log.is_cut", False) for row in rows] == [False, True, False, True, False]
    assert rows[-1].body == "after"
    machine.tailer.close()


def test_bytes_that_are_no_text_are_safe(machine: Machine) -> None:
    file = machine.logs / "app.log"
    file.write_bytes(b"\xff\xfe\x00binary\n\n\x00\x00\n" + bytes(range(1, 10)) + b"\nend\n")
    machine.read()
    bodies = machine.bodies()
    assert bodies[0] == "\ufffd\ufffd\x00binary"
    assert bodies[-1] == "end"
    assert len(bodies) == 3


def test_a_clock_in_the_future_is_not_believed(machine: Machine) -> None:
    later = time.time() + 86_400
    (machine.logs / "app.log").write_text(f'{{"message": "m", "time": {later}}}\n')
    machine.read()
    (row,) = machine.rows()
    assert abs(row.time_ns - time.time_ns()) < 60 * 10**9
    assert row.attributes["tocsin.log.stated_time"].startswith(time.strftime("%Y-%m-%dT%H", time.gmtime(later)))


def test_lines_too_old_are_counted_and_told(machine: Machine) -> None:
    (machine.logs / "app.log").write_text('{"message": "old", "time": "2001-01-01T00:00:00Z"}\nnew\n')
    machine.read()
    assert machine.bodies() == ["new"]
    (state,) = machine.tailer.states()
    assert state.rejected_lines == 1
    assert "older than the retention" in state.error


def test_docker_files_are_read_with_their_partial_lines(machine: Machine) -> None:
    file = machine.logs / "app.log"
    file.write_text(
        '{"log":"first ","stream":"stdout","time":"2026-11-21T10:00:00.1Z"}\n'
        '{"log":"line\\n","stream":"stdout","time":"2026-11-21T10:00:00.2Z"}\n'
        '{"log":"{\\"level\\":\\"error\\",\\"message\\":\\"no\\"}\\n","stream":"stderr","time":"2026-11-21T10:00:00.3Z"}\n'
        '{"log":"open","stream":"stdout","time":"2026-11-21T10:00:00.4Z"}\n'
    )
    machine.read()
    first, second = machine.rows()
    assert (first.body, first.resource["stream"], first.time_ns % 10**9) == ("first line", "stdout", 100_000_000)
    assert (second.body, second.message) == ('{"level":"error","message":"no"}', "no")
    assert (second.severity, second.resource["stream"]) == (17, "stderr")
    machine.pass_time(BLOCK_SECONDS + 1)
    machine.read()
    assert machine.bodies()[-1] == "open"


@pytest.mark.parametrize(
    ("name", "common"),
    [
        ("app.log", "app.log"),
        ("app.log.1", "app.log"),
        ("app.log.12.gz", "app.log"),
        ("app.log-20261121", "app.log"),
        ("app.log-20261121.gz", "app.log"),
        ("app.log-20261121-101500", "app.log"),
        ("app-20261121.log", "app.log"),
        ("app.2026-11-21.log", "app.log"),
        ("app.log.2026-11-21_10-15", "app.log"),
        ("app.1.log", "app.log"),
        ("app.log.old", "app.log"),
        ("9f-json.log.1", "9f-json.log"),
        ("app2.log", "app2.log"),
        ("1.log", "1.log"),
    ],
)
def test_rotated_names_have_their_stem_in_common(name: str, common: str) -> None:
    assert stem(f"/var/log/{name}") == common


def test_killing_the_server_neither_loses_nor_doubles_a_line(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    file, stop = logs / "app.log", threading.Event()
    written = 0

    def keep_writing() -> None:
        nonlocal written
        chosen = random.Random(7)
        while not stop.is_set():
            count = chosen.randrange(1, 400)
            write(file, written, written + count)
            written += count
            if chosen.random() < 0.05:
                for number in range(300, 0, -1):
                    if (older := logs / f"app.log.{number}").exists():
                        older.rename(logs / f"app.log.{number + 1}")
                file.rename(logs / "app.log.1")
            time.sleep(0.005)

    write(file, 0, 1)
    written = 1
    command = [sys.executable, "-m", "collect.tail_process", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])}
    subprocess.run([*command, "--once"], env=environment, check=True)
    writer = threading.Thread(target=keep_writing)
    writer.start()
    chosen = random.Random(11)
    for _ in range(6):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()  # it runs
        time.sleep(chosen.uniform(0.05, 0.6))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    stop.set()
    writer.join()
    subprocess.run([*command, "--once"], env=environment, check=True, stdout=subprocess.DEVNULL)
    spool = Spool(tmp_path / "spool", SpoolSettings(min_free_bytes=0))
    messages = [message for segment in spool.finished(Signal.LOGS) for message in read_messages(segment.path)]
    spool.close()
    bodies = [row.body for row in rows_of(messages)]
    assert [body for body in bodies if not body.endswith(PADDING)] == []
    counted = Counter(map(order, bodies))
    assert {number: count for number, count in counted.items() if count > 1} == {}
    assert set(range(written)) - set(counted) == set()
