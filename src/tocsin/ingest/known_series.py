"""The series that senders sent lately: so that a sample costs a look-up, and only new series cost more.

A series has a slot. It is found by a hash of whatever bytes a protocol names it with; the bytes themselves are not
kept. What a slot holds: the start of its sample rows, readily encoded, the time of its last sample and the days for
which its row has been handed to the engine.
"""

from __future__ import annotations

import struct
import threading
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tocsin.model.labels import METRIC_NAME, Labels, series_id, tenant_of
from tocsin.model.settings import setting
from tocsin.storage.telemetry.spool import varint

Times = npt.NDArray[np.int64]
Slots = npt.NDArray[np.intp]

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
IDLE_MS = 26 * 3_600_000  # after which a series is forgotten
SETTLED_MS = 300_000  # how long after its end an hour's samples are no news
NEVER = -1  # a day
SPREAD = 2_654_435_761  # times a slot, scatters over an hour
MAX_TOLD_TENANTS = 1000  # of one metric, who see what is said about it
SAMPLE_TAIL_BYTES = 16  # value and time of a sample row


@dataclass(frozen=True)
class SeriesSettings:
    """How many series there may be. A series counts from its first sample until a day after its last."""

    max_per_tenant: int = setting(
        1_000_000, help="Series one tenant may have; more are refused with 429 (0: no limit). Raise it with the memory."
    )
    max_per_key: int = setting(
        2_000_000, help="Series one ingest key may send; more are refused with 429 (0: no limit)."
    )
    max_labels: int = setting(64, help="Labels of one series; samples of a series with more are refused.")
    max_label_bytes: int = setting(
        4096, unit="bytes", help="Length of one label's value; samples of a series with a longer one are refused."
    )


class SeriesLimitError(Exception):
    """There are too many series; the message names the limit and what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A series in full. `labels` has the metric's name; service, environment and instance say where it comes from."""

    labels: Labels
    tenant: str
    service: str = ""
    environment: str = ""
    instance: str = ""
    is_delta: bool = False

    @classmethod
    def of_labels(cls, labels: Labels) -> Identity:
        """As Prometheus' labels tell it."""
        named = dict(labels)
        job = named.get("job", "")
        return cls(
            labels,
            tenant_of(named),
            service=job.rpartition("/")[2],
            environment=named.get("environment", ""),
            instance=named.get("instance", ""),
        )

    @property
    def name(self) -> str:
        return next((value for name, value in self.labels if name == METRIC_NAME), "")


