"""What a sender is told of items that were not taken stays short."""

from __future__ import annotations

from tocsin.ingest.reasons import by_cause, told

OLD = "time 2001-01-{:02} 00:00 UTC is older than the retention; check the sender's clock"


def test_reasons_that_differ_in_their_time_are_one() -> None:
    problems = {OLD.format(day): 2 for day in (3, 1, 2)} | {"trace_id must be 16 bytes": 1}
    assert told(problems, "spans rejected") == [
        "6 spans rejected: time 2001-01-01 00:00 to 2001-01-03 00:00 UTC is older than the retention; "
        "check the sender's clock",
        "1 spans rejected: trace_id must be 16 bytes",
    ]


def test_one_time_stays_as_it_is() -> None:
    assert told({OLD.format(1): 3}, "lines rejected") == [f"3 lines rejected: {OLD.format(1)}"]


def test_what_was_told_before_is_added_up() -> None:
    [(first, _)] = by_cause({OLD.format(1): 1, OLD.format(2): 1}).items()
    [(both, count)] = by_cause({first: 2, OLD.format(9): 5}).items()
    assert (both.split(" is ")[0], count) == ("time 2001-01-01 00:00 to 2001-01-09 00:00 UTC", 7)


def test_many_reasons_are_cut_with_their_number() -> None:
    parts = told({f"{letter} is wrong {{}}": 1 for letter in "abcdefghijklmn"}, "lines rejected")
    assert (len(parts), parts[-1]) == (11, "4 lines rejected: for 4 other reasons")
