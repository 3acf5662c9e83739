"""Start-up code pages go back to the system, and the engine answers on."""

from __future__ import annotations

from tocsin.storage.telemetry.chdb import ChdbEngine
from tocsin.storage.telemetry.residency import release_code_pages


def test_the_engine_answers_after_its_code_pages_were_given_back(engine: ChdbEngine) -> None:
    assert release_code_pages("/_chdb.") > 50_000_000
    assert engine.query("SELECT sum(number) FROM numbers(1000)", {}, {}, 10).rows == [[499500]]


def test_a_library_that_is_not_loaded_gives_nothing_back() -> None:
    assert release_code_pages("/no-such-library.") == 0
