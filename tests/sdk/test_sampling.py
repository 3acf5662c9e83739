from __future__ import annotations

import random

from tocsin.sdk.sampling import Sampler


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def draw(sampler: Sampler, tenant: str, count: int, seed: int = 7) -> int:
    lots = random.Random(seed)
    return sum(sampler.keeps(lots.randbytes(16), tenant) for _ in range(count))


def test_everything_is_kept_at_ratio_one() -> None:
    assert draw(Sampler(1.0, 0), "acme", 1000) == 1000


def test_the_ratio_is_met() -> None:
    assert 850 < draw(Sampler(0.1, 0, Clock()), "acme", 10_000) < 1150


def test_two_processes_draw_the_same_lot_for_a_trace() -> None:
    first, second = Sampler(0.3, 0), Sampler(0.3, 0)
    traces = [number.to_bytes(16, "big") for number in range(0, 2**128, 2**128 // 999)]
    assert all(first.keeps(trace, "acme") == second.keeps(trace, "acme") for trace in traces)


def test_a_small_tenant_keeps_its_minimum_beside_a_large_one() -> None:
    clock = Clock()
    sampler = Sampler(0.0, 2, clock)
    assert draw(sampler, "acme", 5000) == 2
    assert draw(sampler, "globex", 3) == 2
    clock.now = 1.0
    assert draw(sampler, "globex", 3) == 2


def test_the_minimum_does_not_become_a_flood_of_tenants() -> None:
    sampler = Sampler(0.0, 1, Clock())
    assert sum(sampler.keeps((1 << 55).to_bytes(16, "big"), f"tenant-{n}") for n in range(5000)) == 1000


def test_shedding_lowers_the_ratio_and_gives_it_back() -> None:
    sampler = Sampler(1.0, 0, Clock())
    sampler.shed_to(0.1)
    assert 50 < draw(sampler, "acme", 1000) < 150
    sampler.shed_to(1.0)
    assert draw(sampler, "acme", 1000) == 1000
