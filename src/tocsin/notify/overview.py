"""How every channel of every receiver is doing: usable or not, what became of the last message, how often it failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tocsin.model.delivery import Delivery
from tocsin.model.notification import Outcome
from tocsin.notify.deliver import Deliverer

RECENT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ChannelState:
    """One channel of one receiver. problem: why it cannot be used."""

    receiver: str
    integration: str
    channel: str
    send_resolved: bool
    problem: str
    last: Delivery | None
    sent: int  # within the last day, as are the others
    failed: int
    waiting: int

    @property
    def state(self) -> str:
        """unusable, failing, waiting, ok or unused."""
        if self.problem:
            return "unusable"
        if self.last is None:
            return "unused"
        if self.last.outcome == Outcome.FAILED:
            return "failing"
        return "waiting" if self.last.outcome == Outcome.RETRYING else "ok"


def channel_states(deliverer: Deliverer, now: datetime) -> list[ChannelState]:
    """By receiver, as configured."""
    counts = deliverer.deliveries.counts(now - RECENT)
    last = deliverer.deliveries.last_of_each()
    states = []
    for receiver in sorted(deliverer.receivers.by_name.values(), key=lambda one: one.name):
        for one in receiver.integrations:
            place = (receiver.name, one.id)
            counted = counts.get(place, {})
            states.append(
                ChannelState(
                    receiver=receiver.name,
                    integration=one.id,
                    channel=one.channel,
                    send_resolved=one.send_resolved,
                    problem=one.problem,
                    last=last.get(place),
                    sent=counted.get(Outcome.SENT, 0),
                    failed=counted.get(Outcome.FAILED, 0),
                    waiting=counted.get(Outcome.RETRYING, 0),
                )
            )
    return states
