"""Alertmanagers outside that are told what rules say, for who keeps routes and people there.

Enters: alerts after each evaluation. Leaves: POST /api/v2/alerts at every one of them, since members of a cluster do
not tell each other alerts.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import structlog

from tocsin.collect.scrape_config import Access
from tocsin.detect.rules import counters
from tocsin.detect.settings import RuleSettings
from tocsin.model.alert import Alert
from tocsin.notify.channels.alertmanager import as_postable
from tocsin.notify.contract import DeliveryError
from tocsin.notify.http import ask, host_of

log = structlog.get_logger("tocsin.rules")

MOST_WAITING = 10_000
BATCH = 256
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 30.0

OPEN = Access()


def access_of(settings: RuleSettings) -> Access:
    """How they let us in."""
    files = {
        "ca_file": settings.alertmanager_ca_file, "cert_file": settings.alertmanager_cert_file,
        "key_file": settings.alertmanager_key_file,
    }  # fmt: skip
    return Access(
        username=settings.alertmanager_username,
        password=settings.alertmanager_password,
        authorization="Bearer" if settings.alertmanager_token else "",
        credentials=settings.alertmanager_token,
        tls={name: path for name, path in files.items() if path},
    )


class Alertmanagers:
    """All of them. None needs a thread while there is none."""

    def __init__(self, urls: Sequence[str], access: Access = OPEN) -> None:
        self.members = [Member(url, access) for url in urls]

    def tell(self, alerts: Sequence[Alert]) -> None:
        """Returns at once. Each alert has an end: its own, or that until which it counts as firing."""
        for member in self.members if alerts else ():
            member.tell(alerts)

    @property
    def problems(self) -> list[str]:
        """Of the last try, one sentence an Alertmanager."""
        return [member.problem for member in self.members if member.problem]

    def close(self) -> None:
        """What waits is tried once more."""
        for member in self.members:
            member.close()


@dataclass(frozen=True, slots=True)
class _Asking:
    access: Access
    timeout_seconds: float = 10.0


class Member:
    """One Alertmanager with a thread of its own: one that hangs keeps neither rules nor the others waiting.

    Of each alert only the newest word waits, so that one that was away hears what is, not what was.
    """

    def __init__(self, url: str, access: Access) -> None:
        self.url = f"{url.rstrip('/')}/api/v2/alerts"
        self.problem = ""
        self._name = host_of(url)
        self._asking = _Asking(access)
        self._waiting: dict[str, Alert] = {}
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="tocsin-alertmanager", daemon=True)
        self._thread.start()

    def tell(self, alerts: Sequence[Alert]) -> None:
        with self._changed:
            for alert in alerts:
                self._waiting.pop(alert.fingerprint, None)  # its place is behind what has waited longer
                self._waiting[alert.fingerprint] = alert
            self._drop_oldest()
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join()

    def _drop_oldest(self) -> None:
        too_many = len(self._waiting) - MOST_WAITING
        for key in list(islice(self._waiting, max(0, too_many))):
            del self._waiting[key]
            counters.outside_dropped.labels(self._name).inc()

    def _run(self) -> None:
        wait_seconds = FIRST_WAIT_SECONDS
        while batch := self._next():
            try:
                said = [as_postable(alert, alert.ends_at) for alert in batch if alert.ends_at is not None]
                ask(self._asking, "POST", self.url, json=said)
            except DeliveryError as error:
                self._note(error, len(batch))
                if error.retryable:
                    self._put_back(batch)
                    if self._is_closing_within(max(wait_seconds, error.retry_after_seconds or 0.0)):
                        return
                    wait_seconds = min(2 * wait_seconds, LONGEST_WAIT_SECONDS)
                else:
                    counters.outside_dropped.labels(self._name).inc(len(batch))
            else:
                self.problem, wait_seconds = "", FIRST_WAIT_SECONDS
                counters.outside_told.labels(self._name).inc(len(batch))

    def _next(self) -> list[Alert]:
        """What has waited longest, as much as one request carries; empty when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            keys = list(islice(self._waiting, BATCH))
            return [self._waiting.pop(key) for key in keys]

    def _put_back(self, batch: Sequence[Alert]) -> None:
        with self._changed:
            # What was said of them meanwhile is newer.
            self._waiting = {alert.fingerprint: alert for alert in batch} | self._waiting
            self._drop_oldest()

    def _note(self, error: DeliveryError, count: int) -> None:
        counters.outside_errors.labels(self._name).inc()
        if not self.problem:
            log.warning("rules.alertmanager_not_told", alertmanager=self._name, alerts=count, reason=error.reason)
        again = "it is tried again" if error.retryable else "see what it says of them"
        alerts = "an alert" if count == 1 else f"{count} alerts"
        self.problem = f"cannot tell Alertmanager {self._name} of {alerts}: {error.reason}; {again}"

    def _is_closing_within(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._is_closing, seconds)
