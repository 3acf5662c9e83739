"""Amazon SNS: a message to a topic, a telephone or an application's endpoint.

Source: docs.aws.amazon.com/sns/latest/api/API_Publish.html (subject 100 characters, message 262,144 bytes, SMS 1600
characters, group and deduplication id of FIFO topics); see _sigv4.py and, for roles and profiles, _aws.py.
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
from tocsin.notify.channels import _aws
from tocsin.notify.channels._sigv4 import Keys, signed_headers
from tocsin.notify.contract import DeliveryError, Message, Origin, Pace
from tocsin.notify.http import ask, told
from tocsin.notify.render import cut, cut_bytes

ALERTMANAGER = Origin(("sns_configs",))
PACE = Pace(0.1, burst=30)
SUBJECT_CHARS, SMS_CHARS, MESSAGE_BYTES, DEDUPLICATION_CHARS = 100, 1600, 262_144, 128


@dataclass(frozen=True)
class Settings:
    """Where it is published, and the keys it is signed with."""

    topic_arn: str = setting("", help="Topic; this, phone_number or target_arn.")
    phone_number: str = setting("", help="Telephone in E.164 form, such as +4930123456.")
    target_arn: str = setting("", help="Endpoint of an application for phones.")
    region: str = setting("", help="Region, such as eu-central-1; unset: the topic's own, or AWS_REGION.")
    access_key: str = setting(
        "",
        help="Access key; unset: AWS_ACCESS_KEY_ID or, with tocsin[aws], whatever Amazon's chain finds, such as the "
        "role of this instance or pod.",
        secret=True,
    )
    secret_key: str = setting("", help="Its secret.", secret=True)
    profile: str = setting("", help="Profile of the shared AWS files; needs tocsin[aws].")
    role_arn: str = setting("", help="Role to take on with these keys; needs tocsin[aws].")
    external_id: str = setting("", help="External id that the role asks for.")
    sigv4: tuple[str, ...] = setting((), help='The same as "region=…", as Alertmanager has them.', secret=True)
    api_url: str = setting("", help="Address instead of the region's own.")
    subject: str = setting("", help="Heading instead of ours.")
    message: str = setting("", help="Text instead of ours.")
    attributes: tuple[str, ...] = setting((), help='Attributes of the message as "Name=value".')

    @property
    def lacks(self) -> str:
        if not (self.topic_arn or self.phone_number or self.target_arn):
            return "topic_arn, phone_number or target_arn"
        asked = _asked(self)
        if not asked.region:
            return "region"
        if asked.own is not None and not (asked.own.access and asked.own.secret):
            return "secret_key" if asked.own.access else "access_key"
        return "" if asked.is_static or _aws.is_installed() else "access_key and secret_key, or tocsin[aws] for a role"


def send(settings: Settings, message: Message) -> Receipt:
    keys = _aws.keys_of(_asked(settings))
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


def _asked(settings: Settings) -> _aws.Asked:
    """What the settings, Alertmanager's block and the environment say of keys."""
    block = dict(one.partition("=")[::2] for one in settings.sigv4)

    def said(name: str) -> str:
        return str(getattr(settings, name)) or block.get(name, "")

    of_topic = (settings.topic_arn or settings.target_arn).split(":")
    region = said("region") or (of_topic[3] if len(of_topic) > 3 else os.getenv("AWS_REGION", ""))
    access, secret, token = said("access_key"), said("secret_key"), ""
    if not access and not secret and not said("profile"):
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        access, secret, token = (os.getenv(name, "") for name in names)
    own = Keys(access, secret, region, token) if access or secret else None
    is_fips = block.get("use_fips_sts_endpoint", "").lower() == "true"
    return _aws.Asked(region, own, said("profile"), said("role_arn"), said("external_id"), is_fips)
