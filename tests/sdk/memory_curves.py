"""Memory of processes as it is seen in the wild, drawn by chance: bytes every five seconds over some hours."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator

MB = 1_000_000
STEP_SECONDS = 5.0
Curve = Callable[[random.Random, float], Iterator[float]]


def _noise(chance: random.Random) -> Iterator[float]:
    """What an allocator does: it wanders a little, and comes back."""
    value, size = 0.0, chance.uniform(0.05, 1.5) * MB
    while True:
        value = value * 0.98 + chance.gauss(0, size / 3)
        yield value


def _at(hours: float) -> Iterator[float]:
    return (place * STEP_SECONDS for place in range(int(hours * 3600 / STEP_SECONDS)))


def steady(chance: random.Random, hours: float) -> Iterator[float]:
    base, noise = chance.uniform(60, 900) * MB, _noise(chance)
    return (base + next(noise) for _ in _at(hours))


def saw_tooth(chance: random.Random, hours: float) -> Iterator[float]:
    """Garbage that piles up until a full collection; some of them long."""
    base, noise = chance.uniform(60, 900) * MB, _noise(chance)
    period, height = chance.uniform(10, 900), base * chance.uniform(0.05, 0.6)
    return (base + at % period / period * height + next(noise) for at in _at(hours))


def warm_up(chance: random.Random, hours: float) -> Iterator[float]:
    """Caches and pools fill, ever more slowly."""
    base, noise = chance.uniform(60, 400) * MB, _noise(chance)
    gain, slowness = chance.uniform(20, 400) * MB, chance.uniform(30, 2400)
    return (base + gain * (1 - math.exp(-at / slowness)) + next(noise) for at in _at(hours))


def slow_warm_up(chance: random.Random, hours: float) -> Iterator[float]:
    """Fragmentation: as the logarithm of time."""
    base, noise = chance.uniform(60, 400) * MB, _noise(chance)
    gain = chance.uniform(2, 25) * MB
    return (base + gain * math.log1p(at / 60) + next(noise) for at in _at(hours))


def step(chance: random.Random, hours: float) -> Iterator[float]:
    """A table is loaded, a cache is made, now and then."""
    base, noise = chance.uniform(60, 900) * MB, _noise(chance)
    steps = sorted(chance.uniform(0, hours * 3600) for _ in range(chance.randint(1, 5)))
    heights = [chance.uniform(10, 200) * MB for _ in steps]
    return (base + sum(h for s, h in zip(steps, heights, strict=True) if at >= s) + next(noise) for at in _at(hours))


def daily(chance: random.Random, hours: float) -> Iterator[float]:
    """It follows the traffic of the day."""
    base, noise = chance.uniform(60, 900) * MB, _noise(chance)
    height, phase = base * chance.uniform(0.02, 0.12), chance.uniform(0, 2 * math.pi)
    return (base + height * math.sin(phase + at / 86_400 * 2 * math.pi) + next(noise) for at in _at(hours))


def bursts(chance: random.Random, hours: float) -> Iterator[float]:
    """Large requests come and go; what they held is given back later."""
    base, noise, held = chance.uniform(60, 900) * MB, _noise(chance), 0.0
    for _ in _at(hours):
        held = held * 0.97 + (chance.uniform(5, 80) * MB if chance.random() < 0.01 else 0.0)
        yield base + held + next(noise)


def wander(chance: random.Random, hours: float) -> Iterator[float]:
    """A bounded walk: a cache of a fixed size whose entries differ."""
    base, noise = chance.uniform(100, 900) * MB, _noise(chance)
    value, bound = 0.0, base * 0.1
    for _ in _at(hours):
        value = min(max(value + chance.gauss(0, base * 0.0004), -bound), bound)
        yield base + value + next(noise)


def leak(chance: random.Random, hours: float, mb_per_hour: float = 0.0) -> Iterator[float]:
    """Grows with the traffic, which is uneven, under a small saw tooth."""
    base, noise = chance.uniform(60, 300) * MB, _noise(chance)
    rate = (mb_per_hour or chance.uniform(40, 600)) * MB / 3600 * STEP_SECONDS
    kept = 0.0
    for at in _at(hours):
        kept += rate * chance.uniform(0, 2)
        yield base + kept + at % 70 / 70 * 0.03 * base + next(noise)


HARMLESS: tuple[Curve, ...] = (steady, saw_tooth, warm_up, slow_warm_up, step, daily, bursts, wander)
