from __future__ import annotations

import pytest

from tocsin.model.log_levels import LEVELS, least_number, level_named, level_of


def test_every_severity_number_has_a_level() -> None:
    assert [level_of(number) for number in (0, 1, 4, 5, 9, 12, 13, 17, 20, 21, 24, 25, -1)] == [
        "unknown", "trace", "trace", "debug", "info", "info", "warn", "error", "error", "fatal", "fatal", "unknown",
        "unknown",
    ]  # fmt: skip
    assert [level_of(least_number(level)) for level in LEVELS] == list(LEVELS)


@pytest.mark.parametrize(
    ("word", "level"), [("WARNING", "warn"), ("err", "error"), (" Critical ", "fatal"), ("loud", None), ("", None)]
)
def test_words_mean_levels(word: str, level: str | None) -> None:
    assert level_named(word) == level
