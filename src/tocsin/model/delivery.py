"""What becomes of a notification at each channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tocsin.model.notification import Outcome


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notification on its way to one channel of a receiver. `outcome` RETRYING: not yet told.

    `integration` is the channel's place in its receiver, such as "slack[0]"; with the key it is unique.
    """

    id: int
    key: str
    receiver: str
    integration: str
    channel: str
    group_key: str
    status: str  # firing or resolved
    outcome: Outcome
    attempts: int
    reason: str
    reference: str
    title: str
    made_at: datetime
    changed_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str
    notification: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a delivery and how it ended."""

    delivery_id: int
    attempt: int
    outcome: Outcome
    reason: str
    reference: str
    at: datetime
    seconds: float


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody said, at the provider, that they have seen it."""

    key: str
    group_key: str
    receiver: str
    channel: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Release:
    """Somebody let go of it at the provider; is_closed: by closing it there, whatever fires here."""

    key: str
    channel: str
    by: str
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Declaration:
    """Somebody said at the provider that it is an incident; user: their id there."""

    key: str
    channel: str
    by: str
    user: str


@dataclass(frozen=True, slots=True)
class Room:
    """Where people gather about an incident, made by a channel; problem: what of it did not work."""

    channel: str
    name: str
    url: str = ""
    problem: str = ""
