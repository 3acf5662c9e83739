"""Lines as container runtimes write them: Docker's JSON files and the CRI's text, both with partial lines."""

from __future__ import annotations

import re

from tocsin.collect.log_entry import Entry, Run
from tocsin.model.log_line import json_object
from tocsin.model.log_time import time_ns_of

_CRI = re.compile(r"^(\d{4}-\d\d-\d\dT\S+) (stdout|stderr) (?:([FP])(?::\S*)? )?(.*)$", re.DOTALL)
_DOCKER_FIELDS = {"log", "stream", "time", "attrs"}
MAX_JOINED_CHARACTERS = 1024 * 1024


class Docker:
    """{"log": …, "stream": …, "time": …}: a line without its end goes on in the next one of the same stream."""

    def __init__(self, run: Run) -> None:
        self._joined = Joined()

    def push(self, entry: Entry) -> list[Entry]:
        fields = json_object(entry.line)
        if fields is None or not isinstance(fields.get("log"), str) or not fields.keys() <= _DOCKER_FIELDS:
            return self._joined.push(entry)
        text: str = fields["log"]
        attributes = fields.get("attrs")
        for name, value in attributes.items() if isinstance(attributes, dict) else ():
            entry.extracted[str(name)] = value
        entry.line = text.removesuffix("\n").removesuffix("\r")
        entry.is_open = not text.endswith("\n")
        _note(entry, str(fields.get("stream") or ""), str(fields.get("time") or ""))
        return self._joined.push(entry)

    def finish(self, is_end: bool) -> list[Entry]:
        return self._joined.finish(is_end)

    def held(self) -> int | None:
        return self._joined.held()


class Cri:
    """time stream F|P text; lines with P go on in the next one of the same stream."""

    def __init__(self, run: Run) -> None:
        self._joined = Joined()

    def push(self, entry: Entry) -> list[Entry]:
        found = _CRI.match(entry.line)
        if found is not None:
            entry.line, entry.is_open = found[4], found[3] == "P"
            _note(entry, found[2], found[1])
        return self._joined.push(entry)

    def finish(self, is_end: bool) -> list[Entry]:
        return self._joined.finish(is_end)

    def held(self) -> int | None:
        return self._joined.held()


class Container:
    """Either of them, told apart line by line; other lines stay as they are."""

    def __init__(self, run: Run) -> None:
        self._docker, self._cri = Docker(run), Cri(run)

    def push(self, entry: Entry) -> list[Entry]:
        return [given for read in self._docker.push(entry) for given in self._cri.push(read)]

    def finish(self, is_end: bool) -> list[Entry]:
        first = [given for read in self._docker.finish(is_end) for given in self._cri.push(read)]
        return first + self._cri.finish(is_end)

    def held(self) -> int | None:
        places = [place for place in (self._docker.held(), self._cri.held()) if place is not None]
        return min(places, default=None)


class Joined:
    """Puts together lines that are marked as going on in the next one."""

    def __init__(self) -> None:
        self._open: Entry | None = None
        self._parts: list[str] = []
        self._characters = 0

    def push(self, entry: Entry) -> list[Entry]:
        given = []
        if self._open is not None:
            if entry.labels == self._open.labels and self._characters < MAX_JOINED_CHARACTERS:
                self._open.lines += entry.lines
                self._open.is_cut |= entry.is_cut
                self._take(entry)
                return [] if entry.is_open else self._closed()
            given = self._closed()
        if not entry.is_open:
            return [*given, entry]
        self._open = entry
        self._take(entry)
        return given

    def finish(self, is_end: bool) -> list[Entry]:
        return self._closed() if is_end else []

    def held(self) -> int | None:
        return None if self._open is None else self._open.start

    def _take(self, entry: Entry) -> None:
        self._parts.append(entry.line)
        self._characters += len(entry.line)

    def _closed(self) -> list[Entry]:
        if self._open is None:
            return []
        entry, self._open = self._open, None
        entry.line, entry.is_open = "".join(self._parts), False
        self._parts, self._characters = [], 0
        return [entry]


def _note(entry: Entry, stream: str, written: str) -> None:
    entry.extracted |= {"stream": stream, "timestamp": written, "time": written, "output": entry.line}
    if stream:
        entry.labels = entry.labels | {"stream": stream}
    entry.time_ns = time_ns_of(written) or entry.time_ns
