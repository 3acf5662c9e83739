"""Which names stand for secrets: `password`, `X-Api-Key`, `stripeSecretKey`, and not `token_count`."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_NAME_CHARACTERS = 200

# One of these as a part of the name is enough.
_WORDS = frozenset({
    "password", "passwords", "passwd", "passwort", "passphrase", "passcode", "pwd", "pass", "secret", "secrets",
    "token", "tokens", "apikey", "apikeys", "accesskey", "secretkey", "privatekey", "authtoken", "accesstoken",
    "refreshtoken", "idtoken", "credential", "credentials", "authorization", "cookie", "cookies", "jwt", "bearer",
    "cvv", "cvc", "cvv2", "ssn", "otp", "totp", "sessionid", "sessionkey", "jsessionid", "phpsessid", "csrftoken",
    "connectionstring", "pgpassword", "iban", "pan", "cardnumber", "creditcard",
})  # fmt: skip
_PAIRS = frozenset({
    ("api", "key"), ("api", "keys"), ("access", "key"), ("private", "key"), ("secret", "key"), ("signing", "key"),
    ("encryption", "key"), ("auth", "key"), ("master", "key"), ("account", "key"), ("license", "key"),
    ("session", "id"), ("session", "key"), ("card", "number"), ("credit", "card"), ("connection", "string"),
    ("recovery", "code"), ("backup", "code"), ("security", "code"), ("verification", "code"), ("pin", "code"),
    ("webhook", "url"),
})  # fmt: skip
# Only as the whole name: within others they mean something else.
_WHOLE = frozenset({"auth", "pin", "sid", "session", "csrf", "xsrf", "signature", "sig", "creds", "x-auth", "dsn"})
# What says something about a secret is none.
_ABOUT = frozenset({
    "count", "counts", "type", "types", "length", "len", "size", "expires", "expiry", "expired", "expiration", "ttl",
    "age", "limit", "limits", "usage", "used", "uses", "name", "names", "url", "uri", "endpoint", "field", "fields",
    "valid", "invalid", "status", "state", "hint", "policy", "strength", "attempts", "changed", "updated", "created",
    "required", "enabled", "present", "missing", "error", "errors", "reset", "at", "on", "in", "ms", "seconds",
    "total", "budget", "version", "scheme", "method", "provider", "rotation", "issued", "issuer", "owner", "scope",
    "scopes", "is", "has", "pool", "bucket", "path", "file", "manager", "service", "store", "kind", "format", "jar",
})  # fmt: skip
_PERSONAL = frozenset({
    "email", "emails", "mail", "phone", "phones", "mobile", "telephone", "address", "birthday", "birthdate", "dob",
})  # fmt: skip


def parts_of(name: str) -> tuple[str, ...]:
    """A name's words in lower case: `X-ApiKey` gives x, api, key."""
    return tuple(part.lower() for part in _PARTS.findall(name[:_NAME_CHARACTERS]))


@lru_cache(maxsize=8192)
def is_secret_name(name: str, own: frozenset[str] = frozenset(), personal: bool = False) -> bool:
    """Whether the value of such a field is not to be shown. own: more names, in lower case."""
    lower = name.lower()
    if lower in own or lower in _WHOLE:
        return True
    parts = parts_of(name)
    if not parts or parts[0] in ("is", "has", "num", "max", "min", "n"):
        return False
    if personal and parts[-1] in _PERSONAL:
        return True
    if parts[-1] in _ABOUT and (len(parts) < 2 or parts[-2:] not in _PAIRS):
        return False
    return any(part in _WORDS for part in parts) or any(pair in _PAIRS for pair in pairwise(parts))


@lru_cache(maxsize=8192)
def counts_tokens(name: str) -> bool:
    """Whether a number under this name counts tokens, as those of a language model, instead of being one."""
    found = {part for part in parts_of(name) if part in _WORDS}
    return bool(found) and found <= {"token", "tokens"}
