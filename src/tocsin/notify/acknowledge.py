"""Acknowledgements in both directions: what people say at a provider is heard, what they say here is told there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tocsin.model.clock import Clock, utc_now
from tocsin.model.delivery import Acknowledgement, Declaration, Delivery, Release, Room
from tocsin.model.notification_plain import notification_of
from tocsin.notify.contract import DeliveryError, Message, ProviderEvent, channels
from tocsin.notify.deliver import Deliverer
from tocsin.notify.receivers import Integration
from tocsin.notify.render import text_of

log = structlog.get_logger("tocsin.notify")

POLL_SECONDS = 10.0
ASKED_FOR = timedelta(hours=3)  # Pushover's longest expiry

OnAcknowledgement = Callable[[Acknowledgement], None]
OnRelease = Callable[[Release], None]


class Acknowledgements:
    """Asks the providers that tell who acknowledged; `listeners` hear of each acknowledgement once."""

    def __init__(self, deliverer: Deliverer, clock: Clock = utc_now) -> None:
        self._deliverer = deliverer
        self._clock = clock
        self._closing = threading.Event()
        self._telling = ThreadPoolExecutor(2, "tocsin-acknowledge")
        self.listeners: list[OnAcknowledgement] = []
        self.on_release: OnRelease = lambda release: None
        self.on_resolve: OnRelease = lambda release: None
        self.on_declare: Callable[[Declaration], None] = lambda declaration: None
        self.on_room: Callable[[str, Room], None] = lambda group_key, room: None

    def start(self) -> None:
        threading.Thread(target=self._run, name="tocsin-acknowledged", daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        self._telling.shutdown(wait=True, cancel_futures=True)

    def ask(self) -> None:
        """One round: every delivery that somebody may have acknowledged meanwhile."""
        asking = [name for name, channel in channels().items() if hasattr(channel, "acknowledged")]
        for delivery in self._deliverer.deliveries.unacknowledged(asking, self._clock() - ASKED_FOR):
            if integration := self._usable(delivery):
                self._ask_one(delivery, integration)

    def heard(self, channel: str, key: str, by: str) -> bool:
        """Somebody acknowledged this notification at a provider that says so by itself; whether that is news."""
        told = [one for one in self._deliverer.deliveries.of_key(key) if one.channel == channel]
        news = [one for one in told if self._keep(one, by, self._clock())]
        return bool(news)

    def resolved(self, channel: str, key: str, by: str) -> bool:
        """Somebody ended, where they were told, what this notification told of; whether there is one."""
        if not self._deliverer.deliveries.of_key(key):
            return False
        self.on_resolve(Release(key, channel, by, is_closed=True))
        return True

    def declared(self, channel: str, key: str, by: str, user: str) -> bool:
        """Somebody said, where they were told, that it is an incident; whether there is such a notification."""
        if not self._deliverer.deliveries.of_key(key):
            return False
        self.on_declare(Declaration(key, channel, by, user))
        return True

    def gather_soon(self, group_key: str, user: str = "") -> None:
        """Makes a place for people to gather, without waiting for it; `on_room` hears of it."""
        if not self._closing.is_set():
            self._telling.submit(self._gather, group_key, user)

    def room_for(self, group_key: str, user: str = "") -> Room | None:
        """The place, made by the first channel that told this group and can; None where none can.

        Call it from a thread of its own: it waits for the providers.
        """
        found = None
        for delivery in self._deliverer.deliveries.open_of(group_key):
            integration = self._usable(delivery)
            open_room = getattr(channels().get(delivery.channel), "open_room", None)
            if integration is None or open_room is None:
                continue
            message = replace(self._message(delivery, integration), reference=delivery.reference)
            try:
                found = open_room(integration.settings, message, user) or found
            except DeliveryError as error:
                log.warning("notify.room_not_made", channel=delivery.channel, reason=error.reason)
                found = Room(delivery.channel, "", problem=f"no channel could be made: {error.reason}")
            if found is not None and found.name:
                return found
        return found

    def _gather(self, group_key: str, user: str) -> None:
        if room := self.room_for(group_key, user):
            self.on_room(group_key, room)

    def took(self, channel: str, event: ProviderEvent) -> str:
        """What a provider says by itself of one group: the key of the notification it is about, '' when that is no
        news."""
        told = self._deliverer.deliveries.of_reference(channel, event.reference)
        if told is None:
            return ""
        if event.what == "acknowledged":
            return told.key if self.heard(channel, told.key, event.by) else ""
        for one in self._deliverer.deliveries.of_key(told.key):
            self._deliverer.deliveries.release(one.id)
        self.on_release(Release(told.key, channel, event.by, is_closed=event.what == "closed"))
        return told.key

    def _keep(self, delivery: Delivery, by: str, at: datetime) -> bool:
        """Notes it and tells the listeners, unless it was known."""
        if not self._deliverer.deliveries.acknowledge(delivery.id, by, at):
            return False
        told = Acknowledgement(delivery.key, delivery.group_key, delivery.receiver, delivery.channel, by, at)
        for listener in self.listeners:
            listener(told)
        return True

    def tell_soon(self, group_key: str) -> None:
        """The same as `tell`, without waiting for it."""
        if not self._closing.is_set():
            self._telling.submit(self.tell, group_key)

    def tell(self, group_key: str) -> Sequence[str]:
        """Says at each provider where this group is open that somebody here has seen it; what did not work, in words.

        Call it from a thread of its own: it waits for the providers.
        """
        faults = []
        for delivery in self._deliverer.deliveries.open_of(group_key):
            integration = self._usable(delivery)
            acknowledge = getattr(channels().get(delivery.channel), "acknowledge", None)
            if integration is None or acknowledge is None:
                continue
            try:
                acknowledge(integration.settings, self._message(delivery, integration))
            except DeliveryError as error:
                faults.append(f"{delivery.channel} of {delivery.receiver}: {error.reason}")
                log.warning("notify.acknowledgement_not_told", channel=delivery.channel, reason=error.reason)
        return faults

    def _ask_one(self, delivery: Delivery, integration: Integration) -> None:
        acknowledged = channels()[integration.channel].acknowledged  # type: ignore[attr-defined]  # chosen for having it
        try:
            found = acknowledged(integration.settings, delivery.reference, self._message(delivery, integration))
        except DeliveryError as error:
            log.info("notify.acknowledgement_unknown", channel=delivery.channel, reason=error.reason)
            return
        if found is not None:
            self._keep(delivery, found.by, found.at)

    def _usable(self, delivery: Delivery) -> Integration | None:
        found = self._deliverer.receivers.integration_of(delivery)
        return found if found is not None and not found.problem else None

    def _message(self, delivery: Delivery, integration: Integration) -> Message:
        notification = notification_of(delivery.notification)
        return Message(notification, text_of(notification), delivery.key, access=integration.access)

    def _run(self) -> None:
        while not self._closing.wait(POLL_SECONDS):
            try:
                self.ask()
            except SQLAlchemyError as error:
                log.warning("notify.poll_failed", error=str(error))
