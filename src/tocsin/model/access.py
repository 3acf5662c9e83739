"""Who is asking, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tocsin.model.tenant import PLATFORM, Scope


class Role(StrEnum):
    """What a user or API token may do; each role includes those below it, except that a tenant viewer sees only
    the tenants named for them."""

    ADMIN = "admin"  # users, tokens, keys, settings
    OPERATOR = "operator"  # acknowledge, silence, run; no users or keys
    VIEWER = "viewer"  # read everything
    TENANT_VIEWER = "tenant_viewer"  # read the telemetry of named tenants only


RANK = {Role.TENANT_VIEWER: 0, Role.VIEWER: 1, Role.OPERATOR: 2, Role.ADMIN: 3}


@dataclass(frozen=True, slots=True)
class Principal:
    """The signed-in user or API token behind a request."""

    id: str
    name: str
    role: Role
    tenants: frozenset[str] = frozenset()  # read only for a tenant viewer

    @property
    def scope(self) -> Scope:
        return Scope(self.tenants) if self.role is Role.TENANT_VIEWER else PLATFORM

    def has(self, role: Role) -> bool:
        """Whether this principal may do what `role` may."""
        return RANK[self.role] >= RANK[role]
