"""Legal holds: tenants whose telemetry nothing deletes. A hold is its entry in the audit, which nobody edits."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from tocsin.model.access import Principal
from tocsin.model.control import Hold
from tocsin.storage.control import audit
from tocsin.storage.control.database import Database
from tocsin.storage.control.errors import InvalidInput, NotFound, Taken
from tocsin.storage.control.schema import AuditRow

PLACED, LIFTED = "hold.place", "hold.lift"
MAX_REASON = 500
MAX_TENANT = 200


class Holds:
    """What is on hold, as the audit tells it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Hold]:
        """Those in force, by tenant."""
        with self._database.read() as session:
            return sorted(_in_force(session).values(), key=lambda hold: hold.tenant)

    def tenants(self) -> frozenset[str]:
        return frozenset(hold.tenant for hold in self.all())

    def place(self, actor: Principal, tenant: str, reason: str) -> Hold:
        """Raises InvalidInput without a tenant or a reason, Taken where the tenant is on hold."""
        tenant, reason = tenant.strip(), reason.strip()
        if not tenant or len(tenant) > MAX_TENANT:
            raise InvalidInput(f"cannot hold '{tenant[:60]}': a tenant has 1 to {MAX_TENANT} characters; name one")
        _check_reason("hold", tenant, reason)
        with self._database.write() as session:
            known = _in_force(session).get(tenant)
            if known is not None:
                by = f"{known.placed_by} placed one on {known.placed_at:%Y-%m-%d}"
                raise Taken(f"cannot hold '{tenant}': {by}; lift that first")
            now = self._database.now()
            audit.record(session, now, actor, PLACED, tenant, {"reason": reason}, tenant)
        return Hold(tenant, reason, now, actor.name)

    def lift(self, actor: Principal, tenant: str, reason: str) -> Hold:
        """The hold that is over. Raises NotFound where there is none, InvalidInput without a reason."""
        _check_reason("lift the hold on", tenant, reason.strip())
        with self._database.write() as session:
            hold = _in_force(session).get(tenant)
            if hold is None:
                raise NotFound(f"cannot lift a hold on '{tenant[:60]}': there is none; see tocsin data holds")
            audit.record(session, self._database.now(), actor, LIFTED, tenant, {"reason": reason.strip()}, tenant)
        return hold


def _check_reason(act: str, tenant: str, reason: str) -> None:
    if not reason or len(reason) > MAX_REASON:
        raise InvalidInput(f"cannot {act} '{tenant[:60]}': it needs a reason of 1 to {MAX_REASON} characters; give one")


def _in_force(session: Session) -> dict[str, Hold]:
    holds: dict[str, Hold] = {}
    for row in session.scalars(select(AuditRow).where(AuditRow.action.in_((PLACED, LIFTED))).order_by(AuditRow.id)):
        if row.action == PLACED:
            holds[row.object] = Hold(row.object, str(row.detail.get("reason", "")), row.at, row.actor)
        else:
            holds.pop(row.object, None)
    return holds
