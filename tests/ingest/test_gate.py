"""Who may send how much, and what a refusal says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from otlp import HOUR_NS, span, trace_request
from tocsin.ingest.gate import Gate, IngestSettings, Refused
from tocsin.storage.telemetry.decode import Signal
from tocsin.storage.telemetry.spool import Spool, SpoolSettings
from waiting import PATIENCE_SECONDS


@dataclass
class SentKey:
    id: str = "key-1"
    spans_per_second: int | None = None


class TurnedClock:
    def __init__(self) -> None:
        self.ns = time.time_ns()

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(tmp_path, SpoolSettings(min_free_bytes=0, max_bytes=100_000))
    yield opened
    opened.close()


def gate_of(spool: Spool, clock: TurnedClock, **settings: Any) -> Gate:
    keys = {"good": SentKey()}
    return Gate(spool, keys.get, IngestSettings(**settings), clock)


def admit(gate: Gate, spans: int, key: SentKey | None = None, **of: Any) -> bool:
    request = trace_request([span(**of) for _ in range(spans)])
    return gate.admit(Signal.TRACES, request.SerializeToString(), request, key).stored.result(PATIENCE_SECONDS)


def test_key_is_not_needed_unless_required(spool: Spool, clock: TurnedClock) -> None:
    assert gate_of(spool, clock).authenticate("") is None
    with pytest.raises(Refused, match="without an ingest key; create one") as caught:
        gate_of(spool, clock, require_key=True).authenticate("")
    assert (caught.value.status, caught.value.retry_seconds) == (HTTPStatus.UNAUTHORIZED, None)


@pytest.mark.parametrize("require_key", [True, False])
def test_wrong_key_is_refused_even_where_none_is_needed(spool: Spool, clock: TurnedClock, require_key: bool) -> None:
    gate = gate_of(spool, clock, require_key=require_key)
    assert gate.authenticate("good") == SentKey()
    with pytest.raises(Refused, match="unknown or revoked") as caught:
        gate.authenticate("bad")
    assert caught.value.status is HTTPStatus.UNAUTHORIZED


def test_key_beyond_its_rate_waits_and_may_go_on_later(spool: Spool, clock: TurnedClock) -> None:
    gate, key = gate_of(spool, clock), SentKey(spans_per_second=10)
    assert admit(gate, 60, key)  # two seconds' worth and once into debt
    with pytest.raises(Refused, match="may send 10 a second") as caught:
        admit(gate, 1, key)
    assert caught.value.status is HTTPStatus.TOO_MANY_REQUESTS
    assert caught.value.retry_seconds == 5
    clock.ns += 5 * 10**9
    assert admit(gate, 1, key)


def test_one_keys_rate_is_not_anothers(spool: Spool, clock: TurnedClock) -> None:
    gate = gate_of(spool, clock, items_per_second=5)
    assert admit(gate, 50, SentKey("a"))
    with pytest.raises(Refused):
        admit(gate, 1, SentKey("a"))
    assert admit(gate, 1, SentKey("b"))
    assert admit(gate, 1)  # without a key
    assert admit(gate, 50, SentKey("c", spans_per_second=1000))
    assert admit(gate, 50, SentKey("c", spans_per_second=1000))


def test_steady_traffic_at_the_rate_is_never_refused(spool: Spool, clock: TurnedClock) -> None:
    gate, key = gate_of(spool, clock), SentKey(spans_per_second=10)
    for _ in range(20):
        assert admit(gate, 10, key)
        clock.ns += 10**9


def test_clock_that_steps_back_does_not_open_the_gate(spool: Spool, clock: TurnedClock) -> None:
    gate, key = gate_of(spool, clock), SentKey(spans_per_second=10)
    admit(gate, 40, key)
    clock.ns -= 60 * 10**9
    with pytest.raises(Refused):
        admit(gate, 1, key)


def test_bodies_in_flight_are_bounded(spool: Spool, clock: TurnedClock) -> None:
    gate = gate_of(spool, clock, max_in_flight_bytes=100)
    gate.reserve(80)
    with pytest.raises(Refused) as caught:
        gate.reserve(21)
    assert (caught.value.status, caught.value.retry_seconds) == (HTTPStatus.SERVICE_UNAVAILABLE, 1)
    gate.release(80)
    gate.reserve(21)


def test_full_spool_asks_to_come_back(spool: Spool, clock: TurnedClock) -> None:
    gate = gate_of(spool, clock)
    with pytest.raises(Refused, match="retry later") as caught:
        admit(gate, 1000, attrs={"pad": "x" * 200})
    assert (caught.value.status, caught.value.retry_seconds) == (HTTPStatus.SERVICE_UNAVAILABLE, 5)
    assert admit(gate, 1)


def test_repeated_body_is_acknowledged_and_stored_once(spool: Spool, clock: TurnedClock) -> None:
    gate, request = gate_of(spool, clock), trace_request([span()])
    body = request.SerializeToString()
    stored = [gate.admit(Signal.TRACES, body, request, None).stored for _ in range(2)]
    assert [one.result(PATIENCE_SECONDS) for one in stored] == [True, False]


def test_bounds_of_time_turn_with_the_clock(spool: Spool, clock: TurnedClock) -> None:
    gate = gate_of(spool, clock, max_age_days=1, max_future_seconds=60)
    request = trace_request([span(start_ns=clock.ns)])
    clock.ns += 25 * HOUR_NS
    admission = gate.admit(Signal.TRACES, request.SerializeToString(), request, None)
    assert (admission.checked.items, admission.checked.rejected) == (0, 1)
    assert admission.stored.result(PATIENCE_SECONDS) is True
    assert spool.waiting_bytes == 0
