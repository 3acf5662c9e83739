"""Alerts, their history, silences, maintenance, what groups were told, notifications and cooldowns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _alerts()
    _silences()
    _notifications()


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("fingerprint", sa.String(16), nullable=False),
        *_about_an_alert(),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("annotations", sa.JSON, nullable=False),
        sa.Column("generator_url", sa.Text, nullable=False),
        sa.Column("starts_at", TIME, nullable=False),
        sa.Column("ends_at", TIME, nullable=False),
        sa.Column("is_timeout", sa.Boolean, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("suppressed_by", sa.String(300), nullable=False),
        sa.Column("handling", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_alerts"),
    )
    op.create_index("ix_alerts_updated_at", "alerts", ["updated_at"])
    op.create_index("ix_alerts_is_open", "alerts", ["is_open"])
    op.create_table(
        "alert_changes",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("fingerprint", sa.String(16), nullable=False),
        *_about_an_alert(),
        sa.Column("change", sa.String(40), nullable=False),
        sa.Column("actor", sa.String(320), nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alert_changes"),
    )
    op.create_index("ix_alert_changes_at", "alert_changes", ["at"])
    op.create_index("ix_alert_changes_fingerprint", "alert_changes", ["fingerprint", "id"])


def _about_an_alert() -> list[sa.Column[object]]:
    return [
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("tenant", sa.String(200), nullable=False),
        sa.Column("severity", sa.Integer, nullable=False),
    ]


def _silences() -> None:
    op.create_table(
        "silences",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("matchers", sa.JSON, nullable=False),
        sa.Column("starts_at", TIME, nullable=False),
        sa.Column("ends_at", TIME, nullable=False),
        sa.Column("created_by", sa.String(320), nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_silences"),
    )
    op.create_index("ix_silences_ends_at", "silences", ["ends_at"])
    op.create_table(
        "maintenances",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("starts_at", TIME, nullable=False),
        sa.Column("ends_at", TIME, nullable=False),
        sa.Column("created_by", sa.String(320), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("matchers", sa.JSON, nullable=False),
        sa.Column("ended_by", sa.String(320), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_maintenances"),
    )
    op.create_index("ix_maintenances_ends_at", "maintenances", ["ends_at"])


def _notifications() -> None:
    op.create_table(
        "alert_groups",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("receiver", sa.String(300), nullable=False),
        sa.Column("group_key", sa.Text, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("told", sa.JSON, nullable=True),
        sa.Column("changed_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_alert_groups"),
    )
    op.create_index("ix_alert_groups_changed_at", "alert_groups", ["changed_at"])
    op.create_table(
        "notifications",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("receiver", sa.String(300), nullable=False),
        sa.Column("group_id", sa.String(64), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("severity", sa.Integer, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
        sa.Column("told_before", sa.JSON, nullable=True),
        sa.Column("digest_key", sa.String(64), nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("reference", sa.String(300), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_notifications"),
    )
    op.create_index("ix_notifications_state", "notifications", ["state", "receiver"])
    op.create_index("ix_notifications_group_id", "notifications", ["group_id"])
    op.create_index("ix_notifications_made_at", "notifications", ["made_at"])
    op.create_table(
        "alert_cooldowns",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("told_at", TIME, nullable=False),
        sa.Column("severity", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_alert_cooldowns"),
    )
    op.create_index("ix_alert_cooldowns_told_at", "alert_cooldowns", ["told_at"])
