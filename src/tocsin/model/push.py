"""A browser that is told of alerts by web push."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from tocsin.model.access import Principal


@dataclass(frozen=True, slots=True)
class PushAddress:
    """Where a browser is reached and what only it can read, as it gave them (base64url).

    endpoint: at its push service; whoever knows it and has our key can write to it. public_key: P-256, uncompressed.
    """

    endpoint: str = field(repr=False)
    public_key: str
    auth_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PushSubscription:
    """One browser of one user. failures: since it was last told."""

    id: str
    address: PushAddress
    user: Principal
    browser: str
    made_at: datetime
    told_at: datetime | None
    failures: int
    last_failure: str
