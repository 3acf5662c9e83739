"""The tables of alerting: alerts, their history, silences, maintenance, what groups were told, notifications."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tocsin.storage.control.schema import Base


class AlertRow(Base):
    __tablename__ = "alerts"

    fingerprint: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(300))
    tenant: Mapped[str] = mapped_column(String(200))
    severity: Mapped[int]
    labels: Mapped[dict[str, Any]]
    annotations: Mapped[dict[str, Any]]
    generator_url: Mapped[str] = mapped_column(Text)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    is_timeout: Mapped[bool]  # ends_at is only when silence of the source would count as resolved
    updated_at: Mapped[datetime] = mapped_column(index=True)
    is_open: Mapped[bool] = mapped_column(index=True)  # some group has still to be told of it
    suppressed_by: Mapped[str] = mapped_column(String(300))
    handling: Mapped[dict[str, Any]]


class AlertChangeRow(Base):
    __tablename__ = "alert_changes"
    __table_args__ = (Index("ix_alert_changes_fingerprint", "fingerprint", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    fingerprint: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(300))
    tenant: Mapped[str] = mapped_column(String(200))
    severity: Mapped[int]
    change: Mapped[str] = mapped_column(String(40))
    actor: Mapped[str] = mapped_column(String(320))
    detail: Mapped[dict[str, Any]]


class SilenceRow(Base):
    __tablename__ = "silences"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    matchers: Mapped[list[Any]] = mapped_column(JSON)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime] = mapped_column(index=True)
    created_by: Mapped[str] = mapped_column(String(320))
    comment: Mapped[str] = mapped_column(Text)
    updated_at: Mapped[datetime]


class MaintenanceRow(Base):
    __tablename__ = "maintenances"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime] = mapped_column(index=True)
    created_by: Mapped[str] = mapped_column(String(320))
    reason: Mapped[str] = mapped_column(Text)
    matchers: Mapped[list[Any]] = mapped_column(JSON)
    ended_by: Mapped[str] = mapped_column(String(320))


class AlertGroupRow(Base):
    """What one receiver was last told about one group. told: {at, firing, resolved}, None before the first time."""

    __tablename__ = "alert_groups"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    receiver: Mapped[str] = mapped_column(String(300))
    group_key: Mapped[str] = mapped_column(Text)
    sequence: Mapped[int]  # one more with every notification, so that each has a key of its own
    told: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    changed_at: Mapped[datetime] = mapped_column(index=True)


class NotificationRow(Base):
    """state: pending until it was handed to its receiver, then the outcome; held ones go into a digest."""

    __tablename__ = "notifications"
    __table_args__ = (Index("ix_notifications_state", "state", "receiver"),)

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    receiver: Mapped[str] = mapped_column(String(300))
    group_id: Mapped[str] = mapped_column(String(64), index=True)
    made_at: Mapped[datetime] = mapped_column(index=True)
    severity: Mapped[int]
    state: Mapped[str] = mapped_column(String(20))
    content: Mapped[dict[str, Any]]
    told_before: Mapped[dict[str, Any] | None] = mapped_column(JSON)  # to be put back should it fail
    digest_key: Mapped[str] = mapped_column(String(64))
    ended_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(Text)
    reference: Mapped[str] = mapped_column(String(300))


class CooldownRow(Base):
    """When a receiver was last told of an alert whatever its severity, and at which severity."""

    __tablename__ = "alert_cooldowns"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    told_at: Mapped[datetime] = mapped_column(index=True)
    severity: Mapped[int]
