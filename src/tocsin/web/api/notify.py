"""/api/v1/notify: whom Tocsin can tell, what it told, and a message by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel, Field

from tocsin.model.clock import utc_now
from tocsin.model.delivery import Delivery
from tocsin.model.notification import Notification, Outcome
from tocsin.model.severity import Severity
from tocsin.notify.deliver import Deliverer
from tocsin.notify.overview import channel_states
from tocsin.notify.path import PathWatch
from tocsin.notify.render import text_of
from tocsin.notify.summary import Summaries
from tocsin.notify.trial import TEST_MESSAGE, trial
from tocsin.web.api.contract import BEARER, MISSING, REFUSALS, Shown
from tocsin.web.auth import Admin, Operator, Viewer
from tocsin.web.refusals import RefusingRoute
from tocsin.web.state import control_of

router = APIRouter(
    prefix="/api/v1/notify",
    tags=["notify"],
    dependencies=[Depends(BEARER)],
    responses=REFUSALS,
    route_class=RefusingRoute,
)
WAIT_SECONDS = 30.0


class DeliveryAnswer(Shown):
    """One notification for one channel of a receiver, and what became of it: its receipt."""

    id: int
    key: str = Field(description="The same for the same group of alerts in the same state")
    receiver: str
    integration: str = Field(examples=["slack[0]"])
    channel: str
    status: str = Field(description="firing or resolved")
    title: str
    outcome: Outcome
    attempts: int
    reason: str
    reference: str = Field(description="The provider's id")
    made_at: datetime
    changed_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str


class AttemptAnswer(Shown):
    """One try."""

    attempt: int
    outcome: Outcome
    reason: str
    reference: str
    at: datetime
    seconds: float


class DeliveryDetail(BaseModel):
    delivery: DeliveryAnswer
    attempts: list[AttemptAnswer]


class ChannelAnswer(Shown):
    """A channel of a receiver; counts are of the last day."""

    receiver: str
    integration: str
    channel: str
    state: str = Field(description="unusable, failing, waiting, ok or unused")
    problem: str
    send_resolved: bool
    sent: int
    failed: int
    waiting: int
    last: DeliveryAnswer | None


class ChannelList(BaseModel):
    """Every channel, and what of the configuration is not carried out."""

    channels: list[ChannelAnswer]
    notes: list[str]


class DeliveryList(BaseModel):
    """The newest first."""

    deliveries: list[DeliveryAnswer]


class HopAnswer(Shown):
    """A place a synthetic alert came by, seconds after it was raised."""

    name: str
    seconds: float


class PathAnswer(Shown):
    """One synthetic alert on its way to a receipt."""

    id: str
    at: datetime
    is_well: bool
    reason: str
    hops: list[HopAnswer]


class PathList(BaseModel):
    """The newest first, since the server's start."""

    checks: list[PathAnswer]


class Trial(BaseModel):
    """A message by hand. `urgent` makes it a P0, which wakes people; else it is information."""

    receiver: str = Field(max_length=200)
    message: str = Field(default=TEST_MESSAGE, min_length=1, max_length=2000)
    urgent: bool = False


class FactAnswer(BaseModel):
    heading: str
    words: str = Field(description="Several lines where it is a list")


class SummaryAnswer(BaseModel):
    """The health summary as it would go out now, and when one does by itself."""

    receiver: str = Field(description="Who is told by itself; empty: nobody")
    next_at: datetime = Field(description="When, if there is a receiver")
    title: str
    summary: str
    state: str = Field(description="bad, warn, ok or quiet")
    facts: list[FactAnswer]
    text: str = Field(description="All of it, as a plain mail has it")


class SummaryRequest(BaseModel):
    receiver: str = Field("", max_length=200, description="notify.summary_receiver unless given")


@router.get("/channels", summary="Whom Tocsin can tell")
def list_channels(request: Request, _: Viewer) -> ChannelList:
    deliverer = deliverer_of(request)
    states = [ChannelAnswer.model_validate(state) for state in channel_states(deliverer, utc_now())]
    return ChannelList(channels=states, notes=deliverer.notes())


@router.get("/deliveries", summary="What was told, and to whom")
def list_deliveries(
    request: Request,
    _: Viewer,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before_id: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
    channel: str = "",
    outcome: Outcome | None = None,
    receiver: str = "",
) -> DeliveryList:
    found = control_of(request).deliveries.newest(
        limit=limit, before_id=before_id, channel=channel, outcome=outcome or "", receiver=receiver
    )
    return DeliveryList(deliveries=[DeliveryAnswer.model_validate(one) for one in found])


