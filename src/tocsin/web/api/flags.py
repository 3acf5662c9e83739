"""/api/v1/flags: feature flags, what they gave, one variant against another, and what came of changes."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, Field

from tocsin.query.flags import Flag, compare_variants
from tocsin.query.flags import flags as all_flags
from tocsin.query.releases import FlagChange, flag_changes
from tocsin.web.api.asked import READING, Asked, Store, note_asked
from tocsin.web.api.contract import BEARER, MISSING, Shown
from tocsin.web.api.releases import ChangeAnswer, change_answer
from tocsin.web.auth import Anybody
from tocsin.web.release_headline import flag_words

router = APIRouter(
    prefix="/api/v1/flags",
    tags=["telemetry"],
    dependencies=[Depends(BEARER), Depends(note_asked)],
    responses=READING,
)


class VariantAnswer(Shown):
    """What a flag gave. tenants: how many got it."""

    variant: str
    evaluations: int
    tenants: int


class FlagAnswer(BaseModel):
    """A feature flag of a service."""

    service: str
    flag: str
    variants: list[VariantAnswer]
    changes: int = Field(description="How often it changed in this time")
    last_change: datetime | None


class FlagList(BaseModel):
    """Flags asked in this time, those with several variants first."""

    flags: list[FlagAnswer]


class FlagChangeAnswer(BaseModel):
    """A change of a flag, and what came of it within half an hour."""

    at: datetime
    tenant: str = Field(description="'' for everybody")
    before: str
    variant: str
    verdict: str
    words: str


class VariantComparison(BaseModel):
    """One variant against another, what got worse first."""

    service: str
    flag: str
    of: str = Field(alias="from")
    to: str
    endpoints: list[ChangeAnswer] = Field(description="Everybody with one against everybody with the other")
    tenants: list[ChangeAnswer] = Field(description="Tenants that got both: like with like")
    changes: list[FlagChangeAnswer]


@router.get("", summary="List feature flags")
def list_flags(store: Store, principal: Anybody, asked: Asked, service: str | None = None) -> FlagList:
    found = all_flags(store, principal.scope, replace(asked, service=service or None))
    return FlagList(flags=[_flag(one) for one in found])


@router.get("/compare", summary="Compare two variants of a flag endpoint by endpoint", responses=MISSING)
def compare(
    store: Store,
    principal: Anybody,
    asked: Asked,
    service: str,
    flag: str,
    of: Annotated[str, Query(alias="from", description="Default off, else the most frequent")] = "",
    to: Annotated[str, Query(description="Default the most frequent other one")] = "",
) -> VariantComparison:
    """Requests that got either variant at the same time, and what came of each change of the flag."""
    narrowed = replace(asked, service=service)
    found = next(iter(all_flags(store, principal.scope, narrowed, flag)), None)
    pair = (of, to) if of or to else found.usual_pair if found else None
    if found is None or pair is None or not {*pair} <= {one.variant for one in found.variants}:
        why = "it was not asked in this time" if found is None else "it did not give both variants in this time"
        raise HTTPException(404, f"cannot compare variants of flag '{flag}': {why}; see /api/v1/flags")
    comparison = compare_variants(store, principal.scope, narrowed, flag, *pair)
    changes = flag_changes(store, principal.scope, narrowed, time.time_ns(), flag)
    return VariantComparison(
        service=service,
        flag=flag,
        **{"from": pair[0]},
        to=pair[1],
        endpoints=[change_answer(one) for one in comparison.endpoints],
        tenants=[change_answer(one) for one in comparison.tenants],
        changes=[_change(one) for one in changes],
    )


def _flag(one: Flag) -> FlagAnswer:
    return FlagAnswer(
        service=one.service,
        flag=one.name,
        variants=[VariantAnswer.model_validate(variant) for variant in one.variants],
        changes=one.flips,
        last_change=_moment(one.last_flip_ns) if one.last_flip_ns else None,
    )


def _change(one: FlagChange) -> FlagChangeAnswer:
    return FlagChangeAnswer(
        at=_moment(one.time_ns), tenant=one.tenant, before=one.before, variant=one.variant,
        verdict=one.comparison.verdict, words=flag_words(one),
    )  # fmt: skip


def _moment(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns / 1e9, UTC)
