"""Library pages of start-up go back to the system, and the engine answers on."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import numpy as np

from tocsin.storage.telemetry.chdb import ChdbEngine
from tocsin.storage.telemetry.residency import release_library_pages


def test_the_engine_answers_after_its_library_pages_were_given_back(engine: ChdbEngine) -> None:
    assert release_library_pages("/_chdb.") > 20_000_000
    assert engine.query("SELECT sum(number) FROM numbers(1000)", {}, {}, 10).rows == [[499500]]


def test_a_library_that_is_not_loaded_gives_nothing_back() -> None:
    assert release_library_pages("/no-such-library.") == 0


def test_what_the_loader_has_written_stays() -> None:
    release_library_pages()
    assert ctypes.CDLL(None).getpid() == os.getpid()
    assert (np.arange(4) * 2.5).sum() == 15


def test_threads_share_one_heap_of_the_c_library() -> None:
    program = """
import ctypes, threading
from pathlib import Path
from tocsin.storage.telemetry.residency import arrange_heap
arrange_heap()
together = threading.Barrier(16)
def allocate():
    together.wait()
    ctypes.CDLL(None).malloc(4096)
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(16)]
[one.start() for one in threads]
[one.join() for one in threads]
ctypes.CDLL(None).malloc_info(0, ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stdout"))
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.count("<heap nr=") == 1


def test_freed_arrays_stay_in_the_heap_until_nobody_has_used_any_for_a_while() -> None:
    program = """
import time
import numpy as np, psutil
from tocsin.storage.telemetry.residency import FreeMemory, arrange_heap
arrange_heap()
resident = psutil.Process().memory_info
free = FreeMemory(quiet_seconds=0.5)
arrays = [np.ones(2_000_000) for _ in range(6)]
much = resident().rss
del arrays
free.note_use()
kept = resident().rss
deadline = time.monotonic() + 60
while resident().rss > much - 64_000_000 and time.monotonic() < deadline:
    time.sleep(0.05)
print(much - kept < 16_000_000, much - resident().rss > 64_000_000)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["True", "True"]
