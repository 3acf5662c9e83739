"""Delivery: every notification reaches each channel of its receiver once, however often that has to be tried.

A delivery is a row before it is a message. Each channel of each receiver has a queue and, while there is something in
it, a thread of its own: one that hangs holds up nobody else, and what is told to one stays in order. What waits when
the server stops is resumed at the next start.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tocsin.model.clock import Clock, utc_now
from tocsin.model.delivery import Delivery
from tocsin.model.notification import Notification, Outcome, Receipt
from tocsin.model.notification_plain import notification_of
from tocsin.model.severity import Severity
from tocsin.notify import counters
from tocsin.notify.chart import Draw
from tocsin.notify.contract import DeliveryError, Message, Pace, channels
from tocsin.notify.pace import Bucket
from tocsin.notify.receivers import Integration, Receiver, Receivers
from tocsin.notify.render import text_of
from tocsin.notify.settings import NotifySettings
from tocsin.notify.template import Templates
from tocsin.notify.wording import has_templates, worded
from tocsin.storage.control.deliveries import Deliveries
from tocsin.storage.control.push import Push

log = structlog.get_logger("tocsin.notify")

FALLBACK = "fallback of "

Told = Callable[[Notification, Delivery], None]
"""Called when a delivery has ended, sent or failed."""


@dataclass(slots=True)
class _Work:
    """A delivery in a queue."""

    delivery: Delivery
    notification: Notification
    integration: Integration
    since: float
    done: threading.Event = field(default_factory=threading.Event)
    failures: int = 0


@dataclass(slots=True)
class _Lane:
    """The queue of one channel of one receiver."""

    bucket: Bucket
    waiting: deque[_Work] = field(default_factory=deque)
    is_running: bool = False


class Deliverer:
    """Call it from any thread. `told` hears of every delivery that ended.

    clock and monotonic tell the time, `wait` waits (True: stop), so that tests can turn them.
    """

    def __init__(
        self,
        log_of: Deliveries,
        receivers: Receivers,
        settings: NotifySettings,
        *,
        told: Told | None = None,
        templates: Templates | None = None,
        draw: Draw | None = None,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.deliveries = log_of
        self.receivers = receivers
        self.settings = settings
        self.listeners: list[Told] = [told] if told else []
        self.templates = templates or Templates()
        self.template_faults: dict[tuple[str, str], str] = {}  # of the last message of each channel, by its place
        self.draw = draw
        self.push: Push | None = None  # the browsers that asked to be told
        self.may_send: Callable[[Notification], bool] = lambda notification: True  # False: another server tells it
        self._clock = clock
        self._monotonic = monotonic
        self._closing = threading.Event()
        self._wait = wait or self._closing.wait
        self._lock = threading.Lock()
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._works: dict[int, _Work] = {}

    def start(self) -> None:
        """Resume what was waiting when the server stopped, and is not being tried already."""
        for delivery in self.deliveries.waiting():
            if delivery.id not in self._works and self.may_send(notification_of(delivery.notification)):
                self._resume(delivery)

    def close(self, patience_seconds: float = 5.0) -> None:
        """Stop after the attempts that are under way; what is not told stays in the store."""
        self._closing.set()
        until = time.monotonic() + patience_seconds
        while time.monotonic() < until and any(lane.is_running for lane in self._lanes.values()):
            time.sleep(0.02)

    def submit(self, notification: Notification) -> Receipt:
        """Put it in the queues of its receiver and return at once: RETRYING until told, SENT when it was before."""
        return self._receipt(notification, self._begin(notification))

    def deliver(self, notification: Notification, wait_seconds: float = 5.0) -> Receipt:
        """The same, and wait for the outcome up to `wait_seconds`. The same key is never told twice."""
        works = self._begin(notification)
        until = time.monotonic() + wait_seconds
        for work in works:
            work.done.wait(max(0.0, until - time.monotonic()))
        return self._receipt(notification, works)

    def replay(self, id: int) -> Delivery:
        """Try a failed delivery once more. Raises NotFound."""
        delivery = self.deliveries.reopen(id)
        self._resume(delivery)
        return delivery

    def notes(self) -> list[str]:
        """What of the configuration is not carried out or leads nowhere."""
        found = [*self.receivers.notes, *self.template_faults.values()]
        for setting in ("fallback", "test_receiver", "summary_receiver"):
            name = getattr(self.settings, setting)
            receiver = self.receivers.by_name.get(name)
            if name and receiver is None:
                found.append(f"notify.{setting} names {name!r}, which is no receiver")
            elif receiver is not None:
                broken = [one.problem for one in receiver.integrations if one.problem]
                found += [f"notify.{setting} is {name!r}, which cannot be used: {problem}" for problem in broken]
        return found

    def waiting(self) -> int:
        return len(self._works)

    def _begin(self, notification: Notification) -> list[_Work]:
        receiver = self._receiver(notification)
        concerned = [one for one in receiver.integrations if notification.firing or one.send_resolved]
        return [self._enqueue(notification, receiver.name, one) for one in concerned]

    def _receiver(self, notification: Notification) -> Receiver:
        """Whom it is for; one that nobody knows is a channel that cannot be used, so it is logged and falls back."""
        found = self.receivers.by_name.get(notification.receiver)
        if found is not None:
            return found
        problem = f"there is no receiver {notification.receiver!r}; define it or change the route"
        return Receiver(notification.receiver, (Integration("none[0]", "none", problem=problem),))

    def _enqueue(self, notification: Notification, receiver: str, integration: Integration) -> _Work:
        told = notification if integration.send_resolved else replace(notification, resolved=())
        title = text_of(told).title
        delivery = self.deliveries.begin(told, receiver, integration.id, integration.channel, title)
        return self._queue(delivery, told, integration)

    def _resume(self, delivery: Delivery) -> None:
        integration = self.receivers.integration_of(delivery)
        gone = "the receiver has no such channel any more"
        self._queue(
            delivery,
            notification_of(delivery.notification),
            integration or Integration(delivery.integration, delivery.channel, problem=gone),
        )

    def _queue(self, delivery: Delivery, notification: Notification, integration: Integration) -> _Work:
        with self._lock:
            if delivery.id in self._works:
                return self._works[delivery.id]
            work = _Work(delivery, notification, integration, self._monotonic())
            if delivery.outcome != Outcome.RETRYING:
                work.done.set()
                return work
            self._works[delivery.id] = work
            counters.waiting.set(len(self._works))
            lane = self._lane(delivery, integration)
            lane.waiting.append(work)
            if not lane.is_running and not self._closing.is_set():
                lane.is_running = True
                name = f"tocsin-notify-{delivery.receiver}-{integration.id}"
                threading.Thread(target=self._run, args=(lane,), name=name, daemon=True).start()
            return work

    def _lane(self, delivery: Delivery, integration: Integration) -> _Lane:
        key = (delivery.receiver, integration.id)
        if key not in self._lanes:
            channel = channels().get(integration.channel)
            self._lanes[key] = _Lane(Bucket(channel.PACE if channel else Pace(0), self._monotonic))
        return self._lanes[key]

    def _run(self, lane: _Lane) -> None:
        while True:
            with self._lock:
                if not lane.waiting or self._closing.is_set():
                    lane.is_running = False
                    return
                work = lane.waiting.popleft()
            try:
                self._tell(work, lane)
            except SQLAlchemyError as error:
                log.error("notify.log_unavailable", delivery=work.delivery.id, error=str(error))
                with self._lock:
                    lane.waiting.appendleft(work)
                self._wait(self.settings.first_wait_seconds)
            except Exception:
                log.exception("notify.channel_failed", channel=work.integration.channel, delivery=work.delivery.id)
                work.delivery = self.deliveries.give_up(
                    work.delivery.id, "the channel broke; the server's log says how"
                )
                self._ended(work)

    def _tell(self, work: _Work, lane: _Lane) -> None:
        """Tries until it is told or has failed; leaves it in the store when the server stops meanwhile."""
        while True:
            if self._wait(lane.bucket.take()):
                return
            # The row decides, not what was read when this was queued: another call may have told it meanwhile.
            work.delivery = self.deliveries.get(work.delivery.id)
            # Where another server tells meanwhile, it finds this in the store.
            if work.delivery.outcome != Outcome.RETRYING or not self.may_send(work.notification):
                self._forget(work)
                return
            wait = self._attempt(work)
            if wait is None:
                self._ended(work)
                return
            if self._wait(wait):
                return

    def _attempt(self, work: _Work) -> float | None:
        """One try; the seconds to wait before the next, None when the delivery has ended."""
        began = self._monotonic()
        wait = None
        try:
            receipt = self._send(work)
        except DeliveryError as error:
            wait = self._next_wait(work, error)
            outcome = Outcome.FAILED if wait is None else Outcome.RETRYING
            receipt = Receipt(outcome, self._clock(), reason=error.reason)
        seconds = self._monotonic() - began
        self._note(work, receipt, seconds)
        channel = work.integration.channel
        counters.notifications.labels(channel, receipt.outcome.value).inc()
        counters.duration.labels(channel).observe(seconds)
        return wait

    def _note(self, work: _Work, receipt: Receipt, seconds: float) -> None:
        """Keeps the outcome, however long the store takes: what was sent and not noted would be sent again."""
        while True:
            try:
                work.delivery = self.deliveries.note(
                    work.delivery.id,
                    receipt.outcome,
                    reason=receipt.reason,
                    reference=receipt.reference,
                    at=receipt.at,
                    seconds=seconds,
                )
            except SQLAlchemyError as error:
                log.error("notify.log_unavailable", delivery=work.delivery.id, error=str(error))
                if self._wait(self.settings.first_wait_seconds):
                    raise
            else:
                return

    def _send(self, work: _Work) -> Receipt:
        integration = work.integration
        notification = work.notification
        if not notification.external_url:
            notification = replace(notification, external_url=self.settings.external_url)
        channel = channels().get(integration.channel)
        if integration.problem or channel is None:
            raise DeliveryError(integration.problem or "there is no such channel", retryable=False)
        message = Message(
            notification=notification,
            text=text_of(notification),
            key=notification.key,
            reference=self.deliveries.open_reference(notification.group_key, work.delivery.receiver, integration.id),
            access=integration.access,
            timeout_seconds=getattr(integration.settings, "timeout", None) or self.settings.timeout_seconds,
            draw=self.draw,
            push=self.push,
            now=self._clock(),
        )
        return channel.send(self._settings_for(work, notification), message)

    def _settings_for(self, work: _Work, notification: Notification) -> Any:
        """The channel's settings with their templates filled."""
        settings, place = work.integration.settings, (work.delivery.receiver, work.integration.id)
        if not has_templates(settings):
            return settings
        receiver, expand = notification.receiver, self.templates.expand
        filled, failed = worded(settings, lambda text, is_html: expand(text, notification, receiver, is_html))
        self.template_faults.pop(place, None)
        for name, error in failed.items():
            counters.templates_failed.labels(work.integration.channel).inc()
            log.warning("notify.template_failed", receiver=place[0], integration=place[1], field=name, error=error)
            said = f"cannot fill {name} of receiver {place[0]!r}, {place[1]}: {error}; our own words are told instead"
            self.template_faults[place] = said
        return filled

    def _next_wait(self, work: _Work, error: DeliveryError) -> float | None:
        """Exponential with full jitter, never before the provider's own Retry-After; None gives up."""
        if not error.retryable:
            return None
        settings = self.settings
        is_urgent = work.notification.severity <= Severity.P1 and bool(work.notification.firing)
        patience = settings.urgent_give_up_seconds if is_urgent else settings.give_up_seconds
        longest = min(settings.first_wait_seconds * 2**work.failures, settings.longest_wait_seconds)
        work.failures += 1
        wait = max(longest * (0.5 + random.random() / 2), error.retry_after_seconds or 0.0)
        return None if self._monotonic() + wait - work.since > patience else wait

    def _ended(self, work: _Work) -> None:
        delivery = work.delivery
        write = log.info if delivery.outcome == Outcome.SENT else log.warning
        write(
            f"notify.{delivery.outcome}",
            receiver=delivery.receiver,
            channel=delivery.channel,
            key=delivery.key,
            attempts=delivery.attempts,
            reason=delivery.reason,
        )
        for listener in self.listeners:
            listener(work.notification, delivery)
        if delivery.outcome == Outcome.FAILED:
            self._fall_back(work)
        self._forget(work)

    def _forget(self, work: _Work) -> None:
        with self._lock:
            self._works.pop(work.delivery.id, None)
            counters.waiting.set(len(self._works))
        work.done.set()

    def _fall_back(self, work: _Work) -> None:
        """Tell the fallback receiver instead, once; its own failures end there."""
        name = self.settings.fallback
        fallback = self.receivers.by_name.get(name)
        is_one = work.notification.receiver == name or work.notification.cause.startswith(FALLBACK)
        if fallback is None or is_one:
            return
        cause = (
            f"{FALLBACK}{work.delivery.receiver}: {work.delivery.channel} could not be told ({work.delivery.reason})"
        )
        cause += f". {work.notification.cause}" if work.notification.cause else ""
        self._begin(replace(work.notification, receiver=name, cause=cause))

    def _receipt(self, notification: Notification, works: list[_Work]) -> Receipt:
        """One receipt for all channels: failed when one failed, else waiting when one waits."""
        found = [work.delivery for work in works]
        if not found:
            return Receipt(Outcome.SENT, self._clock(), reason="the receiver has no channel that is told this")
        for outcome in (Outcome.FAILED, Outcome.RETRYING):
            of_it = [one for one in found if one.outcome == outcome]
            if of_it:
                reason = "; ".join(f"{one.channel}: {one.reason or 'waiting'}" for one in of_it)
                return Receipt(outcome, of_it[0].changed_at, reason, of_it[0].reference)
        return Receipt(Outcome.SENT, found[0].changed_at, found[0].reason, found[0].reference)
