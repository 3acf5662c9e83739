"""Users, sessions, API tokens, ingest keys, set-up links, sign-in attempts and the audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ID = sa.String(40)
HASH = sa.String(64)
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _people()
    _machines()
    _trail()


def _people() -> None:
    op.create_table(
        "users",
        sa.Column("id", ID, nullable=False),
        sa.Column("email", sa.String(320), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("password_hash", sa.String(500)),
        sa.Column("role", sa.String(40), nullable=False),
        sa.Column("tenants", sa.JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("disabled_at", TIME),
        sa.Column("last_sign_in_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
    )
    op.create_table(
        "sessions",
        sa.Column("id", ID, nullable=False),
        sa.Column("token_hash", HASH, nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("last_seen_at", TIME, nullable=False),
        sa.Column("ip", sa.String(64), nullable=False),
        sa.Column("agent", sa.String(300), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("token_hash", name="uq_sessions_token_hash"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id", ondelete="CASCADE"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    op.create_table(
        "setup_links",
        sa.Column("id", ID, nullable=False),
        sa.Column("token_hash", HASH, nullable=False),
        sa.Column("user_id", ID),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("used_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_setup_links"),
        sa.UniqueConstraint("token_hash", name="uq_setup_links_token_hash"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_setup_links_user_id", ondelete="CASCADE"),
    )
    op.create_index("ix_setup_links_user_id", "setup_links", ["user_id"])


def _machines() -> None:
    op.create_table(
        "api_tokens",
        *_secret_columns("api_tokens"),
        sa.Column("role", sa.String(40), nullable=False),
        sa.Column("tenants", sa.JSON, nullable=False),
        sa.Column("expires_at", TIME),
    )
    op.create_table(
        "ingest_keys",
        *_secret_columns("ingest_keys"),
        sa.Column("environment", sa.String(200), nullable=False),
        sa.Column("spans_per_second", sa.Integer),
    )


def _secret_columns(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("id", ID, nullable=False),
        sa.Column("token_hash", HASH, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("prefix", sa.String(40), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.String(320), nullable=False),
        sa.Column("last_used_at", TIME),
        sa.Column("revoked_at", TIME),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("token_hash", name=f"uq_{table}_token_hash"),
    ]


def _trail() -> None:
    op.create_table(
        "sign_in_attempts",
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("ip", sa.String(64), nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("blocked_until", TIME, nullable=False),
        sa.Column("forget_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("account", "ip", name="pk_sign_in_attempts"),
    )
    op.create_index("ix_sign_in_attempts_forget_at", "sign_in_attempts", ["forget_at"])
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor_id", ID, nullable=False),
        sa.Column("actor", sa.String(320), nullable=False),
        sa.Column("action", sa.String(80), nullable=False),
        sa.Column("object", sa.String(320), nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.Column("tenant", sa.String(200)),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_object", "audit", ["object"])
    op.create_index("ix_audit_tenant", "audit", ["tenant"])
