"""SNS is asked as its reference says and signed as Amazon's own examples are; WeChat's token is kept and renewed."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.notify.providers import Told, alert, notification, provider
from tests.notify.wired import TOPIC, message_of, settings_of

from tocsin.notify.channels import _aws, sns, wechat
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


def keys(**settings: Any) -> Keys:
    return _aws.keys_of(sns._asked(sns.Settings(topic_arn=TOPIC, **settings)))


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Neither environment, files, container nor instance has keys."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    _aws._chain.cache_clear()
    return tmp_path


def test_keys_come_from_alertmanagers_block_or_the_environment(no_aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = sns.Settings(topic_arn=TOPIC, sigv4=("access_key=a", "secret_key=b"))
    assert block.lacks == ""
    assert keys(sigv4=("access_key=a", "secret_key=b")) == Keys("a", "b", "eu-central-1")
    assert sns.Settings(topic_arn=TOPIC, access_key="a").lacks == "secret_key"
    assert sns.Settings(phone_number="+49", access_key="a", secret_key="b").lacks == "region"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "e")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "f")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "g")
    assert keys() == Keys("e", "f", "eu-central-1", "g")


def test_profile_is_read_from_the_shared_files(no_aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (no_aws / "credentials").write_text("[oncall]\naws_access_key_id = p\naws_secret_access_key = q\n")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "e")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "f")
    assert sns.Settings(topic_arn=TOPIC, profile="oncall").lacks == ""
    assert keys(sigv4=("profile=oncall",)) == Keys("p", "q", "eu-central-1")
    with pytest.raises(DeliveryError, match="AWS gives no keys: The config profile"):
        keys(profile="nobody")


SOON = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
TEMPORARY = {"Code": "Success", "AccessKeyId": "i", "SecretAccessKey": "j", "Token": "k", "Expiration": SOON}


def test_instance_gives_the_keys_of_its_role_by_imdsv2(no_aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with provider(Told(200, b"session"), Told(200, b"oncall-role"), Told(200, TEMPORARY)) as there:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", there.url)
        assert keys() == keys() == Keys("i", "j", "eu-central-1", "k")
        asked = there.wait(3)
    assert [(one.method, one.path) for one in asked] == [
        ("PUT", "/latest/api/token"),
        ("GET", "/latest/meta-data/iam/security-credentials/"),
        ("GET", "/latest/meta-data/iam/security-credentials/oncall-role"),
    ]
    assert asked[2].headers["x-aws-ec2-metadata-token"] == "session"


def test_container_gives_the_keys_of_its_task(no_aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with provider(Told(200, TEMPORARY, {"content-type": "application/json"})) as there:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{there.url}/v1/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod")
        assert keys() == Keys("i", "j", "eu-central-1", "k")
        assert there.wait(1)[0].headers["authorization"] == "pod"


def _sts(action: str) -> Told:
    given = "<AccessKeyId>r</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
    result = f"<Credentials>{given}<Expiration>{SOON}</Expiration></Credentials>"
    space = "https://sts.amazonaws.com/doc/2011-06-15/"
    body = f'<{action}Response xmlns="{space}"><{action}Result>{result}</{action}Result></{action}Response>'
    return Told(200, body.encode(), {"content-type": "text/xml"})


def test_role_is_taken_on_with_the_keys_that_are_given(no_aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    role = "arn:aws:iam::123456789012:role/oncall"
    with provider(_sts("AssumeRole")) as there:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", there.url)
        made = keys(sigv4=("access_key=a", "secret_key=b", f"role_arn={role}", "external_id=x7"))
        assert made == Keys("r", "s", "eu-central-1", "t")
        [asked] = there.wait(1)
    form = asked.form
    assert (form["Action"], form["RoleArn"], form["ExternalId"], form["RoleSessionName"]) == (
        "AssumeRole", role, "x7", "tocsin",
    )  # fmt: skip
    assert "Credential=a/" in asked.headers["authorization"]
    assert "/eu-central-1/sts/" in asked.headers["authorization"]


def test_keys_for_the_government_are_asked_for_where_it_wants_them(no_aws: Path) -> None:
    block = ("access_key=a", "secret_key=b", "role_arn=arn:aws:iam::1:role/x", "use_fips_sts_endpoint=true")
    chain = _aws._chain(sns._asked(sns.Settings(topic_arn=TOPIC, region="us-east-1", sigv4=block)))
    client = chain._refresh_using.__self__._client_creator("sts", aws_access_key_id="a", aws_secret_access_key="b")
    assert client.meta.endpoint_url == "https://sts-fips.us-east-1.amazonaws.com"


def test_pod_gets_the_keys_of_its_service_account(no_aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (no_aws / "token").write_text("signed.by.the.cluster")
    with provider(_sts("AssumeRoleWithWebIdentity")) as there:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", there.url)
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(no_aws / "token"))
        assert keys() == Keys("r", "s", "eu-central-1", "t")
        assert there.wait(1)[0].form["WebIdentityToken"] == "signed.by.the.cluster"


def test_refused_role_and_missing_keys_are_said(no_aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeliveryError, match="set access_key and secret_key, or attach a role") as caught:
        keys()
    assert caught.value.retryable is False
    denied = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>"
    with provider(Told(403, denied, {"content-type": "text/xml"})) as there:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", there.url)
        with pytest.raises(DeliveryError, match=r"AWS gives no keys: .*AccessDenied.* not you") as caught:
            keys(access_key="a", secret_key="b", role_arn="arn:aws:iam::123456789012:role/oncall")
    assert caught.value.retryable is True


def test_without_botocore_a_role_says_what_to_install(no_aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_aws, "find_spec", lambda name: None)
    assert sns.Settings(topic_arn=TOPIC).lacks == "access_key and secret_key, or tocsin[aws] for a role"
    role = sns.Settings(topic_arn=TOPIC, access_key="a", secret_key="b", role_arn="arn:aws:iam::1:role/x")
    assert "tocsin[aws]" in role.lacks
    monkeypatch.setitem(sys.modules, "botocore.exceptions", None)
    with pytest.raises(DeliveryError, match=r"install tocsin\[aws\]"):
        keys(profile="oncall")


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
