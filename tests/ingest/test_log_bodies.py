"""Structured bodies become lines; all others, and events, stay as they were sent."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest

from otlp import NOW_NS, log_record, log_request
from tocsin.ingest.log_bodies import write_out
from tocsin.ingest.validate import Bounds, check, parse
from tocsin.storage.telemetry.decode import Signal

BOUNDS = Bounds(oldest_ns=0, newest_ns=NOW_NS * 2, max_attributes=20, max_events=10)


def body_of(value: Any, **more: Any) -> Any:
    """The body that is stored for one that is sent."""
    sent = log_request([log_record(value, **more)]).SerializeToString()
    checked = check(Signal.LOGS, sent, parse(Signal.LOGS, sent), BOUNDS)
    return parse(Signal.LOGS, checked.message).resource_logs[0].scope_logs[0].log_records[0].body


@pytest.mark.parametrize(
    "value",
    [
        {"msg": "paid", "order": 7, "user": {"plan": "gold", "ids": [1, 2.5, True]}},
        {"text": "ü" * 5000},
        {},
        [1, "two", {"three": 3}],
        [],
    ],
)
def test_maps_and_lists_are_stored_as_json(value: Any) -> None:
    assert json.loads(body_of(value).string_value) == value


def test_what_json_does_not_know_is_written_all_the_same() -> None:
    stored = json.loads(body_of({"raw": b"\x00\xff", "ratio": math.nan}).string_value)
    assert stored == {"raw": "AP8=", "ratio": "nan"}


@pytest.mark.parametrize("value", ["a line", '{"a": 1}', 12.5, 7, True, b"\x00\xff", "*2*2*2"])
def test_other_bodies_pass_byte_for_byte(value: Any) -> None:
    sent = log_request([log_record(value)]).SerializeToString()
    assert check(Signal.LOGS, sent, parse(Signal.LOGS, sent), BOUNDS).message is sent


def test_events_keep_their_structure() -> None:
    assert body_of({"a": 1}, event_name="order.paid").WhichOneof("value") == "kvlist_value"


def test_bodies_are_written_out_beside_records_that_are_refused() -> None:
    sent = log_request([log_record("refused", span_id=b"short"), log_record({"a": 1})]).SerializeToString()
    checked = check(Signal.LOGS, sent, parse(Signal.LOGS, sent), BOUNDS)
    [kept] = parse(Signal.LOGS, checked.message).resource_logs[0].scope_logs[0].log_records
    assert (checked.rejected, kept.body.string_value) == (1, '{"a": 1}')


def test_no_map_is_missed_by_the_look_at_the_bytes() -> None:
    chosen = random.Random(6)
    for size in (0, 1, 60, 61, 62, 63, 120, 126, 127, 128, 129, 16_380, 16_384, 300_000):
        records = [log_record("x" * chosen.randrange(50)) for _ in range(3)] + [log_record({"k": "v" * size})]
        request = log_request(records)
        assert write_out(request, request.SerializeToString()), size
