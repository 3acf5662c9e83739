"""Ages as people write them."""

from __future__ import annotations

import pytest

from tocsin.model.units import days_from


@pytest.mark.parametrize(
    ("text", "days"),
    [("30days", 30), ("30 days", 30), ("30d", 30), ("30", 30), ("1day", 1), ("4weeks", 28), ("2w", 14), ("720h", 30),
     ("48 hours", 2), (" 7D ", 7)],
)  # fmt: skip
def test_an_age_is_whole_days(text: str, days: int) -> None:
    assert days_from(text) == days


@pytest.mark.parametrize("text", ["", "0", "0d", "-3d", "12h", "36h", "soon", "1.5d", "30 days ago", "99999999"])
def test_an_age_that_is_no_whole_days_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30days"):
        days_from(text)
