"""Mail reaches a real SMTP server: secured, signed in, in both forms, to those of its severity."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.notify.mail_server import PASSWORD, USER, MailServer, mail_server
from tests.notify.providers import NOW, alert, ended, notification

from tocsin.model.notification import Notification
from tocsin.model.severity import Severity
from tocsin.notify.channels import email
from tocsin.notify.contract import DeliveryError, Message
from tocsin.notify.render import text_of

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")


@pytest.fixture
def there(tmp_path: Path) -> Iterator[MailServer]:
    with mail_server(tmp_path) as running:
        yield running


def settings(there: MailServer, **more: object) -> email.Settings:
    given: dict[str, object] = {
        "to": ("ops@acme.example",),
        "sender": "Tocsin <tocsin@acme.example>",
        "smarthost": there.smarthost,
        "auth_username": USER,
        "auth_password": PASSWORD,
        "tls_ca_file": there.ca_file,
    }
    return email.Settings(**{**given, **more})  # type: ignore[arg-type]


def message(told: Notification, **more: object) -> Message:
    return Message(told, text_of(told), told.key, now=NOW, **more)  # type: ignore[arg-type]


def test_mail_is_secured_signed_in_and_has_both_forms(there: MailServer) -> None:
    receipt = email.send(settings(there), message(notification()))
    mail = there.mails[0]
    assert (there.was_tls, there.signed_in, there.recipients) == ([True], [True], [["ops@acme.example"]])
    assert mail["Subject"] == "P1 HighErrorRate: reports, acme"
    assert receipt.reference == mail["Message-ID"]
    plain, rich = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert rich is not None
    for body in (plain.get_content(), rich.get_content()):
        for words in ("Every third export of acme fails", "12 min ago", "The renderer answers 500.", "runbooks.acme"):
            assert words in body
    assert "https://tocsin.acme.example/silences?filter=" in plain.get_content()


def test_mail_that_goes_out_twice_is_one_and_a_group_is_a_thread(there: MailServer) -> None:
    email.send(settings(there), message(notification(key="a")))
    email.send(settings(there), message(notification(key="a")))
    email.send(settings(there), message(notification(resolved=(ended(alert()),), key="b")))
    ids = [mail["Message-ID"] for mail in there.mails]
    assert ids[0] == ids[1] != ids[2]
    assert len({mail["References"] for mail in there.mails}) == 1
    assert there.mails[2]["Subject"].startswith("Resolved:")


@pytest.mark.parametrize(
    ("severity", "to"),
    [("page", "oncall@acme.example"), ("critical", "oncall@acme.example"), ("high", "ops@acme.example"),
     ("info", "low@acme.example")],
)  # fmt: skip
def test_recipients_by_severity_as_the_old_map_has_them(there: MailServer, severity: str, to: str) -> None:
    old = "{'critical': ['oncall@acme.example'], 'medium': ['ops@acme.example'], 'low': ['low@acme.example'],}"
    email.send(settings(there, recipients=old), message(notification(alert(severity=severity))))
    assert there.recipients == [[to]]


@pytest.mark.parametrize("text", ["[", "[]", '{"grave": ["a@b"]}', '{"critical": 7}', "__import__('os')", "{" * 5000])
def test_map_of_recipients_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="recipients"):
        email.Settings(recipients=text)


def test_empty_map_is_none() -> None:
    assert email.recipients_of(" ") == {}
    assert email.recipients_of('{"critical": ["a@b"]}')[Severity.P0] == ("a@b",)


def test_server_without_starttls_is_refused_unless_allowed(tmp_path: Path) -> None:
    with mail_server(tmp_path, starttls=False) as plain:
        with pytest.raises(DeliveryError, match="no STARTTLS") as refused:
            email.send(settings(plain), message(notification()))
        assert not refused.value.retryable
        email.send(settings(plain, require_tls=False, auth_username=""), message(notification()))
        assert plain.was_tls == [False]


def test_tls_from_the_first_byte(tmp_path: Path) -> None:
    with mail_server(tmp_path, implicit=True) as there:
        email.send(settings(there, implicit_tls=True), message(notification()))
        assert there.signed_in == [True]


def test_certificate_of_nobody_is_not_trusted(there: MailServer) -> None:
    with pytest.raises(DeliveryError, match="not trusted") as refused:
        email.send(settings(there, tls_ca_file=""), message(notification()))
    assert not refused.value.retryable


def test_wrong_password_is_final_and_not_shown(there: MailServer) -> None:
    with pytest.raises(DeliveryError) as refused:
        email.send(settings(there, auth_password="wrong words"), message(notification()))
    assert not refused.value.retryable
    assert "535" in refused.value.reason
    assert "wrong words" not in refused.value.reason + repr(settings(there, auth_password="wrong words"))


@pytest.mark.parametrize(("answer", "again"), [("451 later", True), ("554 spam", False)])
def test_refused_mail_is_tried_again_only_if_that_helps(there: MailServer, answer: str, again: bool) -> None:
    there.data_answer = answer
    with pytest.raises(DeliveryError, match=answer[4:]) as refused:
        email.send(settings(there), message(notification()))
    assert refused.value.retryable is again


def test_address_that_is_refused_is_named_and_the_others_get_it(there: MailServer) -> None:
    there.refused["gone@acme.example"] = "550 no such user"
    receipt = email.send(settings(there, to=("ops@acme.example", "gone@acme.example")), message(notification()))
    assert receipt.reason == "not taken for gone@acme.example"
    with pytest.raises(DeliveryError, match=r"gone@acme\.example: 550 no such user") as refused:
        email.send(settings(there, to=("gone@acme.example",)), message(notification()))
    assert not refused.value.retryable


def test_nobody_there_is_tried_again() -> None:
    nowhere = email.Settings(to=("a@b.example",), sender="t@b.example", smarthost="localhost:1")
    with pytest.raises(DeliveryError, match="cannot reach localhost:1") as refused:
        email.send(nowhere, message(notification()))
    assert refused.value.retryable


def test_line_breaks_in_labels_make_no_headers(there: MailServer) -> None:
    bad = alert(name="Evil\r\nBcc: eve@globex.example")
    email.send(settings(there), message(notification(bad)))
    assert there.recipients == [["ops@acme.example"]]
    assert there.mails[0]["Bcc"] is None


def test_labels_are_no_html(there: MailServer) -> None:
    email.send(settings(there), message(notification(alert(name="<script>alert(1)</script>"))))
    body = there.mails[0].get_body(("html",))
    assert body is not None
    assert "<script>" not in body.get_content()


def test_headers_and_words_of_ones_own(there: MailServer) -> None:
    own = settings(there, headers=("Subject=Acme calls", "X-Team=exports"), text="plain words", html="<b>rich</b>")
    email.send(own, message(notification()))
    mail = there.mails[0]
    assert (mail["Subject"], mail["X-Team"]) == ("Acme calls", "exports")
    body = mail.get_body(("plain",))
    assert body is not None
    assert body.get_content().split() == ["plain", "words"]
