"""PostgreSQL: is it there, and the figures that matter, under postgres_exporter's names."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from tocsin.model.settings import setting
from tocsin.sdk.exposition import Family

_DATABASE = (  # (column of pg_stat_database, type, help)
    ("numbackends", "gauge", "Connections."),
    ("xact_commit", "counter", "Transactions committed."),
    ("xact_rollback", "counter", "Transactions rolled back."),
    ("blks_read", "counter", "Blocks read from disk."),
    ("blks_hit", "counter", "Blocks found in memory."),
    ("tup_returned", "counter", "Rows read by scans."),
    ("tup_fetched", "counter", "Rows fetched."),
    ("deadlocks", "counter", "Deadlocks."),
    ("temp_bytes", "counter", "Bytes written to temporary files."),
)
_ACTIVITY = (
    "SELECT datname, coalesce(state, ''), count(*) FROM pg_stat_activity WHERE datname IS NOT NULL GROUP BY 1, 2"
)


@dataclass(frozen=True)
class Settings:
    """Which PostgreSQL servers are looked at."""

    urls: tuple[str, ...] = setting(
        (), help="PostgreSQL servers, such as postgresql://monitor:secret@127.0.0.1/postgres.", secret=True
    )
    interval_seconds: float = setting(15.0, unit="seconds", help="Time between two looks; 0 turns it off.")
    timeout_seconds: float = setting(3.0, unit="seconds", help="Time a server may take; then it is down.")

    @property
    def is_on(self) -> bool:
        return bool(self.urls) and self.interval_seconds > 0


def collect(settings: Settings) -> list[Family]:
    up = Family("pg_up", "gauge", "1 when PostgreSQL answered.")
    also_up = Family("postgres_up", "gauge", "The same as pg_up.")
    families = _families()
    for url in settings.urls:
        address = make_url(url)
        instance = f"{address.host or 'localhost'}:{address.port or 5432}"
        try:
            _read(address, settings.timeout_seconds, instance, families)
            is_up = 1
        except (SQLAlchemyError, ImportError):
            is_up = 0
        up.add(is_up, instance=instance)
        also_up.add(is_up, instance=instance)
    return [up, also_up, *families.values()]


def _families() -> dict[str, Family]:
    made = {name: Family(f"pg_stat_database_{name}", kind, f"{words} By database.") for name, kind, words in _DATABASE}
    made["size"] = Family("pg_database_size_bytes", "gauge", "Size of a database.")
    made["state"] = Family("pg_stat_activity_count", "gauge", "Connections by database and state.")
    made["max"] = Family("pg_settings_max_connections", "gauge", "Connections allowed.")
    made["started"] = Family("pg_postmaster_start_time_seconds", "gauge", "When the server started.")
    made["lag"] = Family("pg_replication_lag_seconds", "gauge", "How far a replica is behind; 0 on the primary.")
    return made


def _read(address: URL, timeout_seconds: float, instance: str, families: dict[str, Family]) -> None:
    arguments = {"connect_timeout": max(1, round(timeout_seconds))}
    engine = create_engine(address.set(drivername="postgresql+psycopg"), poolclass=NullPool, connect_args=arguments)
    with engine.connect() as connection:
        connection.execute(text(f"SET statement_timeout = {round(timeout_seconds * 1000)}"))
        _read_databases(connection, instance, families)
        for database, state, number in connection.execute(text(_ACTIVITY)):
            families["state"].add(number, instance=instance, datname=database, state=state)
        allowed, started, lag = connection.execute(
            text(
                "SELECT current_setting('max_connections')::int, extract(epoch FROM pg_postmaster_start_time()),"
                " CASE WHEN pg_is_in_recovery()"
                " THEN coalesce(extract(epoch FROM now() - pg_last_xact_replay_timestamp()), 0) ELSE 0 END"
            )
        ).one()
        families["max"].add(allowed, instance=instance)
        families["started"].add(float(started), instance=instance)
        families["lag"].add(float(lag), instance=instance)


def _read_databases(connection: Connection, instance: str, families: dict[str, Family]) -> None:
    columns = ", ".join(name for name, *_ in _DATABASE)
    size = "CASE WHEN has_database_privilege(datname, 'CONNECT') THEN pg_database_size(datname) END"
    rows = connection.execute(
        text(f"SELECT datname, {size}, {columns} FROM pg_stat_database WHERE datname IS NOT NULL")
    )
    for database, size_bytes, *values in rows:
        if size_bytes is not None:
            families["size"].add(size_bytes, instance=instance, datname=database)
        for (name, *_), value in zip(_DATABASE, values, strict=True):
            families[name].add(float(value or 0), instance=instance, datname=database)
