"""Proves that an alert reaches a receipt: a synthetic one, again and again, with the time of every hop.

While they arrive, a service outside is asked (a dead man's switch); when one does not, the fallback receiver is told
past the pipeline, because that may be what is broken.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from tocsin.model.alert import Alert
from tocsin.model.clock import Clock, utc_now
from tocsin.model.delivery import Delivery
from tocsin.model.notification import Notification, Outcome
from tocsin.model.path_check import CHECK, CHECK_LABEL
from tocsin.notify import counters
from tocsin.notify.contract import DeliveryError, Message
from tocsin.notify.deliver import Deliverer
from tocsin.notify.http import ask
from tocsin.notify.receivers import DEFAULT
from tocsin.notify.render import text_of

log = structlog.get_logger("tocsin.notify")

ENDS_AFTER = timedelta(minutes=5)
KEPT = 100
BROKEN = "TocsinPagingPathBroken"

Enter = Callable[[Alert], str | None]
"""Gives an alert to where alerts come in; says where that was."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A place the alert came by, and when: seconds after it was raised."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class PathResult:
    """One synthetic alert. reason: why it counts as lost, or what else went wrong."""

    id: str
    at: datetime
    is_well: bool
    hops: tuple[Hop, ...]
    reason: str = ""

    @property
    def seconds(self) -> float:
        return self.hops[-1].seconds if self.hops else 0.0


