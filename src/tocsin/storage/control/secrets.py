"""Random secrets that are shown once and stored as a hash."""

from __future__ import annotations

import hashlib
import secrets
from typing import Literal

Kind = Literal["key", "api", "set", "ses"]
SHOWN_CHARS = 6  # of the random part: enough to tell two keys apart, far too few to guess one


def new_secret(kind: Kind) -> str:
    """A secret of 256 random bits with a readable prefix, such as "tcs_key_…" for an ingest key."""
    return f"tcs_{kind}_{secrets.token_urlsafe(32)}"


def digest(secret: str) -> str:
    """SHA-256 as 64 hex digits. A plain hash suffices: 256 random bits cannot be searched."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def shown_prefix(secret: str) -> str:
    """The part of a secret that stays visible in lists."""
    kind_end = len("tcs_key_")
    return secret[: kind_end + SHOWN_CHARS] + "…"


def new_id(noun: str) -> str:
    """An id that says what it names: "usr_3f0c…"."""
    return f"{noun}_{secrets.token_hex(10)}"
