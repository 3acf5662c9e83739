"""SNS is asked as its reference says and signed as Amazon's own examples are; WeChat's token is kept and renewed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.notify.providers import Told, alert, notification, provider
from tests.notify.wired import TOPIC, message_of, settings_of

from tocsin.notify.channels import sns, wechat
from tocsin.notify.channels._sigv4 import Keys, signed_headers
from tocsin.notify.contract import DeliveryError

EXAMPLE = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1")
AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)


@pytest.mark.parametrize(
    ("method", "query", "signature"),
    [  # of Amazon's published test suite: get-vanilla, post-vanilla, get-vanilla-query-order-key-case
        ("GET", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("GET", "?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    ],
)
def test_signature_is_amazons(method: str, query: str, signature: str) -> None:
    url = f"https://example.amazonaws.com/{query}"
    made = signed_headers(EXAMPLE, "service", url, {}, b"", AT, method)

    scope = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
    expected = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature={signature}"
    assert made == {"x-amz-date": "20150830T123600Z", "authorization": expected}


def asked_of(**more: Any) -> dict[str, str]:
    with provider(Told(200, b"<MessageId>m-7</MessageId>")) as there:
        receipt = sns.send(settings_of("sns", there.url, **more), message_of(notification()))
        [asked] = there.wait(1)
    assert receipt.reference == "m-7"
    assert "Credential=AKID/" in asked.headers["authorization"]
    return asked.form


def test_topic_gets_heading_text_and_attributes() -> None:
    form = asked_of(attributes=("team=exports", "empty="), subject="Ä\nlarm")
    assert (form["Action"], form["Version"], form["TopicArn"]) == ("Publish", "2010-03-31", TOPIC)
    assert form["Subject"] == "? larm"
    assert "Every third export of acme fails" in form["Message"]
    assert form["MessageAttributes.entry.1.Name"] == "team"
    assert form["MessageAttributes.entry.1.Value.StringValue"] == "exports"
    assert "MessageGroupId" not in form


def test_ordered_topic_gets_the_group_and_the_key_that_makes_it_once() -> None:
    form = asked_of(topic_arn=f"{TOPIC}.fifo")
    assert form["MessageDeduplicationId"] == "n-1"
    assert len(form["MessageGroupId"]) == 64


def test_telephone_gets_a_short_text_without_a_heading() -> None:
    form = asked_of(topic_arn="", phone_number="+4930", region="eu-central-1", message="x" * 3000)
    assert form["PhoneNumber"] == "+4930"
    assert len(form["Message"]) == sns.SMS_CHARS
    assert "Subject" not in form


def test_keys_come_from_alertmanagers_block_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    block = sns.Settings(topic_arn=TOPIC, sigv4=("access_key=a", "secret_key=b"))
    assert block.lacks == ""
    assert sns._keys(block) == Keys("a", "b", "eu-central-1")
    assert sns.Settings(topic_arn=TOPIC).lacks == "region, access_key and secret_key"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "e")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "f")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "g")
    assert sns._keys(sns.Settings(topic_arn=TOPIC)) == Keys("e", "f", "eu-central-1", "g")


def _json(**said: Any) -> Told:
    return Told(200, said, {"content-type": "application/json"})


def test_wechat_token_is_kept_and_asked_for_anew_when_it_has_ended() -> None:
    token, good = _json(errcode=0, access_token="t1", expires_in=7200), _json(errcode=0, msgid="w")
    stale, renewed = _json(errcode=42001, errmsg="expired"), _json(errcode=0, access_token="t2", expires_in=7200)
    with provider(token, good, good, stale, renewed, good) as there:
        settings = settings_of("wechat", there.url, to_party="2")
        for _ in range(3):
            assert wechat.send(settings, message_of(notification(alert()))).reference == "w"
        asked = there.wait(6)

    assert [one.path.partition("?")[0].rpartition("/")[2] for one in asked] == [
        "gettoken", "send", "send", "send", "gettoken", "send",
    ]  # fmt: skip
    assert asked[5].path.endswith("access_token=t2")
    assert asked[1].json["touser"] == "ada"
    assert asked[1].json["toparty"] == "2"
    assert len(asked[1].json["text"]["content"].encode()) <= wechat.TEXT_BYTES


@pytest.mark.parametrize(("code", "is_later"), [(45009, True), (60020, False)])
def test_wechats_errors_within_200(code: int, is_later: bool) -> None:
    token = _json(errcode=0, access_token="t", expires_in=7200)
    with provider(token, _json(errcode=code, errmsg="no")) as there, pytest.raises(DeliveryError) as caught:
        wechat.send(settings_of("wechat", there.url), message_of(notification()))
    assert caught.value.retryable is is_later
    assert str(code) in caught.value.reason
