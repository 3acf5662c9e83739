"""Programs that start in a fork are like those that start by themselves."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from waiting import eventually
from warm_python import WarmProcess, run

WAITS = "import signal, sys; print('ready', flush=True); signal.pause()"


def start(program: str, folder: Path) -> WarmProcess:
    with (folder / "out").open("wb") as out:
        return WarmProcess(["-c", program], os.environ, folder, out, out)


def test_program_has_its_own_arguments_environment_and_folder(tmp_path: Path) -> None:
    told = (
        "import os, sys; print(sys.argv, os.environ['COLOUR'], os.getcwd(), os.getpid()); print('no', file=sys.stderr)"
    )
    done = run(["-c", told, "one"], {"COLOUR": "blue"}, tmp_path, 60)
    assert done.stdout.startswith(f"['-c', 'one'] blue {tmp_path} ")
    assert done.stdout.split()[-1] != str(os.getpid())
    assert (done.returncode, done.stderr) == (0, "no\n")


def test_module_runs_as_by_python_m(tmp_path: Path) -> None:
    done = run(["-m", "tocsin", "version"], os.environ, tmp_path, 60)
    assert done.returncode == 0
    assert done.stdout[:1].isdigit()


def test_exit_code_and_traceback_are_the_programs(tmp_path: Path) -> None:
    assert run(["-c", "import sys; sys.exit(7)"], {}, tmp_path, 60).returncode == 7
    failed = run(["-c", "1 / 0"], {}, tmp_path, 60)
    assert failed.returncode == 1
    assert "ZeroDivisionError" in failed.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_signal_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    process = start(WAITS, tmp_path)
    eventually(lambda: "ready" in (tmp_path / "out").read_text(), "it runs")
    assert process.poll() is None
    process.send_signal(number)
    assert process.wait(60) == -number
    process.kill()  # nobody else is hit who may have its number by now


def test_several_run_at_the_same_time_and_end_in_any_order(tmp_path: Path) -> None:
    first, second = start(WAITS, tmp_path), start(WAITS, tmp_path)
    second.kill()
    assert second.wait(60) == -signal.SIGKILL
    assert first.poll() is None
    first.kill()
    assert first.wait(60) == -signal.SIGKILL
