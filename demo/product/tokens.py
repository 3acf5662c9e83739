"""Sign-in tokens: the claims as JSON with an HMAC over them, issued and verified by Tallyroom alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass

LIFETIME_SECONDS = 1800


class TokenError(Exception):
    """The token was not issued by us, is damaged, or is too old."""


@dataclass(frozen=True)
class Claims:
    """Who the bearer is and which organisation they work in. `expires_at` is in unix seconds."""

    user_id: int
    org_id: str
    role: str
    is_staff: bool
    expires_at: float


def issue_token(claims: Claims, secret: bytes) -> str:
    """`payload.signature`, both base64url."""
    payload = base64.urlsafe_b64encode(json.dumps(asdict(claims), separators=(",", ":")).encode())
    return f"{payload.decode()}.{_signature(payload, secret)}"


def verify_token(token: str, secret: bytes, now: float) -> Claims:
    """The claims of a token whose signature holds and which has not expired at `now` (unix seconds).

    Raises TokenError otherwise.
    """
    payload, _, signature = token.partition(".")
    if not hmac.compare_digest(_signature(payload.encode(), secret).encode(), signature.encode()):
        raise TokenError("cannot accept token: its signature does not match; sign in again")
    claims = Claims(**json.loads(base64.urlsafe_b64decode(payload)))
    if claims.expires_at <= now:
        raise TokenError("cannot accept token: it has expired; sign in again")
    return claims


def _signature(payload: bytes, secret: bytes) -> str:
    return base64.urlsafe_b64encode(hmac.digest(secret, payload, hashlib.sha256)).decode()
