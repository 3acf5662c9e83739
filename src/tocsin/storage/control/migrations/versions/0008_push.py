"""Browsers that are told by web push, what they were told, and the key that signs it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "push_keys",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("private_key", sa.String(100), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_push_keys"),
    )
    op.create_table(
        "push_subscriptions",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("endpoint_hash", sa.String(64), nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("public_key", sa.String(100), nullable=False),
        sa.Column("auth_secret", sa.String(40), nullable=False),
        sa.Column("user_id", sa.String(40), nullable=False),
        sa.Column("browser", sa.String(300), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("told_at", TIME, nullable=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("last_failure", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_push_subscriptions"),
        sa.UniqueConstraint("endpoint_hash", name="uq_push_subscriptions_endpoint_hash"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_push_subscriptions_user_id", ondelete="CASCADE"),
    )
    op.create_index("ix_push_subscriptions_user_id", "push_subscriptions", ["user_id"])
    op.create_table(
        "push_receipts",
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("subscription_id", sa.String(40), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("key", "subscription_id", name="pk_push_receipts"),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["push_subscriptions.id"],
            name="fk_push_receipts_subscription_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_push_receipts_at", "push_receipts", ["at"])
