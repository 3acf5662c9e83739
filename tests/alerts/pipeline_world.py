"""A pipeline over a real control store with a clock that is turned and a receiver that keeps what it is told."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from argon2.profiles import CHEAPEST

from tocsin.alerts.config import read_alert_config
from tocsin.alerts.dispatch import Pipeline
from tocsin.alerts.settings import AlertSettings
from tocsin.model.alert import Alert
from tocsin.model.notification import Notification, Outcome, Receipt
from tocsin.storage.control import ControlStore
from tocsin.storage.control.passwords import Passwords

START = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
PLAIN = """
route:
  receiver: team
  group_by: [alertname]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 4h
receivers:
  - name: team
    webhook_configs: [{url: 'http://127.0.0.1:1/'}]
"""
CALM = AlertSettings(storm_same_count=0, storm_total_count=0)


class AtOnce(Executor):
    """Runs what it is given before it returns."""

    def submit(self, fn: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*given, **named))
        return done


@dataclass
class World:
    folder: Path
    text: str = PLAIN
    settings: AlertSettings = CALM
    now: datetime = START
    told: list[Notification] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)  # of the next deliveries; SENT when there is none
    is_dead: bool = False  # the process ends before anything is handed over

    def __post_init__(self) -> None:
        quick = Passwords(CHEAPEST)
        url = f"sqlite:///{self.folder}/control.db"
        self.control = ControlStore.open(url, passwords=quick, clock=lambda: self.now)
        self.restart()

    def restart(self) -> None:
        """As after a kill: nothing but the store is left."""
        self.pipeline = Pipeline(
            self.control,
            read_alert_config(self.text),
            self.settings,
            self.deliver,
            clock=lambda: self.now,
            executor=AtOnce(),
        )
        if not self.is_dead:
            self.pipeline._tell_pending()

    def deliver(self, notification: Notification) -> Receipt:
        if self.is_dead:
            raise SystemExit("killed")
        outcome = self.outcomes.pop(0) if self.outcomes else Outcome.SENT
        if outcome is Outcome.SENT:
            self.told.append(notification)
        return Receipt(outcome, self.now, "" if outcome is Outcome.SENT else "the receiver answers 503")

    def fire(self, name: str, *, since: float = 0, ends: datetime | None = None, **labels: str) -> Alert:
        alert = Alert({"alertname": name, **labels}, {}, starts_at=self.now - timedelta(seconds=since), ends_at=ends)
        self.pipeline.accept([alert])
        return alert

    def resolve(self, alert: Alert) -> None:
        self.pipeline.accept([Alert(alert.labels, alert.annotations, starts_at=alert.starts_at, ends_at=self.now)])

    def turn(self, seconds: float, refresh: tuple[Alert, ...] = ()) -> list[Notification]:
        """Time goes on, looked at every second; what was told meanwhile. refresh: alerts that go on firing."""
        before = len(self.told)
        for second in range(int(seconds)):
            self.now += timedelta(seconds=1)
            if refresh and second % 60 == 0:
                self.pipeline.accept(refresh)
            self.pipeline.tick()
        return self.told[before:]


def names(notification: Notification) -> list[str]:
    return [alert.name for alert in notification.firing]
