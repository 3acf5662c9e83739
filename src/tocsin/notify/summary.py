"""Tells a receiver regularly how the product is, whether or not anything fires: the health summary.

A summary is a delivery by the day it is for (`summary/2026-11-22`) before it is a message, so that it goes out once,
whichever of several servers tells and however often they are restarted. One that was missed is told late.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tocsin.model.alert import Alert
from tocsin.model.clock import Clock, utc_now
from tocsin.model.delivery import Delivery
from tocsin.model.notification import Notification, Report
from tocsin.model.time_interval import TimeInterval
from tocsin.model.window import Window
from tocsin.notify.deliver import Deliverer
from tocsin.notify.trial import BY_HAND
from tocsin.storage.telemetry.engine import EngineError

log = structlog.get_logger("tocsin.notify")

LOOK_SECONDS = 20.0
LATE = timedelta(hours=6)
"""A summary that nobody could send until then is left out: the next one says more."""
DAY = timedelta(days=1)
NAME = "HealthSummary"

Compose = Callable[[Window], Report]
"""How the product was in a time. Raises EngineError or SQLAlchemyError when a store does not answer."""


class Summaries:
    """Sends what `compose` says at the times of [notify], and by hand."""

    def __init__(self, deliverer: Deliverer, compose: Compose, clock: Clock = utc_now) -> None:
        self._deliverer = deliverer
        self._compose = compose
        self._clock = clock
        self.is_here: Callable[[], bool] = lambda: True  # False: another server tells
        self._told = ""  # the key of the last one, for a receiver that has no channel and so no delivery
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def receiver(self) -> str:
        """'' when no summary is sent by itself."""
        return self._deliverer.settings.summary_receiver

    def start(self) -> None:
        """Look now and again whether one is due, unless nobody is to be told."""
        if self.receiver:
            self._thread = threading.Thread(target=self._run, name="tocsin-summary", daemon=True)
            self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread is not None:
            self._thread.join(10.0)

    def next_at(self) -> datetime:
        """When the next one is due."""
        return next(_moments(self._times, self._clock(), DAY))

    def last(self) -> list[Delivery]:
        """What became of the one that was due last, by channel; empty when it was not sent."""
        due = next(_moments(self._times, self._clock(), -DAY))
        return self._deliverer.deliveries.of_key(_key(due, self._times))

    def tick(self) -> Notification | None:
        """Sends the summary that is due, if one is and nobody was told it."""
        now = self._clock()
        due, before = _last_two(self._times, now)
        key = _key(due, self._times)
        if not self.receiver or not self.is_here() or now - due > LATE or key == self._told:
            return None
        if self._deliverer.deliveries.of_key(key):
            self._told = key
            return None
        made = self._made(key, self.receiver, due - before)
        self._deliverer.submit(made)
        self._told = key
        return made

    def by_hand(self, receiver: str) -> Notification:
        """One of the last day for this receiver, to be delivered: each time another one."""
        return self._made(f"{BY_HAND}summary-{secrets.token_hex(8)}", receiver, DAY)

    @property
    def _times(self) -> TimeInterval:
        return self._deliverer.settings.summary_times

    def _made(self, key: str, receiver: str, length: timedelta) -> Notification:
        now = self._clock()
        report = self._compose(Window.last(length.total_seconds(), int(now.timestamp()) * 10**9))
        labels = {"alertname": NAME, "severity": "info", "message_id": key}
        description = "\n".join(f"{heading}: {words}" for heading, words in report.facts)
        alert = Alert(
            labels, {"summary": f"{report.title} {report.summary}", "description": description}, starts_at=now
        )
        return Notification(
            key=key,
            receiver=receiver,
            group_key=f'{{}}:{{message_id="{key}"}}',
            group_labels={"alertname": NAME},
            firing=(alert,),
            resolved=(),
            made_at=now,
            external_url=self._deliverer.settings.external_url,
            report=report,
        )

    def _run(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            try:
                self.tick()
            except (EngineError, SQLAlchemyError) as error:
                log.warning("notify.summary_waits", error=str(error))


def _key(due: datetime, times: TimeInterval) -> str:
    return f"summary/{due.astimezone(times.location):%Y-%m-%d}"


def _last_two(times: TimeInterval, now: datetime) -> tuple[datetime, datetime]:
    """When the last summary was due, and the one before it."""
    due = _moments(times, now, -DAY)
    return next(due), next(due)


def _moments(times: TimeInterval, now: datetime, step: timedelta) -> Iterator[datetime]:
    """The times at which a summary is due: after now, or until now and back from there for a step below 0."""
    minute = times.minutes[0][0]
    day = now.astimezone(times.location).date()
    while True:
        due = datetime.combine(day, time(minute // 60, minute % 60), times.location)
        if times.contains(due) and (due > now) == (step > timedelta(0)):
            yield due.astimezone(UTC)  # of two times in one zone Python subtracts what clocks show
        day += step
