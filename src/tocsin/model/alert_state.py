"""What is known of an alert over time: as its source last said it, what people did about it, and how it changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from tocsin.model.alert import Alert
from tocsin.model.severity import Severity


class Change(StrEnum):
    """What the history of an alert tells."""

    FIRING = "firing"
    RESOLVED = "resolved"
    EXPIRED = "expired"  # its source stopped speaking of it
    SUPPRESSED = "suppressed"
    UNSUPPRESSED = "unsuppressed"
    NOTIFIED = "notified"
    ROUTED = "routed"  # to others than before: the configuration changed while it fired
    MUTED = "muted"  # by one route: its times, or a cooldown
    UNMUTED = "unmuted"
    HELD = "held"  # for a digest
    FAILED = "failed"  # a notification of it could not be delivered
    ACKNOWLEDGED = "acknowledged"
    RELEASED = "released"  # nobody has it any more
    ASSIGNED = "assigned"
    SNOOZED = "snoozed"
    FALSE_POSITIVE = "false_positive"
    DECLARED = "declared"  # an incident


@dataclass(frozen=True, slots=True)
class Handling:
    """What people did about one firing of an alert; a new firing begins without any of it."""

    acknowledged_by: str = ""
    acknowledged_at: str = ""  # ISO 8601, UTC
    assigned_to: str = ""
    snoozed_until: str = ""  # ISO 8601, UTC
    snoozed_by: str = ""
    resolved_by: str = ""
    false_positive_by: str = ""
    note: str = ""
    declared_by: str = ""  # an incident
    incident_room: str = ""  # where people gather about it, such as #inc-20260302-0312-database-down

    def plain(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value}

    def is_snoozed(self, now: datetime) -> bool:
        return bool(self.snoozed_until) and datetime.fromisoformat(self.snoozed_until) > now


@dataclass(frozen=True, slots=True)
class KnownAlert:
    """An alert with its state. alert.ends_at is always set: where `is_timeout`, it is when silence of the source counts
    as resolved. is_open: some group has still to be told of it. suppressed_by: what held it when it was last looked at.
    """

    alert: Alert
    updated_at: datetime
    is_timeout: bool = False
    is_open: bool = True
    suppressed_by: str = ""
    handling: Handling = field(default_factory=Handling)

    @property
    def fingerprint(self) -> str:
        return self.alert.fingerprint

    @property
    def ends_at(self) -> datetime:
        assert self.alert.ends_at is not None, "what is known has an end, be it a timeout"
        return self.alert.ends_at

    def is_firing(self, now: datetime) -> bool:
        return not self.alert.is_resolved(now)


@dataclass(frozen=True, slots=True)
class AlertChange:
    """One line of an alert's history. actor: who did it, '' where the alert or the server did."""

    at: datetime
    fingerprint: str
    name: str
    tenant: str
    severity: Severity
    change: Change
    actor: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0


def change_of(
    alert: Alert, at: datetime, change: Change, actor: str = "", fingerprint: str = "", **detail: Any
) -> AlertChange:
    return AlertChange(
        at, fingerprint or alert.fingerprint, alert.name, alert.tenant, alert.severity, change, actor, detail
    )