@router.get("/deliveries/{delivery_id}", summary="One delivery and its attempts", responses=MISSING)
def get_delivery(request: Request, _: Viewer, delivery_id: int) -> DeliveryDetail:
    return _detail(request, control_of(request).deliveries.get(delivery_id))


@router.post("/deliveries/{delivery_id}/replay", summary="Try a failed delivery once more", responses=MISSING)
def replay(request: Request, operator: Operator, delivery_id: int) -> DeliveryDetail:
    found = deliverer_of(request).replay(delivery_id)
    control_of(request).audit.note(operator, "delivery.replay", str(delivery_id), {"title": found.title})
    return _detail(request, found)


@router.post("/test", summary="Send a message by hand and wait for its receipts", responses=MISSING)
def send_trial(request: Request, operator: Operator, asked: Trial) -> list[DeliveryDetail]:
    deliverer = deliverer_of(request)
    if asked.receiver not in deliverer.receivers.by_name:
        known = ", ".join(sorted(deliverer.receivers.by_name))
        raise HTTPException(404, f"cannot tell receiver {asked.receiver!r}: there is none of that name; use {known}")
    severity = Severity.P0 if asked.urgent else Severity.P4
    told = trial(asked.receiver, asked.message, utc_now(), severity=severity, external_url=_external_url(request))
    control_of(request).audit.note(operator, "message.send", asked.receiver, {"message": asked.message[:200]})
    return [_detail(request, one) for one in _told(deliverer, told)]


@router.get("/path", summary="The last synthetic alerts and their hops")
def list_path_checks(request: Request, _: Viewer) -> PathList:
    return PathList(checks=[PathAnswer.model_validate(one) for one in reversed(path_of(request).results)])


@router.post("/path", summary="Send a synthetic alert and wait for its receipt")
def check_path(request: Request, operator: Operator) -> PathAnswer:
    return PathAnswer.model_validate(path_of(request).check())


@router.get("/summary", summary="The health summary of the last day, as it would go out now")
def preview_summary(request: Request, _: Admin) -> SummaryAnswer:
    summaries = summaries_of(request)
    made = replace(summaries.by_hand(summaries.receiver), external_url=_external_url(request))
    text, report = text_of(made), made.report
    assert report is not None
    return SummaryAnswer(
        receiver=summaries.receiver,
        next_at=summaries.next_at(),
        title=text.title,
        summary=text.summary,
        state=report.state,
        facts=[FactAnswer(heading=heading, words=words) for heading, words in text.facts],
        text=f"{text.title}\n{text.plain}",
    )


@router.post("/summary", summary="Send the health summary of the last day now", responses=MISSING)
def send_summary(request: Request, admin: Admin, asked: SummaryRequest) -> list[DeliveryDetail]:
    deliverer, summaries = deliverer_of(request), summaries_of(request)
    receiver = asked.receiver or summaries.receiver
    if receiver not in deliverer.receivers.by_name:
        known = ", ".join(sorted(deliverer.receivers.by_name))
        why = f"there is no receiver {receiver!r}" if receiver else "notify.summary_receiver is not set"
        raise HTTPException(404, f"cannot send the health summary: {why}; name one of {known}")
    told = replace(summaries.by_hand(receiver), external_url=_external_url(request))
    control_of(request).audit.note(admin, "summary.send", receiver, {})
    return [_detail(request, one) for one in _told(deliverer, told)]


def _external_url(request: Request) -> str:
    """Where links lead: as configured, or else where this reader came."""
    return deliverer_of(request).settings.external_url or str(request.base_url).rstrip("/")


def summaries_of(request: Request) -> Summaries:
    found = request.app.state.tocsin.summaries
    assert isinstance(found, Summaries)
    return found


def path_of(request: Request) -> PathWatch:
    found = request.app.state.tocsin.path
    assert isinstance(found, PathWatch)
    return found


def deliverer_of(request: Request) -> Deliverer:
    found = request.app.state.tocsin.deliverer
    assert isinstance(found, Deliverer)
    return found


def _told(deliverer: Deliverer, notification: Notification) -> list[Delivery]:
    """Its deliveries after they ended, or after WAIT_SECONDS."""
    deliverer.deliver(notification, WAIT_SECONDS)
    return deliverer.deliveries.of_key(notification.key)


def _detail(request: Request, delivery: Delivery) -> DeliveryDetail:
    attempts = control_of(request).deliveries.attempts(delivery.id)
    return DeliveryDetail(
        delivery=DeliveryAnswer.model_validate(delivery),
        attempts=[AttemptAnswer.model_validate(attempt) for attempt in attempts],
    )
