"""Feature flags: a table of variants per organisation."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from demo.product.models import FlagVariant

DEFAULT = "*"


def flag_variant(session: Session, flag: str, org_id: str) -> str:
    """The organisation's variant of the flag, else everybody's, else `off`."""
    return flag_variants(session, org_id).get(flag, "off")


def flag_variants(session: Session, org_id: str) -> dict[str, str]:
    """Every flag with the organisation's variant."""
    statement = select(FlagVariant).where(FlagVariant.org_id.in_((DEFAULT, org_id)))
    rows = sorted(session.scalars(statement), key=lambda row: row.org_id != DEFAULT)
    return {row.flag: row.variant for row in rows}


def set_flag_variant(session: Session, flag: str, org_id: str, variant: str) -> None:
    """Give the organisation (or `*`) this variant from now on."""
    session.merge(FlagVariant(flag=flag, org_id=org_id, variant=variant))
    session.commit()
