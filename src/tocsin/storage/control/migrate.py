"""Brings the control database to this version's tables, once, however many servers start together."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from tocsin.storage.control.database import Database
from tocsin.storage.control.errors import StoreUnusable

SCRIPTS = Path(__file__).parent / "migrations"
LOCK_ID = 0x746F6373696E  # "tocsin": PostgreSQL's advisory lock of migrations


def migrate(database: Database) -> None:
    """Runs the numbered migrations that are missing, in one transaction.

    Raises StoreUnusable when the database cannot be reached or was written by a newer version.
    """
    shown = database.engine.url.render_as_string(hide_password=True)
    try:
        with database.connection() as connection:
            _upgrade(connection)
    except CommandError as error:
        raise StoreUnusable(
            f"cannot open control database {shown}: {error}; it was written by a newer Tocsin, start that version"
        ) from error
    except DBAPIError as error:
        raise StoreUnusable(
            f"cannot open control database {shown}: {error.orig}; check that it is there and may be written"
        ) from error


def newest_revision() -> str:
    """The number of the last migration this version knows."""
    return str(ScriptDirectory.from_config(_alembic()).get_current_head())


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": LOCK_ID})
    config = _alembic()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    return config
