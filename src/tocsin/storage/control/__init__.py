"""The control store: users, sessions, tokens, ingest keys, set-up links and the audit log, in SQLite or PostgreSQL.

Enters: plain values and the principal who acts. Leaves: frozen dataclasses of `tocsin.model.control`. `ControlStore`
is called from threads, never from the event loop; every change writes its audit entry in the same transaction.
"""

from tocsin.storage.control.errors import (
    ControlError,
    InvalidInput,
    LastAdmin,
    LinkUnusable,
    NotFound,
    StoreUnusable,
    Taken,
    Throttled,
    WrongCredentials,
)
from tocsin.storage.control.keyring import KeyRing
from tocsin.storage.control.settings import AuthSettings, ControlSettings
from tocsin.storage.control.store import ControlStore

__all__ = [
    "AuthSettings",
    "ControlError",
    "ControlSettings",
    "ControlStore",
    "InvalidInput",
    "KeyRing",
    "LastAdmin",
    "LinkUnusable",
    "NotFound",
    "StoreUnusable",
    "Taken",
    "Throttled",
    "WrongCredentials",
]
