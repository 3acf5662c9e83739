"""An address that keeps sending wrong secrets has to wait; right ones cost nothing."""

from __future__ import annotations

import pytest
from control_people import TurnedClock

from tocsin.storage.control import Throttled
from tocsin.storage.control.attempts import REMEMBERED, Attempts

HERE, ELSEWHERE = "192.0.2.1", "198.51.100.7"


def spend(attempts: Attempts, count: int, ip: str = HERE) -> None:
    for _ in range(count):
        attempts.admit(ip, "sign in")


def test_bucket_holds_a_minute_and_fills_steadily() -> None:
    clock = TurnedClock()
    attempts = Attempts(20, clock)
    spend(attempts, 20)
    with pytest.raises(Throttled, match="cannot use this link: too many failed attempts; try again in 3 s") as caught:
        attempts.admit(HERE, "use this link")
    assert caught.value.retry_after_seconds == 3
    clock.turn(3)
    spend(attempts, 1)
    with pytest.raises(Throttled):
        spend(attempts, 1)
    clock.turn(3600)
    spend(attempts, 20)
    with pytest.raises(Throttled):
        spend(attempts, 1)


def test_addresses_have_a_bucket_each_and_an_ipv6_network_one_together() -> None:
    attempts = Attempts(5, TurnedClock())
    spend(attempts, 5)
    spend(attempts, 5, ELSEWHERE)
    spend(attempts, 5, "2001:db8::1")
    with pytest.raises(Throttled):
        spend(attempts, 1, "2001:db8::2")


def test_right_secret_costs_nothing_and_passes_an_empty_bucket_until_it_is_wrong() -> None:
    attempts = Attempts(5, TurnedClock())
    for _ in range(20):
        attempts.admit(HERE, "tell who is asking", "good")
        attempts.was_right(HERE, "good")
    spend(attempts, 5)
    attempts.admit(HERE, "tell who is asking", "good")
    attempts.was_right(HERE, "good")
    with pytest.raises(Throttled):  # what was not taken is not given back
        spend(attempts, 1)
    attempts.was_wrong("good")
    with pytest.raises(Throttled):
        attempts.admit(HERE, "tell who is asking", "good")


def test_nought_sets_no_limit() -> None:
    spend(Attempts(0, TurnedClock()), 1000)


def test_what_is_remembered_is_bounded() -> None:
    attempts = Attempts(5, TurnedClock())
    for number in range(REMEMBERED + 10):
        attempts.admit(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "sign in")
        attempts.was_right(HERE, str(number))
    assert len(attempts._full_at) == len(attempts._good) == REMEMBERED
