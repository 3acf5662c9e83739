"""A span of time that a question is asked about."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """From `start_ns` (included) to `end_ns` (excluded), nanoseconds since 1970 UTC."""

    start_ns: int
    end_ns: int

    def __post_init__(self) -> None:
        if self.end_ns <= self.start_ns:
            raise ValueError(f"cannot use window {self.start_ns}..{self.end_ns}: it ends before it starts")

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9

    def before(self) -> Window:
        """The time of the same length just before; where time begins, as much as there is, a nanosecond at least."""
        start_ns = max(0, 2 * self.start_ns - self.end_ns)
        return Window(start_ns, max(self.start_ns, start_ns + 1))

    @classmethod
    def last(cls, seconds: float, now_ns: int) -> Window:
        return cls(now_ns - int(seconds * 1e9), now_ns)
