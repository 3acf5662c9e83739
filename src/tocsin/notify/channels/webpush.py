"""Web push: the browsers that users switched it on in, on a phone or a desktop, without anybody's app.

Each user is told what they may see: a tenant viewer of their tenants' alerts only, by the role they have at that time.
Source: RFC 8030 (TTL, urgency, topic; 404 and 410 end a subscription); RFC 8291 (push_encryption.py), 8292 (vapid.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import orjson
import structlog

from tocsin.collect.scrape_config import Access
from tocsin.model.access import Role
from tocsin.model.notification import Notification, Receipt
from tocsin.model.push import PushSubscription
from tocsin.model.settings import setting
from tocsin.model.severity import Severity
from tocsin.notify.contract import DeliveryError, Message, Pace
from tocsin.notify.http import ask
from tocsin.notify.push_encryption import base64_of, encrypt
from tocsin.notify.push_endpoint import address_of
from tocsin.notify.render import Text, cut_bytes, text_of
from tocsin.notify.vapid import authorization, new_private_key

log = structlog.get_logger("tocsin.notify")

PACE = Pace(0.2, burst=30)
URGENCY = ("high", "high", "normal", "low", "very-low")  # of P0 to P4: which of them wake a phone that sleeps
TTL_SECONDS = (86_400, 86_400, 43_200, 14_400, 3600)  # how long a push service keeps it for a browser that is off
GONE = frozenset({404, 410})
AT_ONCE = 8
TITLE_BYTES, BODY_BYTES, PATH_CHARS, ACKNOWLEDGED = 400, 1100, 300, 10  # with JSON's escapes within a push message


@dataclass(frozen=True)
class Settings:
    """Who is behind this server, for the push services, and whose browsers are told."""

    contact: str = setting("", help="Whom a push service may write to: mailto:oncall@acme.example or an https address.")
    users: tuple[str, ...] = setting((), help="E-mail addresses of the users who are told; empty: all who asked to be.")
    allow_private: bool = setting(
        False, help="Write also to http and to private addresses: for tests and a push service of one's own."
    )

    @property
    def lacks(self) -> str:
        return "" if self.contact.startswith(("mailto:", "https://")) else "contact (mailto:… or https://…)"


@dataclass(slots=True)
class _Tally:
    """What became of one try at all browsers."""

    told: int = 0
    gone: int = 0
    refused: list[DeliveryError] = field(default_factory=list)
    later: list[DeliveryError] = field(default_factory=list)


def send(settings: Settings, message: Message) -> Receipt:
    book = message.push
    if book is None:
        raise DeliveryError("there is no list of browsers here", retryable=False)
    meant = list(meant_for(settings, message.notification, book.able()))
    if not meant:
        raise DeliveryError(
            "nobody who may see it has switched notifications on; do so under Settings, My browsers", retryable=False
        )
    had = book.told(message.key)
    private_key = book.signing_key(new_private_key)
    tally = _Tally(told=sum(one.id in had for one, _ in meant))
    with ThreadPoolExecutor(AT_ONCE, "tocsin-push") as pool:
        tries = {
            pool.submit(tell, settings, message, one, seen, private_key): one
            for one, seen in meant
            if one.id not in had
        }
        for done in as_completed(tries):
            _note(message, tries[done].id, done.exception(), tally)
    return message.sent(reason=_judged(tally, len(meant)))


def meant_for(
    settings: Settings, notification: Notification, browsers: Sequence[PushSubscription]
) -> Iterator[tuple[PushSubscription, Notification]]:
    """Who is told, and the part of the notification that they may see."""
    wanted = {one.strip().lower() for one in settings.users}
    for browser in browsers:
        if wanted and browser.user.name not in wanted:
            continue
        scope = browser.user.scope
        if scope.is_platform:
            yield browser, notification
            continue
        firing = tuple(one for one in notification.firing if scope.allows(one.tenant))
        resolved = tuple(one for one in notification.resolved if scope.allows(one.tenant))
        if firing or resolved:
            # The cause and the count of a storm's other alerts may be of others.
            yield browser, replace(notification, firing=firing, resolved=resolved, cause="", held_back=0)


def tell(settings: Settings, message: Message, to: PushSubscription, seen: Notification, private_key: str) -> None:
    """One browser, now. Raises DeliveryError."""
    endpoint = to.address.endpoint
    address = address_of(endpoint, settings.allow_private)
    text = text_of(seen)
    try:
        body = encrypt(orjson.dumps(payload(seen, text, to.user.has(Role.OPERATOR))), to.address)
    except ValueError as error:
        raise DeliveryError(f"cannot encrypt for this browser: {error}", retryable=False) from error
    headers = {
        "authorization": authorization(private_key, endpoint, settings.contact, message.now),
        "content-encoding": "aes128gcm",
        "content-type": "application/octet-stream",
        "ttl": str(TTL_SECONDS[text.severity]),
        "urgency": URGENCY[text.severity] if text.is_firing else URGENCY[max(text.severity, Severity.P2)],
        "topic": topic_of(seen),
    }
    # Credentials of the receiver's http_config are for no host that a browser names.
    ask(replace(message, access=Access()), "POST", endpoint, content=body, headers=headers, address=address)


def payload(notification: Notification, text: Text, may_acknowledge: bool) -> dict[str, Any]:
    """What the worker in the browser shows; see web/static/push-worker.js."""
    made: dict[str, Any] = {
        "title": cut_bytes(_printable(text.title), TITLE_BYTES),
        "body": cut_bytes(_printable(text.short), BODY_BYTES),
        "path": _path(notification),
        "tag": topic_of(notification),
        "at_ms": int(notification.made_at.timestamp() * 1000),
        "is_firing": text.is_firing,
        "stays": text.is_firing and text.severity <= Severity.P1,
    }
    firing = [one.fingerprint for one in notification.firing]
    if may_acknowledge and 0 < len(firing) <= ACKNOWLEDGED and "message_id" not in notification.firing[0].labels:
        made["acknowledge"] = firing
    return made


def topic_of(notification: Notification) -> str:
    """The same for a group: a later message takes the place of one that was not shown yet (32 characters at most)."""
    return base64_of(hashlib.sha256(notification.group_key.encode()).digest()[:24])


def _path(notification: Notification) -> str:
    """The alert's page, relative to where the product is served."""
    if notification.report is not None:
        return "./"  # the Overview
    if "message_id" in notification.common_labels:
        return "alerts"
    if len(notification.alerts) == 1:
        return f"alerts/{notification.alerts[0].fingerprint}"
    path = f"alerts?group={quote(notification.group_key, safe='')}"
    return path if len(path) <= PATH_CHARS else "alerts"


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() or one == "\n" else " " for one in text)


