"""Feature flags: a table of variants per organisation, asked through OpenFeature as a product would."""

from __future__ import annotations

from typing import Final

from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from sqlalchemy import select
from sqlalchemy.orm import Session

from demo.faults import SLOW_FLAG
from demo.product.models import FlagVariant

DEFAULT = "*"
OFF = "off"
COMPACT: Final = "compact-projects"
"""The project list in a new form; on for those whom the fault `flag-slows` names."""
FLAGS: Final = ("new-dashboard", "export-format", COMPACT)


def open_flags() -> None:
    """Makes our flags the ones OpenFeature's clients ask."""
    flags = {flag: InMemoryFlag(OFF, {OFF: OFF}, context_evaluator=_evaluate) for flag in FLAGS}
    api.set_provider(InMemoryProvider(flags), "tallyroom")


def flag_variant(session: Session, flag: str, org_id: str) -> str:
    """The organisation's variant of the flag, else everybody's, else `off`."""
    # The provider keeps no state of its own: the rows come along with the question.
    rows = flag_variants(session, org_id)
    context = EvaluationContext(org_id, {"flag": flag, "variant": rows.get(flag, OFF)})
    return api.get_client("tallyroom").get_string_value(flag, OFF, context)


def flag_variants(session: Session, org_id: str) -> dict[str, str]:
    """Every flag with the organisation's variant."""
    statement = select(FlagVariant).where(FlagVariant.org_id.in_((DEFAULT, org_id)))
    rows = sorted(session.scalars(statement), key=lambda row: row.org_id != DEFAULT)
    return {row.flag: row.variant for row in rows}


def set_flag_variant(session: Session, flag: str, org_id: str, variant: str) -> None:
    """Give the organisation (or `*`) this variant from now on."""
    session.merge(FlagVariant(flag=flag, org_id=org_id, variant=variant))
    session.commit()


def _evaluate(flag: InMemoryFlag[str], context: EvaluationContext) -> FlagResolutionDetails[str]:
    variant = str(context.attributes["variant"])
    if context.attributes["flag"] == COMPACT and SLOW_FLAG.bites(context.targeting_key or ""):
        variant = "on"
    reason = Reason.DEFAULT if variant == flag.default_variant else Reason.TARGETING_MATCH
    return FlagResolutionDetails(variant, variant=variant, reason=reason)
