"""Password rules and argon2 hashes."""

from __future__ import annotations

import secrets
from base64 import b64encode
from threading import BoundedSemaphore

from argon2 import Parameters
from argon2.profiles import RFC_9106_LOW_MEMORY
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from tocsin.storage.control.errors import InvalidInput

SHORTEST_CHARS = 12
LONGEST_CHARS = 1000
FEWEST_DISTINCT_CHARS = 5
# One hash takes 64 MiB and 0.1 s: a flood of sign-ins must queue rather than take the machine's memory.
CONCURRENT_HASHES = 2


class Passwords:
    """Hashes and verifies; safe to share between threads."""

    def __init__(self, strength: Parameters = RFC_9106_LOW_MEMORY) -> None:
        hasher = Argon2Hasher(
            time_cost=strength.time_cost,
            memory_cost=strength.memory_cost,
            parallelism=strength.parallelism,
            hash_len=strength.hash_len,
            salt_len=strength.salt_len,
        )
        self._hash = PasswordHash((hasher,))
        self._decoy = _hash_of_nothing(strength)
        self._slots = BoundedSemaphore(CONCURRENT_HASHES)

    def hash(self, password: str, email: str) -> str:
        """The argon2id hash to store. Raises InvalidInput when the password breaks a rule."""
        check_password(password, email)
        with self._slots:
            return self._hash.hash(password)

    def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """(whether it matches, a new hash when the stored one is of older strength).

        Takes as long when `stored` is None, so that timing does not tell which accounts exist.
        """
        if len(password) > LONGEST_CHARS:
            password = ""  # no stored password is that long; hashing it would only burn time
        with self._slots:
            matches, renewed = self._hash.verify_and_update(password, stored or self._decoy)
        return (matches, renewed) if stored else (False, None)


def _hash_of_nothing(strength: Parameters) -> str:
    """An argon2id hash of this strength that no password is known to have; comparing takes as long as with others."""
    salt, digest = (
        b64encode(secrets.token_bytes(length)).decode().rstrip("=") for length in (strength.salt_len, strength.hash_len)
    )
    costs = f"m={strength.memory_cost},t={strength.time_cost},p={strength.parallelism}"
    return f"$argon2id$v={strength.version}${costs}${salt}${digest}"


def check_password(password: str, email: str) -> None:
    """Raises InvalidInput when a password is too short, too long, or easy to guess."""
    if len(password) < SHORTEST_CHARS:
        raise InvalidInput(
            f"cannot use this password: it has {len(password)} characters; use {SHORTEST_CHARS} or more, "
            "several words make it easy to remember"
        )
    if len(password) > LONGEST_CHARS:
        raise InvalidInput(f"cannot use this password: it is longer than {LONGEST_CHARS} characters; shorten it")
    if len(set(password)) < FEWEST_DISTINCT_CHARS or password.strip().lower() == email.lower():
        raise InvalidInput("cannot use this password: it is easy to guess; use several unrelated words")
