"""How a server that is starting hears that it is to end."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tocsin.cli.serve import End


class Dropping:
    """Python drops what is raised while it runs a finaliser, also the exit that a signal asks for."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


@pytest.fixture
def end() -> Iterator[End]:
    numbers = signal.SIGINT, signal.SIGTERM
    before = [signal.getsignal(number) for number in numbers]
    yield End()
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("end")
def test_signal_while_starting_unwinds_the_stack() -> None:
    with pytest.raises(SystemExit) as left:
        signal.raise_signal(signal.SIGTERM)
    assert left.value.code == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_signal_that_python_dropped_reaches_whoever_serves(end: End) -> None:
    del [Dropping()][0]
    heard: list[int] = []
    end.hand_over(lambda number, frame: heard.append(number))
    assert heard == [signal.SIGTERM]
    signal.raise_signal(signal.SIGINT)
    assert heard == [signal.SIGTERM, signal.SIGINT]
