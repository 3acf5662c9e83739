"""Samples of one request on their way into the spool: rows are collected, looked over at once, and encoded.

Enters: slots of known series with values and times. Leaves: one message per kind of row, in the shape of
`storage.telemetry.series_messages`.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tocsin.ingest.known_series import Identity, KnownSeries, Times
from tocsin.ingest.reasons import told
from tocsin.model.labels import Labels
from tocsin.storage.telemetry.decode import Signal
from tocsin.storage.telemetry.spool import varint

# A time in milliseconds takes six bytes as a varint from 1971 to 2109.
TAIL = np.dtype([("value_key", "u1"), ("value", "<f8"), ("time_key", "u1"), ("time", "u1", 6)])
PACKED_VALUE = struct.Struct("<Bd")
VARINT_SHIFTS = np.array([0, 7, 14, 21, 28, 35], np.int64)


@dataclass(frozen=True, slots=True)
class TimeBounds:
    """When a sample may be from, in milliseconds."""

    oldest_ms: int
    newest_ms: int

    def problem(self, time_ms: int) -> str:
        """'' for a time within, else what is wrong with it."""
        if self.oldest_ms <= time_ms <= self.newest_ms:
            return ""
        seconds = min(max(time_ms // 1000, 0), 253_402_300_799)  # the last second of the year 9999
        shown = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
        cause = "in the future" if time_ms > self.newest_ms else "older than the retention"
        return f"time {shown} UTC is {cause}; check the sender's clock"


@dataclass(slots=True)
class Collected:
    """What one request comes to."""

    messages: dict[Signal, bytes] = field(default_factory=dict)
    samples: int = 0
    histograms: int = 0
    exemplars: int = 0
    out_of_order: int = 0
    repeated: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    is_over_limit: bool = False
    announced: list[int] = field(default_factory=list)  # slots of the series that have a row among the messages

    @property
    def rejected(self) -> int:
        return self.problems.total()

    @property
    def explanation(self) -> str:
        return "; ".join(told(self.problems, "samples rejected"))


class SampleRows:
    """Samples of one kind (cumulative or delta), in the order they came."""

    def __init__(self) -> None:
        self.slots: list[int] = []
        self.tails: list[bytes] = []
        self._time_ms, self._time = 0, b""
        self.origins: list[Any] = []  # whatever `describe` needs to say which series it is

    def add(self, slot: int, value: float, time_ms: int, origin: Any) -> None:
        """A sample with a time that is known to be in bounds."""
        if time_ms != self._time_ms:  # samples of one request mostly share it
            self._time_ms, self._time = time_ms, b"\x10" + varint(time_ms)
        self.slots.append(slot)
        self.tails.append(PACKED_VALUE.pack(0x09, value) + self._time)
        self.origins.append(origin)

    def times(self) -> tuple[Times, np.ndarray[Any, np.dtype[np.bool_]]]:
        """The time of every sample, and whether its encoding is what it must be."""
        tails = np.frombuffer(b"".join(self.tails), TAIL)
        digits = tails["time"]
        is_sound = (
            (tails["value_key"] == 0x09)
            & (tails["time_key"] == 0x10)
            & (digits[:, :5] >= 0x80).all(axis=1)
            & (digits[:, 5] < 0x80)
        )
        return ((digits & 0x7F).astype(np.int64) << VARINT_SHIFTS).sum(axis=1), is_sound

    def encode(self, heads: list[bytes]) -> bytes:
        parts = [b""] * (2 * len(self.slots))
        parts[0::2] = [heads[slot] for slot in self.slots]
        parts[1::2] = self.tails
        return b"".join(parts)

    def keep(self, positions: list[int]) -> None:
        """Drop all others."""
        self.slots = [self.slots[position] for position in positions]
        self.tails = [self.tails[position] for position in positions]
        self.origins = [self.origins[position] for position in positions]


Describe = Callable[[Any], tuple[Identity, bytes]]
"""The series an origin stands for, and its labels as `encoded_labels` gives them."""


class SampleBatch:
    """Everything one request brings."""

    def __init__(self, known: KnownSeries, bounds: TimeBounds, describe: Describe) -> None:
        self.known = known
        self.bounds = bounds
        self.samples = SampleRows()
        self.deltas = SampleRows()
        self.histograms: list[bytes] = []
        self.exemplars: list[bytes] = []
        self.metadata: dict[bytes, None] = {}
        self.collected = Collected()
        self._describe = describe
        self._series_rows: list[bytes] = []

    def finish(self) -> Collected:
        """All messages, with a row for every series that is new or new on its day."""
        for signal, rows in ((Signal.SAMPLES, self.samples), (Signal.DELTAS, self.deltas)):
            if rows.slots:
                self._finish_samples(signal, rows)
        self._add(Signal.SERIES, self._series_rows)
        self._add(Signal.NATIVE_HISTOGRAMS, self.histograms)
        self._add(Signal.EXEMPLARS, self.exemplars)
        self._add(Signal.METADATA, list(self.metadata))
        self.collected.histograms += len(self.histograms)
        self.collected.exemplars += len(self.exemplars)
        return self.collected

    def announce(self, slot: int, time_ms: int, origin: Any) -> None:
        """Hand on the series' row for the day of this time, unless that was done."""
        for _, day in self.known.unannounced(np.array([slot], np.intp), np.array([time_ms], np.int64)):
            self._announce(slot, day, time_ms, origin)

    def _announce(self, slot: int, day: int, time_ms: int, origin: Any) -> None:
        identity, labels = self._describe(origin)
        self._series_rows.append(series_row(identity, labels, self.known.fields(slot), day, time_ms))
        self.collected.announced.append(slot)

    def _finish_samples(self, signal: Signal, rows: SampleRows) -> None:
        times, is_sound = rows.times()
        within = is_sound & (times >= self.bounds.oldest_ms) & (times <= self.bounds.newest_ms)
        if not within.all():
            for position in np.flatnonzero(~within).tolist():
                reason = self.bounds.problem(int(times[position])) if is_sound[position] else "its encoding is damaged"
                self.collected.problems[reason or "its time cannot be read"] += 1
            rows.keep(np.flatnonzero(within).tolist())
            times = times[within]
        if not rows.slots:
            return
        slots = np.array(rows.slots, np.intp)
        older, same = self.known.follow(slots, times)
        self.collected.out_of_order += older
        self.collected.repeated += same
        for position, day in self.known.unannounced(slots, times):
            self._announce(rows.slots[position], day, int(times[position]), rows.origins[position])
        self.collected.messages[signal] = rows.encode(self.known.heads)
        self.collected.samples += len(rows.slots)

    def _add(self, signal: Signal, rows: list[bytes]) -> None:
        if rows:
            self.collected.messages[signal] = b"".join(b"\x0a" + varint(len(row)) + row for row in rows)