class KnownSeries:
    """All series seen in about a day. Hold `lock` while using it."""

    def __init__(self, settings: SeriesSettings | None = None) -> None:
        self.settings = settings or SeriesSettings()
        self.lock = threading.Lock()
        self.slots: dict[int, int] = {}
        self.heads: list[bytes] = []
        self._noted: dict[int, int] = {}  # metadata by hash, and the day on which they were handed on
        self._tenants: list[str] = []
        self._keys: list[str] = []
        self._last_ms = np.zeros(1024, np.int64)
        self._days = np.full((1024, 2), NEVER, np.int32)  # for which the series' row was handed on
        self._metric_tenants: dict[str, set[str]] = {}
        self._per_tenant: Counter[str] = Counter()
        self._per_key: Counter[str] = Counter()
        self._swept_day = NEVER
        self.settled_ms = 0  # samples from before come late
        self.late_hours: set[int] = set()

    def __len__(self) -> int:
        return len(self.heads)

    def learn(self, identity: Identity, key_id: str, hashes: tuple[int, ...]) -> int:
        """The slot of a series, from now on found by `hashes`. Raises SeriesLimitError if it is one too many."""
        own = hash((identity.labels, identity.is_delta))
        slot = self.slots.get(own)
        if slot is None:
            self._require_room(identity.tenant, key_id)
            slot = len(self.heads)
            self.heads.append(_head(identity))
            self._tenants.append(identity.tenant)
            self._keys.append(key_id)
            tenants = self._metric_tenants.setdefault(identity.name, set())
            if len(tenants) < MAX_TOLD_TENANTS:
                tenants.add(identity.tenant)
            self._per_tenant[identity.tenant] += 1
            self._per_key[key_id] += 1
            if slot == len(self._last_ms):
                self._last_ms = np.concatenate([self._last_ms, np.zeros_like(self._last_ms)])
                self._days = np.concatenate([self._days, np.full_like(self._days, NEVER)])
            self._last_ms[slot] = 0
            self._days[slot] = NEVER
        for found_by in (own, *hashes):
            self.slots[found_by] = slot
        return slot

    def tenants_with(self, family: str) -> set[str]:
        """The tenants that have series of a metric, and '': whom to tell what is said about it."""
        found = {""}
        for suffix in ("", "_total", "_bucket", "_count", "_sum", "_info"):
            found |= self._metric_tenants.get(f"{family}{suffix}", set())
        return found

    def is_news(self, key: int, day: int) -> bool:
        """Whether some metadata, by hash, has not been handed on today; afterwards it counts as handed on."""
        if self._noted.get(key) == day:
            return False
        self._noted[key] = day
        return True

    def fields(self, slot: int) -> bytes:
        """The fields tenant, name and series that all rows of a series have."""
        head = self.heads[slot]
        return head[2:] if head[1] < 0x80 else head[3:]

    def follow(self, slots: Slots, times: Times) -> tuple[int, int]:
        """Take note of samples; how many of them are older than, and as old as, the series' newest before them."""
        if int(times.min()) < self.settled_ms:
            self.late_hours.update((np.unique(times[times < self.settled_ms]) // HOUR_MS).tolist())
        newest = self._last_ms[slots]
        older, same = int(np.count_nonzero(times < newest)), int(np.count_nonzero(times == newest))
        np.maximum.at(self._last_ms, slots, times)
        return older, same

    def unannounced(self, slots: Slots, times: Times) -> list[tuple[int, int]]:
        """(position, day) of the samples whose series has no row for a day yet; afterwards it counts as having one.

        The row for the next day comes some time in the last hour before it, so that not all come at midnight.
        """
        found = []
        ahead = slots.astype(np.int64) * SPREAD % HOUR_MS
        for days in ((times // DAY_MS).astype(np.int32), ((times + ahead) // DAY_MS).astype(np.int32)):
            known = self._days[slots]
            for position in np.flatnonzero((known[:, 0] != days) & (known[:, 1] != days)).tolist():
                slot, day = int(slots[position]), int(days[position])
                if day not in self._days[slot]:
                    self._days[slot] = (day, self._days[slot, 0])
                    found.append((position, day))
        return found

    def withdraw(self, slots: list[int]) -> None:
        """The rows of these series did not reach the disk: they have none after all."""
        with self.lock:
            self._days[[slot for slot in slots if slot < len(self.heads)]] = NEVER
            self._noted.clear()

    def take_late_hours(self) -> set[int]:
        """The hours (since 1970) for which samples came after they were over; asked again, none of them."""
        with self.lock:
            late, self.late_hours = self.late_hours, set()
        return late

    def sweep(self, now_ms: int) -> None:
        """Forget, once a day, the series that had no sample for about a day."""
        self.settled_ms = (now_ms - SETTLED_MS) // HOUR_MS * HOUR_MS
        day = now_ms // DAY_MS
        if day == self._swept_day:
            return
        is_first, self._swept_day = self._swept_day == NEVER, day
        if is_first:
            return
        count = len(self.heads)
        self._noted.clear()
        self._metric_tenants.clear()
        kept = np.flatnonzero(self._last_ms[:count] >= now_ms - IDLE_MS)
        moved = np.full(count, NEVER, np.int64)
        moved[kept] = np.arange(len(kept))
        self.slots = {key: int(moved[slot]) for key, slot in self.slots.items() if moved[slot] != NEVER}
        self.heads = [self.heads[slot] for slot in kept]
        self._tenants = [self._tenants[slot] for slot in kept]
        self._keys = [self._keys[slot] for slot in kept]
        self._last_ms[: len(kept)] = self._last_ms[kept]
        self._days[: len(kept)] = self._days[kept]
        self._per_tenant, self._per_key = Counter(self._tenants), Counter(self._keys)

    def _require_room(self, tenant: str, key_id: str) -> None:
        limits = self.settings
        if limits.max_per_tenant and self._per_tenant[tenant] >= limits.max_per_tenant:
            whose = f"tenant '{tenant}'" if tenant else "telemetry without a tenant"
            raise SeriesLimitError(_too_many(whose, limits.max_per_tenant, "max_per_tenant"))
        if limits.max_per_key and self._per_key[key_id] >= limits.max_per_key:
            whose = f"ingest key '{key_id}'" if key_id else "senders without an ingest key"
            raise SeriesLimitError(_too_many(whose, limits.max_per_key, "max_per_key"))


def _too_many(whose: str, limit: int, name: str) -> str:
    return (
        f"{whose} has its limit of {limit} series; drop labels with many values (metric_relabel_configs, "
        f"write_relabel_configs) or raise [series] {name}"
    )


def _head(identity: Identity) -> bytes:
    """The start of every sample row of a series, down to where value and time follow in SAMPLE_TAIL_BYTES."""
    tenant, name = identity.tenant.encode(), identity.name.encode()
    fields = (
        b"\x1a" + varint(len(tenant)) + tenant
        + b"\x22" + varint(len(name)) + name
        + b"\x29" + struct.pack("<Q", series_id(identity.tenant, identity.labels, is_delta=identity.is_delta))
    )  # fmt: skip
    return b"\x0a" + varint(len(fields) + SAMPLE_TAIL_BYTES) + fields
