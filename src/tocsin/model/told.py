"""What one receiver was last told about one group, and what is asked of the keeper of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Told:
    """The firing and resolved alerts of the last notification, by fingerprint."""

    at: datetime
    firing: frozenset[str]
    resolved: frozenset[str]

    def plain(self) -> dict[str, Any]:
        return {"at": self.at.isoformat(), "firing": sorted(self.firing), "resolved": sorted(self.resolved)}


def told_of(plain: Mapping[str, Any] | None) -> Told | None:
    if plain is None:
        return None
    return Told(datetime.fromisoformat(plain["at"]), frozenset(plain["firing"]), frozenset(plain["resolved"]))


@dataclass(frozen=True, slots=True)
class GroupLog:
    """The log of one group at one receiver; sequence counts its notifications."""

    receiver: str
    group_key: str
    sequence: int = 0
    told: Told | None = None

    @property
    def id(self) -> str:
        return group_id(self.receiver, self.group_key)


@dataclass(frozen=True, slots=True)
class Cooldown:
    """When a receiver was last told of an alert, whatever its severity was, and at which severity."""

    told_at: datetime
    severity: int


def group_id(receiver: str, group_key: str) -> str:
    return hashlib.sha256(f"{receiver}\0{group_key}".encode()).hexdigest()[:40]


def notification_key(log: GroupLog) -> str:
    """That of the next notification of the group: two servers that make it make the same one."""
    return hashlib.sha256(f"{log.id}\0{log.sequence + 1}".encode()).hexdigest()[:40]
