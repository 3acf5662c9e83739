"""Is memory leaking? A test on the floor of a process's memory: what remains after garbage was collected.

A leak grows steadily and for long. What looks like one for a while: a process that warms up grows ever more slowly, a
cache that is loaded is a step, garbage between two collections is a saw tooth whose floor is level, and noise wanders.
Pure: samples in, a verdict out. Sources: Theil (1950) and Sen (1968) for the slope, Mann (1945) and Kendall (1975) for
whether there is one.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median

# Points of the floor that are compared with each other.
_POINTS = 48
_FEWEST_POINTS = 24
# Kendall's statistic, in standard deviations: 5 is far beyond chance, also for noise that hangs together.
_CERTAIN = 5.0
# Parts of the window, each of which must grow by this share of what an even growth would bring.
_PARTS, _EVEN = 4, 0.4
# Largest part of the growth that one step between two points may make up.
_STEP = 0.25
# All that is known, at most the longest window: its second half must grow by this share of what the first did.
_LASTING = 0.75
# The floor may fall back by this share of the growth at most.
_FALL = 0.2


@dataclass(frozen=True, slots=True)
class Window:
    """How long is looked at, and how much growth in that time is worth a word: bytes, and share of the floor."""

    seconds: float
    bytes: int
    ratio: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """bytes_per_hour is 0 when nothing leaks; window_seconds and growth_bytes tell what was looked at."""

    bytes_per_hour: float = 0.0
    window_seconds: float = 0.0
    growth_bytes: float = 0.0

    @property
    def is_leak(self) -> bool:
        return self.bytes_per_hour > 0


NO_LEAK = Verdict()


def windows(shortest_seconds: float) -> tuple[Window, ...]:
    """The shortest window finds what grows fast; the longer ones find less, and more slowly, with as much certainty."""
    mega = 1_000_000
    return (
        Window(shortest_seconds, 16 * mega, 0.06),
        Window(shortest_seconds * 4, 24 * mega, 0.10),
        Window(shortest_seconds * 16, 32 * mega, 0.15),
    )


class Floor:
    """The lowest memory of each bucket of time, for as long as the longest window."""

    def __init__(self, looked_at: Sequence[Window]) -> None:
        self._windows = looked_at
        self._bucket_seconds = looked_at[0].seconds / _POINTS
        most = round(looked_at[-1].seconds / self._bucket_seconds) + _POINTS
        # (bucket, lowest bytes)
        self._floor: deque[tuple[int, float]] = deque(maxlen=most)

    def add(self, at_seconds: float, held_bytes: float) -> bool:
        """True when a bucket is complete, and a verdict worth asking for."""
        bucket = int(at_seconds // self._bucket_seconds)
        if self._floor and self._floor[-1][0] == bucket:
            self._floor[-1] = (bucket, min(self._floor[-1][1], held_bytes))
            return False
        self._floor.append((bucket, held_bytes))
        return True

    @property
    def lowest(self) -> float:
        """Of the last two buckets; 0 before there is one."""
        return min((value for _, value in list(self._floor)[-2:]), default=0.0)

    def verdict(self) -> Verdict:
        """Of the shortest window that is sure. The bucket at work is left out: its lowest is yet to come."""
        done = list(self._floor)[:-1]
        for window in self._windows:
            found = self._judge(done, window)
            if found.is_leak:
                return found
        return NO_LEAK

    def slope(self) -> float:
        """Bytes an hour of the shortest window, whatever it means; 0 before there is one."""
        size = self._bucket_seconds
        done = [(bucket * size, value) for bucket, value in list(self._floor)[-_POINTS - 1 : -1]]
        if len(done) < _FEWEST_POINTS:
            return 0.0
        return theil_sen([at for at, _ in done], [value for _, value in done]) * 3600

    def _judge(self, done: list[tuple[int, float]], window: Window) -> Verdict:
        if not done:
            return NO_LEAK
        reach = round(window.seconds / self._bucket_seconds)
        first = done[-1][0] - reach + 1
        if done[0][0] > first or not _is_lasting([value for _, value in done]):
            return NO_LEAK  # not watched for long enough, or slowing down
        times, values = _thinned([each for each in done if each[0] >= first], first, reach)
        return _verdict(times, values, window, self._bucket_seconds)


def _thinned(points: list[tuple[int, float]], first: int, reach: int) -> tuple[list[float], list[float]]:
    """At most _POINTS points, the lowest of each equal part of the window."""
    lowest: dict[int, float] = {}
    for bucket, value in points:
        place = (bucket - first) * _POINTS // max(reach, _POINTS)
        lowest[place] = min(value, lowest.get(place, value))
    size = max(reach, _POINTS) / _POINTS
    return [place * size for place in sorted(lowest)], [lowest[place] for place in sorted(lowest)]


def _verdict(times: list[float], values: list[float], window: Window, bucket_seconds: float) -> Verdict:
    if len(values) < _FEWEST_POINTS:
        return NO_LEAK
    least = max(window.bytes, window.ratio * median(values))
    if values[-1] - values[0] < least / 2:
        return NO_LEAK  # nothing to look at more closely
    slope = theil_sen(times, values)
    growth = slope * (times[-1] - times[0])
    if growth < least or not (_is_even(values, growth) and _is_no_step(values, growth)) or kendall(values) < _CERTAIN:
        return NO_LEAK
    return Verdict(slope / bucket_seconds * 3600, window.seconds, growth)


def theil_sen(times: Sequence[float], values: Sequence[float]) -> float:
    """The median of the slopes between all pairs: a third of the points may be anything."""
    slopes = [
        (values[later] - values[earlier]) / (times[later] - times[earlier])
        for earlier in range(len(values))
        for later in range(earlier + 1, len(values))
    ]
    return median(slopes)


def kendall(values: Sequence[float]) -> float:
    """Pairs that rise minus pairs that fall, in standard deviations of that number for values without a trend."""
    n = len(values)
    score = sum(
        (values[later] > values[earlier]) - (values[later] < values[earlier])
        for earlier in range(n)
        for later in range(earlier + 1, n)
    )
    return score / sqrt(n * (n - 1) * (2 * n + 5) / 18)


def _is_even(values: Sequence[float], growth: float) -> bool:
    """Whether every part of the window grows as the whole does: a warm-up grows less and less, a wave turns."""
    size = len(values) / _PARTS
    parts = [values[round(place * size) : round((place + 1) * size)] for place in range(_PARTS)]
    middles = [median(part) for part in parts]
    rises = [later - earlier for earlier, later in itertools.pairwise(middles)]
    return min(rises) >= _EVEN * growth / _PARTS


def _is_lasting(values: Sequence[float]) -> bool:
    """Whether what is known grows in its second half about as it did in the first, or more."""
    size = max(len(values) // 8, 1)
    middle = (len(values) - size) // 2
    first, between, last = (median(values[at : at + size]) for at in (0, middle, len(values) - size))
    return last - between >= _LASTING * (between - first)


def _is_no_step(values: Sequence[float], growth: float) -> bool:
    """Whether the growth is made of many small steps, and nothing of it is given back."""
    steps = [later - earlier for earlier, later in itertools.pairwise(values)]
    highest, fall = values[0], 0.0
    for value in values:
        highest = max(highest, value)
        fall = max(fall, highest - value)
    return max(steps) <= _STEP * growth and fall <= _FALL * growth
