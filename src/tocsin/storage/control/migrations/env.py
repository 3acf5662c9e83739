"""Run by Alembic: applies migrations on the connection that `migrate` passes in, inside its transaction."""

from __future__ import annotations

from alembic import context

from tocsin.storage.control.schema import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
