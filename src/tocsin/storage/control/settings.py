"""Settings of the control store ([control]) and of sign-in ([auth])."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL

from tocsin.model.settings import setting


@dataclass(frozen=True)
class ControlSettings:
    """Where the control data lives."""

    url: str = setting(
        "",
        help="Database of users, keys and audit: empty for SQLite in the data folder, or a PostgreSQL URL such as "
        "postgresql://tocsin@db/tocsin when several servers share it.",
        env=("TOCSIN_DATABASE_URL",),
        secret=True,
    )
    busy_timeout_seconds: float = setting(
        5.0,
        unit="seconds",
        help="How long a write waits for another one before it fails; raise it on slow disks.",
    )

    def url_with(self, data_folder: Path) -> str:
        """The URL to open: the one configured, or SQLite in `control.sqlite` of the data folder."""
        return self.url or URL.create("sqlite", database=str(data_folder / "control.sqlite")).render_as_string()


@dataclass(frozen=True)
class AuthSettings:
    """How people and automation prove who they are."""

    admin_token: str | None = setting(
        None,
        help="A bearer token with the administrator's role, for automation; unset, only tokens made here are taken.",
        env=("TOCSIN_ADMIN_TOKEN",),
        secret=True,
    )
    session_idle_seconds: float = setting(
        12 * 3600.0, unit="seconds", help="A session ends after this long without a request; shorten on shared desks."
    )
    session_lifetime_seconds: float = setting(
        7 * 86400.0, unit="seconds", help="A session ends this long after sign-in, used or not."
    )
    setup_link_seconds: float = setting(
        86400.0, unit="seconds", help="How long a one-time link to set a password can be used."
    )
    free_attempts: int = setting(
        5, help="Failed sign-ins per account and address before waiting starts; each further one doubles the wait."
    )
    longest_wait_seconds: float = setting(
        900.0, unit="seconds", help="The longest wait after failed sign-ins; after twice this time they are forgotten."
    )
    attempts_per_minute: int = setting(
        60,
        help="Wrong passwords, set-up links and bearer tokens from one address a minute before it has to wait, on each "
        "server; lower it where few people sign in, 0 sets no limit.",
    )
    secure_cookies: bool = setting(
        False,
        help="Mark cookies Secure even where the server itself sees plain http; set it behind a proxy that ends TLS "
        "without telling so.",
    )

    def __post_init__(self) -> None:
        if min(self.session_idle_seconds, self.session_lifetime_seconds, self.setup_link_seconds) <= 0:
            raise ValueError("session and link durations must be above 0; name a duration such as 12h")
        if self.free_attempts < 1:
            raise ValueError(f"free_attempts = {self.free_attempts} would lock everybody out; use 1 or more")
        if self.attempts_per_minute < 0:
            raise ValueError(f"attempts_per_minute = {self.attempts_per_minute} is below 0; use 0 for no limit")