def _note(message: Message, id: str, error: BaseException | None, tally: _Tally) -> None:
    """Keeps what became of one browser."""
    book = message.push
    assert book is not None
    if error is None:
        tally.told += 1
        book.note_told(id, message.key)
    elif not isinstance(error, DeliveryError):
        raise error
    elif error.status in GONE:
        tally.gone += 1
        book.forget(id)
        log.info("notify.browser_gone", subscription=id, status=error.status)
    else:
        (tally.later if error.retryable else tally.refused).append(error)
        book.note_failed(id, error.reason)


def _judged(tally: _Tally, count: int) -> str:
    """The words of the receipt. Raises DeliveryError while some have to be tried again, or when nobody was told."""
    words = [f"told {tally.told} of {count} browsers"] if tally.told < count else []
    words += [f"{tally.gone} had ended and {'is' if tally.gone == 1 else 'are'} removed"] if tally.gone else []
    words += sorted({error.reason for error in (*tally.later, *tally.refused)})
    said = "; ".join(words)
    if tally.later or not tally.told:
        waits = [one.retry_after_seconds for one in (*tally.later, *tally.refused) if one.retry_after_seconds]
        after = max(waits, default=None)
        raise DeliveryError(said, retryable=bool(tally.later), retry_after_seconds=after)
    return said
