"""What took long to answer is kept for ten times as long, and shown to nobody else."""

from __future__ import annotations

from tocsin.query.evaluate import Evaluated
from tocsin.query.promql.source import Grid
from tocsin.web.slow_answers import MOST_KEPT, SlowAnswers


class Asking:
    """Answers after so many seconds of its clock."""

    def __init__(self) -> None:
        self.now, self.asked = 0.0, 0
        self.kept = SlowAnswers(lambda: self.now)

    def ask(self, seconds: float, key: str = "acme", end_ms: int | None = None, least: float = 0.0) -> int:
        """Which answer is given, by its number."""
        end = int(self.now * 1000) if end_ms is None else end_ms

        def answer() -> Evaluated:
            self.now += seconds
            self.asked += 1
            return Evaluated(str(self.asked), Grid(end - 1000, end, 1000), None, ())

        return int(self.kept.of(key, end, answer, least).text)


def test_slow_answer_is_kept_for_ten_times_as_long() -> None:
    asking = Asking()
    assert asking.ask(2.0) == 1
    asking.now += 19
    assert asking.ask(2.0) == 1
    asking.now += 2
    assert asking.ask(2.0) == 2


def test_no_answer_is_kept_for_more_than_a_minute() -> None:
    asking = Asking()
    asking.ask(15.0)
    asking.now += 44
    assert asking.ask(15.0, end_ms=int(asking.now * 1000) - 15_000) == 1
    asking.now += 17
    assert asking.ask(15.0, end_ms=0) == 2


def test_quick_answers_are_asked_each_time() -> None:
    asking = Asking()
    assert [asking.ask(0.1), asking.ask(0.1)] == [1, 2]


def test_answer_is_for_its_own_key_and_time_alone() -> None:
    asking = Asking()
    assert asking.ask(2.0, end_ms=100_000) == 1
    assert asking.ask(2.0, "globex", end_ms=100_000) == 2
    assert asking.ask(2.0, end_ms=99_000) == 3  # earlier than what is kept
    assert asking.ask(2.0, end_ms=900_000) == 4  # much later


def test_the_oldest_answers_go() -> None:
    asking = Asking()
    for number in range(MOST_KEPT + 1):
        asking.ask(0.3, str(number), end_ms=0)
    asking.ask(50.0, "long", end_ms=0)
    assert len(asking.kept._kept) == MOST_KEPT


def test_what_changes_slowly_is_kept_however_quick_it_was() -> None:
    asking = Asking()
    assert asking.ask(0.01, least=20) == 1
    asking.now += 19
    assert asking.ask(0.01, least=20) == 1
    asking.now += 2
    assert asking.ask(0.01, least=20) == 2
