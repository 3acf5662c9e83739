from __future__ import annotations

import pytest

from tocsin.sdk import guard


def test_a_fault_gives_the_fallback_and_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    @guard.guarded(7)
    def broken(value: int) -> int:
        raise RuntimeError("ours")

    assert [broken(1), broken(value=2)] == [7, 7]
    (name,) = guard.faults
    assert guard.faults.pop(name) == 2
    assert len(caplog.records) == 1


def test_what_ends_the_process_is_not_caught() -> None:
    @guard.guarded(None)
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()


def test_only_the_guard_catches_everything_and_the_one_call_that_every_request_makes_twice() -> None:
    import pathlib

    import tocsin.sdk

    folder = pathlib.Path(tocsin.sdk.__file__).parent
    texts = {p.name: p.read_text() for p in folder.glob("*.py")}
    broad = {name for name, text in texts.items() if "except Exception" in text or "except:" in text}
    assert broad == {"guard.py", "exchange.py"}
    assert texts["exchange.py"].count("except Exception") == 1
