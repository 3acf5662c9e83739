"""Brings the control database to this version's tables, once, however many servers start together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from tocsin.storage.control.database import Database
from tocsin.storage.control.errors import StoreUnusable

if TYPE_CHECKING:
    from alembic.config import Config

SCRIPTS = Path(__file__).parent / "migrations"
LOCK_ID = 0x746F6373696E  # "tocsin": PostgreSQL's advisory lock of migrations


def migrate(database: Database) -> None:
    """Runs the numbered migrations that are missing, in one transaction.

    Raises StoreUnusable when the database cannot be reached or was written by a newer version.
    """
    try:
        if not _is_current(database):
            _upgrade(database)
    except DBAPIError as error:
        raise StoreUnusable(
            f"cannot open control database {_shown(database)}: {error.orig}; check that it is there and may be written"
        ) from error


def newest_revision() -> str:
    """The number of the last migration this version knows, which is also its file's."""
    return max(file.name.partition("_")[0] for file in (SCRIPTS / "versions").glob("[0-9]*.py"))


def _is_current(database: Database) -> bool:
    with database.connection() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == newest_revision()


def _upgrade(database: Database) -> None:
    # Only here: loading it takes as long as the rest of opening a store that has nothing to migrate.
    from alembic import command
    from alembic.util import CommandError

    try:
        with database.connection() as connection:
            if not database.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": LOCK_ID})
            config = _alembic()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise StoreUnusable(
            f"cannot open control database {_shown(database)}: {error}; "
            "it was written by a newer Tocsin, start that version"
        ) from error


def _alembic() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    return config


def _shown(database: Database) -> str:
    return database.engine.url.render_as_string(hide_password=True)
