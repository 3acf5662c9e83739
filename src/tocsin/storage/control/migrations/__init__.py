"""Alembic's folder: env.py runs inside `tocsin.storage.control.migrate`, versions/ holds the numbered steps."""
