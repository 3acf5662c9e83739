"""Password hashes, PBKDF2 with few rounds: these accounts are public and sign-ins should cost milliseconds."""

from __future__ import annotations

import hashlib
import hmac
import secrets

_ROUNDS = 5_000


def hash_password(password: str) -> str:
    """`salt$hash`, both in hex, with a new salt."""
    salt = secrets.token_hex(8)
    return f"{salt}${_digest(password, salt)}"


def is_password(password: str, password_hash: str) -> bool:
    """Whether the password is the one that was hashed; compared in constant time."""
    salt, _, expected = password_hash.partition("$")
    return hmac.compare_digest(_digest(password, salt), expected)


def _digest(password: str, salt: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), _ROUNDS).hex()
