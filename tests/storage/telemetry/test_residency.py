"""Library pages of start-up go back to the system, and the engine answers on."""

from __future__ import annotations

import ctypes
import os

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
