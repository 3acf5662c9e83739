"""Web push: what a browser can read, who is told what, and what becomes of browsers that are gone."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from tests.notify.browsers import FakeBrowser, b64, claims_of, unb64
from tests.notify.providers import NOW, Provider, Told, alert, ended, notification, provider
from tests.notify.wired import message_of

from tocsin.model.access import Role
from tocsin.model.control import SYSTEM, User
from tocsin.model.notification import Notification, Outcome
from tocsin.model.push import PushAddress
from tocsin.notify.channels import webpush
from tocsin.notify.contract import DeliveryError, Message
from tocsin.notify.push_encryption import PLAIN_BYTES, encrypt
from tocsin.notify.receivers import Integration
from tocsin.notify.trial import trial
from tocsin.notify.vapid import new_private_key, public_key_of
from tocsin.storage.control import ControlStore

SETTINGS = webpush.Settings(contact="mailto:oncall@acme.example", allow_private=True)


def person(control: ControlStore, email: str, role: Role = Role.OPERATOR, tenants: tuple[str, ...] = ()) -> User:
    return control.users.create(SYSTEM, email=email, name="", role=role, tenants=tenants)


def add(control: ControlStore, there: Provider, user: User, path: str) -> FakeBrowser:
    browser = FakeBrowser(path)
    control.push.subscribe(user.principal, browser.address(there.url), "Firefox on Android")
    return browser


def to_browsers(control: ControlStore, told: Notification, **more: Any) -> Message:
    return message_of(told, push=control.push, **more)


def test_example_of_rfc_8291_gives_its_ciphertext() -> None:
    to = PushAddress(
        "https://push.example",
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "BTBZMqHH6r4Tts7J_aSIgg",
    )
    scalar = int.from_bytes(unb64("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big")
    own = ec.derive_private_key(scalar, ec.SECP256R1())
    sealed = encrypt(b"When I grow up, I want to be a watermelon", to, own=own, salt=unb64("DGv6ra1nlYgDCS1FRnbzlw"))
    assert b64(sealed) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7"
        "A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def test_longest_message_fits_and_only_its_browser_reads_it() -> None:
    browser, other = FakeBrowser("/a"), FakeBrowser("/b")
    sealed = encrypt(b"x" * PLAIN_BYTES, browser.address("https://push.example"))
    assert len(sealed) == 4096
    assert browser.read(sealed) == b"x" * PLAIN_BYTES
    with pytest.raises(InvalidTag):
        other.read(sealed)
    with pytest.raises(ValueError, match="shorten it"):
        encrypt(b"x" * (PLAIN_BYTES + 1), browser.address("https://push.example"))


def test_browser_reads_the_alert_and_the_push_service_knows_who_sent_it(control: ControlStore) -> None:
    with provider(Told(201)) as there:
        browser = add(control, there, person(control, "otto@acme.example"), "/wp/1")
        receipt = webpush.send(SETTINGS, to_browsers(control, notification()))
    assert (receipt.outcome, receipt.reason) == (Outcome.SENT, "")
    [asked] = there.asked
    assert asked.headers["content-encoding"] == "aes128gcm"
    assert (asked.headers["urgency"], asked.headers["ttl"]) == ("high", "86400")
    assert asked.headers["topic"] == webpush.topic_of(notification())
    assert len(asked.headers["topic"]) == 32
    public = public_key_of(control.push.signing_key(new_private_key))
    claims = claims_of(asked.headers["authorization"], public)
    assert (claims["aud"], claims["sub"]) == (there.url, "mailto:oncall@acme.example")
    assert claims["exp"] == int((NOW + timedelta(hours=12)).timestamp())
    [told] = browser.told(there.asked)
    assert told["title"] == "P1 HighErrorRate: reports, acme"
    assert told["body"].startswith("Every third export of acme fails\nHurt: acme")
    assert told["path"] == f"alerts/{alert().fingerprint}"
    assert told["acknowledge"] == [alert().fingerprint]
    assert (told["is_firing"], told["stays"]) == (True, True)


@pytest.mark.parametrize(
    ("severity", "urgency", "ttl"),
    [("P0", "high", 86_400), ("P1", "high", 86_400), ("P2", "normal", 43_200), ("P3", "low", 14_400),
     ("P4", "very-low", 3600)],
)  # fmt: skip
def test_severity_decides_who_is_woken(control: ControlStore, severity: str, urgency: str, ttl: int) -> None:
    with provider(Told(201)) as there:
        browser = add(control, there, person(control, "otto@acme.example"), "/wp/1")
        firing = notification(alert(severity=severity))
        webpush.send(SETTINGS, to_browsers(control, firing))
        over = notification(resolved=(ended(alert(severity=severity)),), key="end")
        webpush.send(SETTINGS, to_browsers(control, over))
    first, last = there.asked
    assert (first.headers["urgency"], first.headers["ttl"]) == (urgency, str(ttl))
    assert last.headers["urgency"] == ("normal" if urgency == "high" else urgency)
    assert first.headers["topic"] == last.headers["topic"]
    shown = browser.told(there.asked)
    assert shown[0]["stays"] is (severity in ("P0", "P1"))
    assert (shown[1]["is_firing"], shown[1]["stays"]) == (False, False)
    assert "acknowledge" not in shown[1]


def test_everybody_is_told_what_they_may_see(control: ControlStore) -> None:
    with provider(Told(201)) as there:
        vera = add(control, there, person(control, "vera@acme.example", Role.VIEWER), "/vera")
        tom = add(control, there, person(control, "tom@acme.example", Role.TENANT_VIEWER, ("acme",)), "/tom")
        gina = add(control, there, person(control, "gina@globex.example", Role.TENANT_VIEWER, ("globex",)), "/gina")
        ina = add(control, there, person(control, "ina@initech.example", Role.TENANT_VIEWER, ("initech",)), "/ina")
        both = notification(alert(), alert(tenant="globex"), cause="globex's database is the root", held_back=3)
        webpush.send(SETTINGS, to_browsers(control, both))
        webpush.send(SETTINGS, to_browsers(control, notification(alert(tenant=""), key="platform")))
    [first, of_platform] = vera.told(there.asked)
    assert {"acme", "globex"} <= set(first["body"].replace(",", " ").split())
    assert "acknowledge" not in of_platform
    for browser, own, other in ((tom, "acme", "globex"), (gina, "globex", "acme")):
        [told] = browser.told(there.asked)
        assert own in told["title"]
        assert other not in str(told)
        assert "Held back" not in told["body"]
        assert told["path"] == f"alerts/{alert(tenant=own).fingerprint}"
    assert ina.told(there.asked) == []


def test_role_that_was_taken_away_counts_at_once(control: ControlStore) -> None:
    with provider(Told(201)) as there:
        vera = person(control, "vera@acme.example", Role.VIEWER)
        browser = add(control, there, vera, "/vera")
        control.users.change(SYSTEM, vera.id, role=Role.TENANT_VIEWER, tenants=["globex"])
        with pytest.raises(DeliveryError, match="nobody who may see it") as nobody:
            webpush.send(SETTINGS, to_browsers(control, notification()))
        control.users.change(SYSTEM, vera.id, role=Role.VIEWER)
        webpush.send(SETTINGS, to_browsers(control, notification()))
        control.users.disable(SYSTEM, vera.id)
        with pytest.raises(DeliveryError, match="nobody who may see it"):
            webpush.send(SETTINGS, to_browsers(control, notification(key="n-2")))
    assert not nobody.value.retryable
    assert len(browser.told(there.asked)) == 1


def test_receiver_may_name_its_users(control: ControlStore) -> None:
    with provider(Told(201)) as there:
        otto = add(control, there, person(control, "otto@acme.example"), "/otto")
        olga = add(control, there, person(control, "olga@acme.example"), "/olga")
        webpush.send(replace(SETTINGS, users=("Olga@acme.example",)), to_browsers(control, notification()))
    assert (len(otto.told(there.asked)), len(olga.told(there.asked))) == (0, 1)


@pytest.mark.parametrize("status", [404, 410])
def test_browser_that_is_gone_is_removed(control: ControlStore, status: int) -> None:
    with provider(Told(status)) as there:
        user = person(control, "otto@acme.example")
        add(control, there, user, "/wp/1")
        with pytest.raises(DeliveryError, match="1 had ended and is removed") as refused:
            webpush.send(SETTINGS, to_browsers(control, notification()))
    assert not refused.value.retryable
    assert control.push.of_user(user.id) == []


@pytest.mark.parametrize(("status", "again"), [(429, True), (500, True), (503, True), (400, False), (403, False)])
def test_which_refusals_may_pass(control: ControlStore, status: int, again: bool) -> None:
    with provider(Told(status, b"no", {"Retry-After": "7"})) as there:
        user = person(control, "otto@acme.example")
        add(control, there, user, "/wp/1")
        with pytest.raises(DeliveryError, match=str(status)) as refused:
            webpush.send(SETTINGS, to_browsers(control, notification()))
    assert (refused.value.retryable, refused.value.retry_after_seconds) == (again, 7)
    assert "/wp/1" not in refused.value.reason
    [kept] = control.push.of_user(user.id)
    assert (kept.failures, kept.told_at) == (1, None)
    assert str(status) in kept.last_failure


def test_trying_again_tells_nobody_twice(control: ControlStore, deliverer: Callable[..., Any]) -> None:
    with provider(Told(201)) as good, provider(Told(503), Told(429), Told(201)) as slow:
        user = person(control, "otto@acme.example")
        first = add(control, good, user, "/good")
        second = add(control, slow, user, "/slow")
        sending = deliverer({"default": [Integration("webpush[0]", "webpush", SETTINGS)]})
        sending.push = control.push
        receipt = sending.deliver(notification(), wait_seconds=10)
    assert receipt.outcome == Outcome.SENT
    assert len(good.asked) == 1
    assert len(first.told(good.asked)) == 1
    assert len(slow.asked) == 3
    assert len(second.told(slow.asked[-1:])) == 1
    assert [one.failures for one in control.push.of_user(user.id)] == [0, 0]


def test_one_bad_browser_does_not_fail_the_others(control: ControlStore) -> None:
    with provider(Told(201)) as good, provider(Told(400)) as bad:
        user = person(control, "otto@acme.example")
        add(control, good, user, "/good")
        add(control, bad, user, "/bad")
        receipt = webpush.send(SETTINGS, to_browsers(control, notification()))
    assert receipt.outcome == Outcome.SENT
    assert receipt.reason == "told 1 of 2 browsers; it answered 400: ok"


def test_push_service_that_hangs_is_left_in_time(control: ControlStore) -> None:
    with provider(Told(hang_seconds=30)) as there:
        add(control, there, person(control, "otto@acme.example"), "/wp/1")
        with pytest.raises(DeliveryError, match="did not answer within") as refused:
            webpush.send(SETTINGS, to_browsers(control, notification(), timeout_seconds=0.2))
    assert refused.value.retryable


def test_monstrous_words_fit(control: ControlStore) -> None:
    strange = "\0\x1b ü🜲 <b>\"\\'" * 2000
    alerts = tuple(alert(f"A{place}{strange}", odd=strange) for place in range(10))
    with provider(Told(201)) as there:
        browser = add(control, there, person(control, "otto@acme.example"), "/wp/1")
        told = replace(notification(*alerts), group_key=f"{{}}:{{{strange}}}")
        webpush.send(SETTINGS, to_browsers(control, told))
        webpush.send(SETTINGS, to_browsers(control, trial("default", strange, NOW)))
    assert len(browser.told(there.asked)) == 2
    assert browser.told(there.asked)[0]["path"] == "alerts"


@pytest.mark.parametrize(
    ("endpoint", "cause"),
    [
        ("http://push.example/1", "it is not https"),
        ("https://127.0.0.1/1", "127.0.0.1 is not a public address"),
        ("https://[::1]/1", "::1 is not a public address"),
        ("https://[::ffff:10.0.0.1]/1", "is not a public address"),
        ("https://169.254.169.254/latest", "169.254.169.254 is not a public address"),
        ("https://ada:secret@push.example/1", "names no host, or a password"),
        ("file:///etc/passwd", "it is not https"),
        ("https:///1", "names no host"),
        ("https://push.example/a b", "is no address"),
        ("https://localhost/1", "localhost leads to"),
    ],
)
def test_endpoint_inside_our_network_is_refused(control: ControlStore, endpoint: str, cause: str) -> None:
    user = person(control, "otto@acme.example")
    address = replace(FakeBrowser("/").address(""), endpoint=endpoint)
    control.push.subscribe(user.principal, address, "")
    with pytest.raises(DeliveryError, match="refused") as refused:
        webpush.send(replace(SETTINGS, allow_private=False), to_browsers(control, notification()))
    assert cause in refused.value.reason
    assert not refused.value.retryable


def test_name_that_changes_its_address_leads_nowhere_else(
    control: ControlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with provider(Told(201)) as there:
        port = int(there.url.rpartition(":")[2])
        found = ["127.0.0.1", "192.0.2.1"]
        really = socket.getaddrinfo

        def answer(host: str, *given: Any, **named: Any) -> Any:
            return really(found.pop(0) if host == "push.example" else host, *given, **named)

        monkeypatch.setattr(socket, "getaddrinfo", answer)
        browser = FakeBrowser("/wp/1")
        address = browser.address(f"http://push.example:{port}")
        control.push.subscribe(person(control, "otto@acme.example").principal, address, "")
        webpush.send(SETTINGS, to_browsers(control, notification()))
    assert there.asked[0].headers["host"] == f"push.example:{port}"
    assert found == ["192.0.2.1"]  # nobody asked a second time
    assert len(browser.told(there.asked)) == 1


def test_contact_is_needed() -> None:
    assert webpush.Settings().lacks.startswith("contact")
    assert webpush.Settings(contact="oncall").lacks.startswith("contact")
    assert SETTINGS.lacks == ""
