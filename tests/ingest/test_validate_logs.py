"""Log records that cannot be stored are taken out by what is wrong with them, the others stay as they are."""

from __future__ import annotations

from otlp import HOUR_NS, NOW_NS, log_record, log_request
from tocsin.ingest.validate import Bounds, check
from tocsin.storage.telemetry.decode import Signal

BOUNDS = Bounds(oldest_ns=NOW_NS - 24 * HOUR_NS, newest_ns=NOW_NS + HOUR_NS, max_attributes=20, max_events=10)


def test_a_resource_with_too_many_attributes_takes_its_records_along_and_no_others() -> None:
    request = log_request([log_record("a")], {f"a{number}": 1 for number in range(21)})
    request.MergeFrom(log_request([log_record("b")]))
    checked = check(Signal.LOGS, request.SerializeToString(), request, BOUNDS)
    assert (checked.items, checked.rejected) == (1, 1)
    assert "more than 20 attributes on the record or its resource" in checked.explanation


def test_a_record_without_a_time_of_its_own_has_the_time_it_was_observed() -> None:
    record = log_record("a", time_ns=0)
    record.observed_time_unix_nano = NOW_NS
    request = log_request([record, log_record("b", time_ns=0)])
    checked = check(Signal.LOGS, request.SerializeToString(), request, BOUNDS)
    assert (checked.items, checked.rejected) == (1, 1)
