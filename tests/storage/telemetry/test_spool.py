"""What the spool acknowledges is on disk, once, and stays there until it is retired."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest

from tocsin.storage.telemetry.decode import Signal
from tocsin.storage.telemetry.spool import Spool, SpoolFullError, SpoolSettings, read_messages, write_messages
from waiting import PATIENCE_SECONDS, eventually

TRACES = Signal.TRACES
ROOMY = SpoolSettings(min_free_bytes=0)
Open = Callable[..., Spool]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def open_spool(folder: Path) -> Iterator[Open]:
    """Opens the spool of this test, closing the one before; crash=True leaves it as a killed process would."""
    opened: list[Spool] = []

    def open_spool(settings: SpoolSettings = ROOMY) -> Spool:
        for spool in opened:
            spool.close()
        opened[:] = [Spool(folder, settings)]
        return opened[0]

    yield open_spool
    for spool in opened:
        spool.close()


def stored(spool: Spool, signal: Signal = TRACES) -> list[bytes]:
    spool.roll(signal)
    return [message for segment in spool.finished(signal) for message in read_messages(segment.path)]


def size_on_disk(spool: Spool) -> int:
    return sum(path.stat().st_size for signal in Signal for path in (spool.folder / signal).iterdir())


@contextmanager
def failing_disk(spool: Spool, written_bytes: int = 3) -> Iterator[None]:
    """The open traces segment meets a full disk: some bytes go through, then the write fails."""
    segment = spool._open[TRACES]
    real = segment._file

    class Full:
        def write(self, batch: bytes) -> int:
            real.write(batch[:written_bytes])
            raise OSError(28, "No space left on device")

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

    segment._file = Full()  # type: ignore[assignment]
    yield
    segment._file = real


def test_acknowledged_message_is_on_disk(open_spool: Open, folder: Path) -> None:
    spool = open_spool()
    assert spool.append(TRACES, b"hello").result(PATIENCE_SECONDS) is True
    (path,) = (folder / "traces").glob("*.open")
    assert list(read_messages(path)) == [b"hello"]


def test_messages_keep_their_order_and_length(open_spool: Open) -> None:
    spool = open_spool()
    messages = [bytes([index % 256]) * size for index, size in enumerate([1, 127, 128, 129, 16_383, 16_384, 300_000])]
    for message in messages:
        spool.append(TRACES, message).result(PATIENCE_SECONDS)
    assert stored(spool) == messages


def test_signals_have_segments_of_their_own(open_spool: Open) -> None:
    spool = open_spool()
    spool.append(TRACES, b"same").result(PATIENCE_SECONDS)
    assert spool.append(Signal.LOGS, b"same").result(PATIENCE_SECONDS) is True
    assert stored(spool) == stored(spool, Signal.LOGS) == [b"same"]


def test_many_threads_share_syncs_and_lose_nothing(open_spool: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = open_spool()
    syncs = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (syncs.append(1), time.sleep(0.002), real(descriptor)))
    messages = [[f"{thread}-{index}".encode() for index in range(25)] for thread in range(16)]

    def send(own: list[bytes]) -> None:
        for message in own:
            assert spool.append(TRACES, message).result(PATIENCE_SECONDS) is True

    threads = [threading.Thread(target=send, args=(own,)) for own in messages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(stored(spool)) == sorted(message for own in messages for message in own)
    assert 0 < len(syncs) < 16 * 25 / 2


def test_message_in_flight_is_followed_not_doubled(open_spool: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = open_spool()
    may_sync = threading.Event()
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (may_sync.wait(PATIENCE_SECONDS), real(descriptor)))
    first = spool.append(TRACES, b"twice")
    second = spool.append(TRACES, b"twice")
    assert not first.done()
    assert not second.done()
    may_sync.set()
    assert (first.result(PATIENCE_SECONDS), second.result(PATIENCE_SECONDS)) == (True, False)
    assert stored(spool) == [b"twice"]


def test_repeated_message_is_known_after_commit_and_after_retirement(open_spool: Open) -> None:
    spool = open_spool()
    spool.append(TRACES, b"again").result(PATIENCE_SECONDS)
    assert spool.append(TRACES, b"again").result(PATIENCE_SECONDS) is False
    spool.roll(TRACES)
    assert spool.append(TRACES, b"again").result(PATIENCE_SECONDS) is False
    (segment,) = spool.finished(TRACES)
    spool.retire(segment)
    assert spool.append(TRACES, b"again").result(PATIENCE_SECONDS) is False
    assert stored(spool) == []


@pytest.mark.parametrize("stage", ["open", "finished", "retired"])
def test_repeated_message_is_known_after_a_restart(open_spool: Open, folder: Path, stage: str) -> None:
    spool = open_spool()
    spool.append(TRACES, b"again").result(PATIENCE_SECONDS)
    if stage != "open":
        spool.roll(TRACES)
    if stage == "retired":
        spool.retire(spool.finished(TRACES)[0])
    again = open_spool()
    assert again.append(TRACES, b"again").result(PATIENCE_SECONDS) is False
    assert stored(again) == ([] if stage == "retired" else [b"again"])


def test_digest_is_forgotten_after_its_time(open_spool: Open, folder: Path) -> None:
    spool = open_spool()
    spool.append(TRACES, b"old").result(PATIENCE_SECONDS)
    spool.roll(TRACES)
    spool.retire(spool.finished(TRACES)[0])
    (digests,) = (folder / "recent").glob("*.digests")
    os.utime(digests, (0, 0))
    assert open_spool().append(TRACES, b"old").result(PATIENCE_SECONDS) is True
    assert not digests.exists()


def test_killed_process_leaves_what_it_acknowledged(folder: Path, open_spool: Open) -> None:
    script = (
        "import os, sys; from pathlib import Path; from tocsin.storage.telemetry.spool import Spool;"
        "from tocsin.storage.telemetry.decode import Signal;"
        "s = Spool(Path(sys.argv[1])); [s.append(Signal.TRACES, b'm%d' % i).result(60) for i in range(20)]; os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(folder)], check=False)
    spool = open_spool()
    assert stored(spool) == [b"m%d" % index for index in range(20)]
    assert spool.waiting_bytes == size_on_disk(spool)


@pytest.mark.parametrize("torn", [b"\x05ab", b"\xff", b"\x80\x80", b"\x7f" + b"x" * 126])
def test_torn_tail_is_cut_and_the_rest_kept(open_spool: Open, folder: Path, torn: bytes) -> None:
    (folder / "traces").mkdir(parents=True)
    crashed = folder / "traces" / f"{time.time_ns():020d}-aaaaaaaa.open"
    write_messages(crashed, [b"one", b"two"])
    with crashed.open("ab") as file:
        file.write(torn)
    spool = open_spool()
    assert stored(spool) == [b"one", b"two"]
    assert spool.waiting_bytes == size_on_disk(spool) == 8


def test_segment_with_nothing_but_a_torn_message_goes_away(open_spool: Open, folder: Path) -> None:
    (folder / "traces").mkdir(parents=True)
    (folder / "traces" / f"{time.time_ns():020d}-aaaaaaaa.open").write_bytes(b"\x05a")
    spool = open_spool()
    assert spool.finished(TRACES) == []
    assert spool.age_seconds() == 0


def test_full_spool_refuses_and_takes_again_once_emptied(open_spool: Open) -> None:
    spool = open_spool(SpoolSettings(max_bytes=100, min_free_bytes=0))
    spool.append(TRACES, b"x" * 90).result(PATIENCE_SECONDS)
    with pytest.raises(SpoolFullError, match="91 bytes, its limit is 100"):
        spool.append(TRACES, b"y" * 20)
    spool.roll(TRACES)
    spool.retire(spool.finished(TRACES)[0])
    assert spool.append(TRACES, b"y" * 20).result(PATIENCE_SECONDS) is True


def test_nearly_full_disk_refuses(open_spool: Open) -> None:
    spool = open_spool(SpoolSettings(min_free_bytes=2**62))
    with pytest.raises(SpoolFullError, match=r"no more than .* free; free some"):
        spool.append(TRACES, b"x")


def test_failed_write_fails_its_message_alone_and_leaves_the_segment_sound(open_spool: Open) -> None:
    spool = open_spool()
    spool.append(TRACES, b"before").result(PATIENCE_SECONDS)
    with failing_disk(spool):
        lost = spool.append(TRACES, b"lost")
        with pytest.raises(OSError, match="No space left"):
            lost.result(PATIENCE_SECONDS)
    spool.has_room = True
    assert spool.append(TRACES, b"after").result(PATIENCE_SECONDS) is True
    assert spool.append(TRACES, b"lost").result(PATIENCE_SECONDS) is True  # a retry is no repetition
    assert spool.waiting_bytes == size_on_disk(spool)
    assert stored(spool) == [b"before", b"after", b"lost"]


def test_failed_write_that_cannot_be_cut_off_again_ends_its_segment(
    open_spool: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool()
    spool.append(TRACES, b"before").result(PATIENCE_SECONDS)
    broken = spool._open[TRACES]._file

    class Dead:
        def write(self, batch: bytes) -> int:
            broken.write(batch[:3])
            raise OSError(5, "Input/output error")

        def truncate(self, size: int) -> None:
            raise OSError(5, "Input/output error")

        def __getattr__(self, name: str) -> object:
            return getattr(broken, name)

    spool._open[TRACES]._file = Dead()  # type: ignore[assignment]
    with pytest.raises(OSError, match="Input/output"):
        spool.append(TRACES, b"lost").result(PATIENCE_SECONDS)
    spool.has_room = True
    assert spool.append(TRACES, b"after").result(PATIENCE_SECONDS) is True
    assert stored(spool) == [b"before", b"after"]
    assert stored(open_spool()) == [b"before", b"after"]


def test_full_disk_fails_the_future_with_the_cause(folder: Path) -> None:
    # A limit on file size is the kernel's own refusal; it holds for a process, so this is one.
    script = (
        "import resource, signal, sys; from pathlib import Path;"
        "from tocsin.storage.telemetry.spool import Spool, SpoolSettings, read_messages;"
        "from tocsin.storage.telemetry.decode import Signal;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "s = Spool(Path(sys.argv[1]), SpoolSettings(min_free_bytes=0));"
        "s.append(Signal.TRACES, b'a' * 600).result(60);"
        "e = s.append(Signal.TRACES, b'b' * 600).exception(5); print(type(e).__name__);"
        "s.has_room = True; s.append(Signal.TRACES, b'c' * 300).result(60);"
        "s.roll(Signal.TRACES);"
        "print([(m[:1], len(m)) for g in s.finished(Signal.TRACES) for m in read_messages(g.path)])"
    )
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["OSError", "[(b'a', 600), (b'c', 300)]"]


def test_waiting_bytes_are_those_on_disk(open_spool: Open) -> None:
    spool = open_spool(SpoolSettings(segment_bytes=50, min_free_bytes=0))
    for index in range(30):
        spool.append(TRACES, b"%d" % index * 7).result(PATIENCE_SECONDS)
        assert spool.waiting_bytes == size_on_disk(spool)
    for segment in spool.finished(TRACES)[::2]:
        spool.retire(segment)
        assert spool.waiting_bytes == size_on_disk(spool)
    assert open_spool().waiting_bytes == size_on_disk(spool)


def test_segment_is_finished_at_its_size(open_spool: Open) -> None:
    spool = open_spool(SpoolSettings(segment_bytes=10, min_free_bytes=0))
    spool.append(TRACES, b"0123456789").result(PATIENCE_SECONDS)
    assert len(spool.finished(TRACES)) == 1


def test_segment_is_due_by_age_and_size(open_spool: Open) -> None:
    spool = open_spool()
    spool.append(TRACES, b"x" * 100).result(PATIENCE_SECONDS)
    spool.roll_due(TRACES, busy_seconds=0, idle_seconds=3600, busy_bytes=1000)
    assert spool.finished(TRACES) == []
    spool.roll_due(TRACES, busy_seconds=0, idle_seconds=3600, busy_bytes=100)
    assert len(spool.finished(TRACES)) == 1


def test_finished_segments_come_oldest_first(open_spool: Open) -> None:
    spool = open_spool()
    for index in range(5):
        spool.append(TRACES, b"%d" % index).result(PATIENCE_SECONDS)
        spool.roll(TRACES)
    assert [next(read_messages(segment.path)) for segment in spool.finished(TRACES)] == [b"0", b"1", b"2", b"3", b"4"]


def test_age_is_that_of_the_oldest_waiting_message(open_spool: Open) -> None:
    spool = open_spool()
    assert spool.age_seconds() == 0
    spool.append(TRACES, b"x").result(PATIENCE_SECONDS)
    assert 59 < spool.age_seconds(time.time() + 60) < 70
    spool.roll(TRACES)
    spool.retire(spool.finished(TRACES)[0])
    assert spool.age_seconds(time.time() + 60) == 0


def test_files_of_a_crash_and_of_others_count_as_nothing(open_spool: Open, folder: Path) -> None:
    (folder / "traces").mkdir(parents=True)
    part = folder / "traces" / "00000000000000000001-aaaaaaaa.part"
    write_messages(part, [b"half"])
    (folder / "traces" / ".DS_Store").write_bytes(b"x")
    spool = open_spool()
    assert spool.finished(TRACES) == []
    assert spool.waiting_bytes == 0
    assert spool.age_seconds() == 0
    assert not part.exists()


def test_sender_that_gives_up_waiting_harms_nobody(open_spool: Open) -> None:
    spool = open_spool()
    for index in range(50):
        future: Future[bool] = spool.append(TRACES, b"%d" % index)
        future.cancel()  # as asyncio does to it when the request behind it is cancelled
    assert spool.append(TRACES, b"last").result(PATIENCE_SECONDS) is True
    eventually(lambda: len(stored(spool)) == 51, "all 51 are stored", pause_seconds=0.02)


def test_closed_spool_refuses_instead_of_never_answering(open_spool: Open) -> None:
    spool = open_spool()
    spool.append(TRACES, b"in time").result(PATIENCE_SECONDS)
    spool.close()
    with pytest.raises(SpoolFullError, match="closing"):
        spool.append(TRACES, b"too late")
    assert [next(read_messages(segment.path)) for segment in spool.finished(TRACES)] == [b"in time"]
