"""How much one line of code may log."""

from __future__ import annotations

from tocsin.sdk.logs.limiter import Limiter, Site

HERE: Site = ("app.py", 17, "")
THERE: Site = ("app.py", 18, "")


def test_a_burst_goes_through_and_then_so_many_a_second() -> None:
    limiter = Limiter(10)
    assert [limiter.take(HERE, 100.0) for _ in range(25)] == [0] * 20 + [-1] * 5
    assert [limiter.take(HERE, 100.25) for _ in range(3)] == [5, 0, -1]
    assert limiter.take(HERE, 110.0) == 1


def test_other_lines_and_other_errors_are_not_held_back() -> None:
    limiter = Limiter(1)
    for _ in range(5):
        limiter.take(HERE, 100.0)
    assert limiter.take(THERE, 100.0) == 0
    assert limiter.take((*HERE[:2], "KeyError"), 100.0) == 0


def test_zero_holds_nothing_back() -> None:
    limiter = Limiter(0)
    assert {limiter.take(HERE, 100.0) for _ in range(1000)} == {0}


def test_an_endless_loop_is_heard_of_every_second() -> None:
    limiter = Limiter(1)
    told = [left_out for step in range(10_000) if (left_out := limiter.take(HERE, 100 + step / 1000)) >= 0]
    assert len(told) in (11, 12)
    assert sum(told) + len(told) > 9_000


def test_what_nobody_told_of_is_told_once_when_it_is_quiet() -> None:
    limiter = Limiter(1)
    for _ in range(5):
        limiter.take(HERE, 100.0)
    assert limiter.overdue(101.0, 5) == []
    assert limiter.overdue(106.0, 5) == [(HERE, 3)]
    assert limiter.overdue(107.0, 5) == []


def test_memory_is_bounded() -> None:
    limiter = Limiter(1)
    for line in range(20_000):
        limiter.take(("app.py", line, ""), 100.0 + line / 1000)
    assert len(limiter._sites) <= 4096
