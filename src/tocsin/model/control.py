"""What the control store hands out: users, sessions, tokens, keys, links and audit entries; never a secret's hash.

Times are aware UTC. A secret itself appears once, in `Issued`, when it is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from tocsin.model.access import Principal, Role

Item = TypeVar("Item")

SYSTEM = Principal("system", "tocsin", Role.ADMIN)
"""Who acts when the server does something by itself."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold: nothing deletes the tenant's telemetry until it is lifted."""

    tenant: str
    reason: str
    placed_at: datetime
    placed_by: str


@dataclass(frozen=True, slots=True)
class User:
    """A person who can sign in once a password is set."""

    id: str
    email: str
    name: str
    role: Role
    tenants: frozenset[str]
    has_password: bool
    is_disabled: bool
    created_at: datetime
    last_sign_in_at: datetime | None

    @property
    def principal(self) -> Principal:
        return Principal(self.id, self.email, self.role, self.tenants)


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in browser."""

    id: str
    user: User
    created_at: datetime
    expires_at: datetime
    last_seen_at: datetime
    ip: str
    agent: str


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A bearer token for automation, with a role of its own."""

    id: str
    name: str
    prefix: str
    role: Role
    tenants: frozenset[str]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    @property
    def principal(self) -> Principal:
        return Principal(self.id, f"token {self.name}", self.role, self.tenants)


@dataclass(frozen=True, slots=True)
class IngestKey:
    """What an application sends its telemetry with. `environment` is a note for people; nothing is enforced by it."""

    id: str
    name: str
    prefix: str
    environment: str
    spans_per_second: int | None  # None: only the server's own limits apply
    created_at: datetime
    created_by: str
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class SetupLink:
    """A one-time link that sets a password: the first administrator's (`user` is None) or that of `user`."""

    id: str
    user: User | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Issued(Generic[Item]):
    """Something new together with its secret, which is stored only as a hash and can never be shown again."""

    item: Item
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredDashboard:
    """A board that somebody made or changed, as its YAML text."""

    id: str
    title: str
    text: str
    version: int  # from 1, one more with every change
    created_at: datetime
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change: who did what to which object."""

    id: int
    at: datetime
    actor_id: str
    actor: str
    action: str  # noun.verb, such as "user.create"
    object: str  # the object's id, or what was tried
    detail: Mapping[str, Any]
    tenant: str | None


@dataclass(frozen=True, slots=True)
class StoredRules:
    """A rule file that somebody made here, as its YAML text."""

    id: str
    text: str
    version: int  # from 1, one more with every change
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True)
class RuleSwitch:
    """Whether somebody switched a rule on or off, and who."""

    is_on: bool
    changed_at: datetime
    changed_by: str
