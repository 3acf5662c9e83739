"""Amazon SNS: a message to a topic, a telephone or an application's endpoint.

Source: docs.aws.amazon.com/sns/latest/api/API_Publish.html (subject 100 characters, message 262,144 bytes, SMS 1600
characters, group and deduplication id of FIFO topics); see _sigv4.py.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.notify.channels._sigv4 import Keys, signed_headers
from tocsin.notify.contract import DeliveryError, Message, Origin, Pace
from tocsin.notify.http import ask, told
from tocsin.notify.render import cut, cut_bytes

ALERTMANAGER = Origin(("sns_configs",))
PACE = Pace(0.1, burst=30)
SUBJECT_CHARS, SMS_CHARS, MESSAGE_BYTES, DEDUPLICATION_CHARS = 100, 1600, 262_144, 128
_NOT_CARRIED_OUT = ("profile", "role_arn")


@dataclass(frozen=True)
class Settings:
    """Where it is published, and the keys it is signed with."""

    topic_arn: str = setting("", help="Topic; this, phone_number or target_arn.")
    phone_number: str = setting("", help="Telephone in E.164 form, such as +4930123456.")
    target_arn: str = setting("", help="Endpoint of an application for phones.")
    region: str = setting("", help="Region, such as eu-central-1; unset: the topic's own, or AWS_REGION.")
    access_key: str = setting("", help="Access key; unset: AWS_ACCESS_KEY_ID and its companions.", secret=True)
    secret_key: str = setting("", help="Its secret.", secret=True)
    sigv4: tuple[str, ...] = setting((), help='The same three as "region=…", as Alertmanager has them.', secret=True)
    api_url: str = setting("", help="Address instead of the region's own.")
    subject: str = setting("", help="Heading instead of ours.")
    message: str = setting("", help="Text instead of ours.")
    attributes: tuple[str, ...] = setting((), help='Attributes of the message as "Name=value".')

    @property
    def lacks(self) -> str:
        if not (self.topic_arn or self.phone_number or self.target_arn):
            return "topic_arn, phone_number or target_arn"
        if names := [one.partition("=")[0] for one in self.sigv4 if one.startswith(_NOT_CARRIED_OUT)]:
            return f"access_key and secret_key ({' and '.join(names)} of sigv4 is not carried out)"
        keys = _keys(self)
        return "" if keys.access and keys.secret and keys.region else "region, access_key and secret_key"


def send(settings: Settings, message: Message) -> Receipt:
    keys = _keys(settings)
    url = settings.api_url or f"https://sns.{keys.region}.amazonaws.com/"
    body = urlencode(list(form(settings, message))).encode()
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    signed = signed_headers(keys, "sns", url, headers, body, message.now)
    answer = ask(message, "POST", url, content=body, headers=headers | signed)
    found = re.search(r"<MessageId>([^<]+)</MessageId>", answer.text)
    if found is None:
        raise DeliveryError(f"SNS did not take it: {told(answer.text)}", retryable=False)
    return message.sent(found[1])


def form(settings: Settings, message: Message) -> Iterator[tuple[str, str]]:
    """The fields of Publish."""
    text = message.text
    words = message.worded(settings.message, text.plain)
    yield from (("Action", "Publish"), ("Version", "2010-03-31"))
    if settings.topic_arn:
        yield "TopicArn", settings.topic_arn
    elif settings.target_arn:
        yield "TargetArn", settings.target_arn
    else:
        yield "PhoneNumber", settings.phone_number
        words = cut(message.worded(settings.message, text.short), SMS_CHARS)
    yield "Message", cut_bytes(words, MESSAGE_BYTES) or "-"
    if not settings.phone_number:
        subject = " ".join(message.worded(settings.subject, text.title).encode("ascii", "replace").decode().split())
        yield "Subject", cut(subject, SUBJECT_CHARS - 2).replace("…", "..")
    if settings.topic_arn.endswith(".fifo"):
        yield "MessageGroupId", hashlib.sha256(message.notification.group_key.encode()).hexdigest()
        yield "MessageDeduplicationId", message.key[:DEDUPLICATION_CHARS]
    for place, pair in enumerate(settings.attributes, 1):
        name, _, value = pair.partition("=")
        entry = f"MessageAttributes.entry.{place}"
        yield from ((f"{entry}.Name", name), (f"{entry}.Value.DataType", "String"))
        yield f"{entry}.Value.StringValue", value


def _keys(settings: Settings) -> Keys:
    own = dict(one.partition("=")[::2] for one in settings.sigv4)
    of_topic = (settings.topic_arn or settings.target_arn).split(":")
    usual = of_topic[3] if len(of_topic) > 3 else os.getenv("AWS_REGION", "")
    region = settings.region or own.get("region", "") or usual
    access, secret = settings.access_key or own.get("access_key", ""), settings.secret_key or own.get("secret_key", "")
    if access:
        return Keys(access, secret, region)
    access, secret = os.getenv("AWS_ACCESS_KEY_ID", ""), os.getenv("AWS_SECRET_ACCESS_KEY", "")
    return Keys(access, secret, region, os.getenv("AWS_SESSION_TOKEN", ""))