def series_row(identity: Identity, labels: bytes, fields: bytes, day: int, time_ms: int) -> bytes:
    """A row of the series table, for a day since 1970; `fields` are tenant, name and id, as all its rows have."""
    parts = [labels, _number(2, day), fields, _text(6, identity.service)]
    parts += [_text(7, identity.environment), _text(8, identity.instance)]
    parts += [_number(9, int(identity.is_delta)), _number(10, time_ms)]
    return b"".join(parts)


def metadata_row(name: str, tenant: str, kind: str, unit: str, help: str, seen_seconds: int) -> bytes:
    """A row of the metadata table."""
    texts = (_text(number, text) for number, text in enumerate((name, tenant, kind, unit, help[:2000]), start=1))
    return b"".join(texts) + _number(6, seen_seconds)


def exemplar_row(fields: bytes, value: float, time_ms: int, trace_id: str, span_id: str, labels: Any) -> bytes:
    """A row of the exemplars table; `fields` are the series' own."""
    tail = PACKED_VALUE.pack(0x09, value) + _number(2, time_ms)
    return tail + fields + _text(6, trace_id) + _text(7, span_id) + _labels_field(8, labels)


def encoded_labels(labels: Labels) -> bytes:
    """The field of a series' row that holds its labels."""
    return _labels_field(1, labels)


def _labels_field(number: int, labels: Any) -> bytes:
    parts = []
    for name, value in labels:
        pair = _text(1, name) + _text(2, value)
        parts.append(bytes([number << 3 | 2]) + varint(len(pair)) + pair)
    return b"".join(parts)


def _text(number: int, text: str) -> bytes:
    encoded = text.encode()
    return bytes([number << 3 | 2]) + varint(len(encoded)) + encoded


def _number(number: int, value: int) -> bytes:
    return bytes([number << 3]) + varint(value)