class PathWatch:
    """Sends synthetic alerts and waits for their receipts. enter None: straight to delivery, without a pipeline."""

    def __init__(self, deliverer: Deliverer, enter: Enter | None = None, clock: Clock = utc_now) -> None:
        self._deliverer = deliverer
        self.enter = enter or self._straight
        self.is_here: Callable[[], bool] = lambda: True  # False: another server tells, and sees the receipts
        self._clock = clock
        self._closing = threading.Event()
        self._heard: dict[str, tuple[Notification, Delivery]] = {}
        self._arrived = threading.Condition()
        self._was_well = True
        self.results: deque[PathResult] = deque(maxlen=KEPT)
        deliverer.listeners.append(self._hear)

    def start(self) -> None:
        """Check every notify.test_interval_seconds from now on, unless that is 0."""
        if self._deliverer.settings.test_interval_seconds > 0:
            threading.Thread(target=self._run, name="tocsin-path", daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        with self._arrived:
            self._arrived.notify_all()

    def check(self) -> PathResult:
        """Sends one alert and waits for its receipt, at most notify.test_seconds; then tells who has to know."""
        settings = self._deliverer.settings
        began = self._clock()
        alert = synthetic(began, secrets.token_hex(8))
        id = alert.labels[CHECK_LABEL]
        hops = [Hop("raised", 0.0)]
        if not self.is_here():
            return PathResult(id, began, False, tuple(hops), "another server on this control store tells; ask that one")
        try:
            where = self.enter(alert)
            hops.append(Hop(where or "accepted", (self._clock() - began).total_seconds()))
            heard = self._wait(id, settings.test_seconds)
        except Exception as error:  # noqa: BLE001 - whatever breaks the path is what this is here to tell
            result = PathResult(id, began, False, tuple(hops), f"the pipeline failed: {error}")
        else:
            result = self._judged(id, began, hops, heard)
        return self._note(result, alert)

    def _judged(
        self, id: str, began: datetime, hops: list[Hop], heard: tuple[Notification, Delivery] | None
    ) -> PathResult:
        if heard is None:
            seconds = self._deliverer.settings.test_seconds
            return PathResult(id, began, False, tuple(hops), f"there was no receipt within {seconds:g} s")
        notification, delivery = heard
        fired_at = min((alert.starts_at for alert in notification.alerts), default=began)
        hops = [
            *hops,
            *([Hop("rule fired", (fired_at - began).total_seconds())] if fired_at > began else []),
            Hop("notification made", (notification.made_at - began).total_seconds()),
            Hop("delivery begun", (delivery.made_at - began).total_seconds()),
            Hop(f"receipt of {delivery.receiver}", (delivery.changed_at - began).total_seconds()),
        ]
        hops.sort(key=lambda hop: hop.seconds)
        is_well = delivery.outcome == Outcome.SENT
        reason = "" if is_well else f"{delivery.receiver} could not be told: {delivery.reason}"
        return PathResult(id, began, is_well, tuple(hops), reason)

    def _note(self, result: PathResult, alert: Alert) -> PathResult:
        counters.path_checks.labels("arrived" if result.is_well else "lost").inc()
        if result.is_well:
            counters.path_seconds.set(result.seconds)
            result = self._asked_outside(result, alert)
        else:
            log.error("notify.path_broken", reason=result.reason)
        self.results.append(result)
        if result.is_well != self._was_well:
            self._tell(result)
        self._was_well = result.is_well
        return result

    def _asked_outside(self, result: PathResult, alert: Alert) -> PathResult:
        """The dead man's switch hears that all is well; that it does not answer is said, but not an alarm here."""
        url = self._deliverer.settings.dead_mans_url
        if not url:
            return result
        message = Message(told := self._notification(alert), text_of(told), result.id)
        try:
            ask(message, "GET", url)
        except DeliveryError as error:
            log.warning("notify.dead_mans_switch_unreachable", reason=error.reason)
            return PathResult(result.id, result.at, True, result.hops, f"the dead man's switch: {error.reason}")
        hop = Hop("dead man's switch", (self._clock() - result.at).total_seconds())
        return PathResult(result.id, result.at, True, (*result.hops, hop))

    def _tell(self, result: PathResult) -> None:
        """That the path broke, or is well again, by another channel and past the pipeline."""
        labels = {"alertname": BROKEN, "severity": "critical", "service": "tocsin"}
        notes = {"summary": "Alerts may reach nobody: a synthetic one was lost", "description": result.reason}
        alert = Alert(labels, notes, starts_at=result.at, ends_at=result.at if result.is_well else None)
        receiver = self._deliverer.settings.fallback or DEFAULT
        self._deliverer.submit(
            Notification(
                key=f"path-{result.id}",
                receiver=receiver,
                group_key=f'{{}}:{{alertname="{BROKEN}"}}',
                group_labels={"alertname": BROKEN},
                firing=() if result.is_well else (alert,),
                resolved=(alert,) if result.is_well else (),
                made_at=self._clock(),
                external_url=self._deliverer.settings.external_url,
            )
        )

    def _hear(self, notification: Notification, delivery: Delivery) -> None:
        for alert in notification.alerts:
            if id := alert.labels.get(CHECK_LABEL):
                with self._arrived:
                    self._heard.setdefault(id, (notification, delivery))
                    self._arrived.notify_all()

    def _wait(self, id: str, seconds: float) -> tuple[Notification, Delivery] | None:
        with self._arrived:
            self._arrived.wait_for(lambda: id in self._heard or self._closing.is_set(), seconds)
            heard = self._heard.pop(id, None)
            self._heard.clear()  # of those that came too late
            return heard

    def _straight(self, alert: Alert) -> None:
        self._deliverer.submit(self._notification(alert))

    def _notification(self, alert: Alert) -> Notification:
        settings = self._deliverer.settings
        id = alert.labels[CHECK_LABEL]
        group = {CHECK_LABEL: id}
        return Notification(
            key=f"path-check-{id}",
            receiver=settings.test_receiver,
            group_key=f'{{}}:{{{CHECK_LABEL}="{id}"}}',
            group_labels=group,
            firing=(alert,),
            resolved=(),
            made_at=self._clock(),
            external_url=settings.external_url,
        )

    def _run(self) -> None:
        while not self._closing.wait(self._deliverer.settings.test_interval_seconds):
            if self.is_here():
                self.check()


def synthetic(now: datetime, id: str) -> Alert:
    """An alert that only proves the path; it ends by itself."""
    labels = {"alertname": CHECK, "severity": "info", CHECK_LABEL: id}
    notes = {"summary": "Nothing is wrong; this proves the path"}
    return Alert(labels, notes, starts_at=now, ends_at=now + ENDS_AFTER)
