"""What people decided about groups of errors."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "error_decisions",
        sa.Column("fingerprint", sa.String(80), nullable=False),
        sa.Column("is_resolved", sa.Boolean, nullable=False),
        sa.Column("decided_at", TIME, nullable=False),
        sa.Column("decided_by", sa.String(320), nullable=False),
        sa.Column("note", sa.String(500), nullable=False),
        sa.Column("releases", sa.JSON, nullable=False),
        sa.Column("until", TIME, nullable=True),
        sa.Column("occurrences", sa.Integer, nullable=True),
        sa.Column("occurrences_then", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_error_decisions"),
    )
