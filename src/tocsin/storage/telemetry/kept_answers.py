"""Answers about series, kept until series are written: boards and rules ask the same again and again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from tocsin.storage.telemetry.engine import Rows

# Rows of all kept answers together; one about a series takes about a kilobyte.
MOST_ROWS = 20_000


class KeptAnswers:
    """Answers by question, used from any thread; the one asked longest ago goes first."""

    def __init__(self, most_rows: int = MOST_ROWS) -> None:
        self._most_rows = most_rows
        self._lock = threading.Lock()
        self._version: int | None = None
        self._answers: OrderedDict[Hashable, Rows] = OrderedDict()
        self._rows = 0

    def ask(self, question: Hashable, version: int | None, read: Callable[[], Rows]) -> Rows:
        """The answer kept at this version, else what `read` gives now; with version None nothing is kept."""
        if version is None:
            return read()
        with self._lock:
            if version != self._version:
                self._answers.clear()
                self._version, self._rows = version, 0
            elif question in self._answers:
                self._answers.move_to_end(question)
                return self._answers[question]
        answer = read()
        with self._lock:
            # Read while series were being written, it may lack some: it belongs to the version before.
            if version == self._version and question not in self._answers:
                self._answers[question] = answer
                self._rows += len(answer.rows) + 1
                while self._rows > self._most_rows:
                    self._rows -= len(self._answers.popitem(last=False)[1].rows) + 1
        return answer
