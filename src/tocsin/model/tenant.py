"""Which tenants' data a caller may see."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """The tenants whose rows a query may read; every read of telemetry takes one first.

    `tenants` is None for the whole platform. An empty set reads nothing.
    """

    tenants: frozenset[str] | None = None

    @classmethod
    def of(cls, *tenants: str) -> Scope:
        return cls(frozenset(tenants))

    @property
    def is_platform(self) -> bool:
        return self.tenants is None

    def allows(self, tenant: str) -> bool:
        return self.tenants is None or tenant in self.tenants

    def narrowed_to(self, tenant: str | None) -> Scope:
        """This scope cut down to one tenant (None leaves it as it is); a tenant outside it leaves nothing."""
        if tenant is None:
            return self
        return Scope(frozenset({tenant}) if self.allows(tenant) else frozenset())


PLATFORM = Scope()
