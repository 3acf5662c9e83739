"""A line on its way through a pipeline of stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(slots=True)
class Entry:
    """One line, or several that belong together. time_ns 0: no stage found when it was written.

    `start` is where it begins in its file: what is read again begins there.
    """

    line: str
    start: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    time_ns: int = 0
    has_stated_time: bool = False  # a timestamp stage said so, which counts more than the line itself
    extracted: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    tenant: str = ""
    lines: int = 1
    is_cut: bool = False  # the line was longer than allowed
    is_open: bool = False  # the next line continues this one


@dataclass(slots=True)
class Run:
    """One pass over a piece of a file: what it began with, and what there is to tell of it."""

    now_ns: int = 0
    last_ns: int = 0  # of the entry before, for lines whose own time cannot be read
    dropped: dict[str, int] = field(default_factory=dict)  # by reason
    faults: dict[str, int] = field(default_factory=dict)

    def note_drop(self, reason: str, lines: int) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + lines

    def note_fault(self, fault: str) -> None:
        if fault in self.faults or len(self.faults) < 20:
            self.faults[fault] = self.faults.get(fault, 0) + 1


class Stage(Protocol):
    """Takes entries one by one and gives on none, one or several. A new one is made for each run."""

    def push(self, entry: Entry) -> list[Entry]: ...

    def finish(self, is_end: bool) -> list[Entry]:
        """What it still held. Unless `is_end`, it keeps back what the next lines might belong to."""
        ...

    def held(self) -> int | None:
        """Where the first entry that is kept back begins in the file."""
        ...


MakeStage = Callable[[Run], Stage]


class Each:
    """A stage that looks at each entry by itself; the function says whether it is kept."""

    def __init__(self, keep: Callable[[Entry], bool]) -> None:
        self._keep = keep

    def push(self, entry: Entry) -> list[Entry]:
        return [entry] if self._keep(entry) else []

    def finish(self, is_end: bool) -> list[Entry]:
        return []

    def held(self) -> int | None:
        return None


class Chain:
    """Stages one after the other."""

    def __init__(self, makers: tuple[MakeStage, ...], run: Run) -> None:
        self._stages = [make(run) for make in makers]

    def push(self, entry: Entry) -> list[Entry]:
        return self._through(0, [entry])

    def finish(self, is_end: bool) -> list[Entry]:
        given: list[Entry] = []
        for place, stage in enumerate(self._stages):
            given += self._through(place + 1, stage.finish(is_end))
        return given

    def held(self) -> int | None:
        places = [place for stage in self._stages if (place := stage.held()) is not None]
        return min(places, default=None)

    def _through(self, place: int, entries: list[Entry]) -> list[Entry]:
        for stage in self._stages[place:]:
            if not entries:
                return entries
            if len(entries) == 1:
                entries = stage.push(entries[0])
            else:
                entries = [given for entry in entries for given in stage.push(entry)]
        return entries
