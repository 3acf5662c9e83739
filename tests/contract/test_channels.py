"""Every channel keeps the contract of notify/channels: settings, receipts, and which failures may pass."""

from __future__ import annotations

import dataclasses
import time
from typing import get_type_hints

import pytest
from tests.notify.providers import Told, alert, ended, notification, provider
from tests.notify.wired import SECRET, WIRED, message_of, settings_of

from tocsin.model.alert import Alert
from tocsin.model.notification import Outcome
from tocsin.model.setting_values import type_text
from tocsin.model.settings import setting_info
from tocsin.notify.contract import DeliveryError, Pace, channels

# Web push is sent to browsers by addresses of their own: see tests/notify/test_webpush.py.
NOT_BY_HTTP = {"apprise", "desktop", "email", "log", "webpush"}
EVERY = sorted(channels())
HTTP = sorted(WIRED)


def test_every_channel_is_tried_here() -> None:
    assert set(EVERY) == set(HTTP) | NOT_BY_HTTP


@pytest.mark.parametrize("name", EVERY)
def test_settings_describe_themselves(name: str) -> None:
    channel = channels()[name]
    hints = get_type_hints(channel.Settings)
    for field in dataclasses.fields(channel.Settings):  # type: ignore[arg-type]  # a class, seen as what makes it
        info = setting_info(field)
        assert info.help.endswith((".", "…")), field.name
        assert not type_text(hints[field.name], info).startswith("<"), field.name
    assert isinstance(channel.PACE, Pace)
    assert channel.__doc__.strip()
    assert isinstance(channel.Settings().lacks, str)


@pytest.mark.parametrize("name", sorted(set(EVERY) - {"log", "desktop"}))
def test_source_of_the_providers_rules_is_named(name: str) -> None:
    assert "Source" in channels()[name].__doc__


@pytest.mark.parametrize("name", HTTP)
def test_beginning_and_end_are_taken(name: str) -> None:
    with provider(WIRED[name].good) as there:
        settings = settings_of(name, there.url)
        assert settings.lacks == ""
        first = channels()[name].send(settings, message_of(notification()))
        over = notification(resolved=(ended(alert()),), key="end")
        last = channels()[name].send(settings, message_of(over, reference=first.reference))
    assert (first.outcome, last.outcome) == (Outcome.SENT, Outcome.SENT)
    assert len(there.asked) >= 2


@pytest.mark.parametrize("name", HTTP)
@pytest.mark.parametrize(("status", "again"), [(429, True), (500, True), (503, True), (400, False), (401, False)])
def test_which_refusals_may_pass(name: str, status: int, again: bool) -> None:
    no = Told(status, b'{"message": "no"}', {"Retry-After": "7"})
    with provider(no) as there, pytest.raises(DeliveryError) as refused:
        channels()[name].send(settings_of(name, there.url), message_of(notification()))
    assert refused.value.retryable is again
    assert str(status) in refused.value.reason
    assert refused.value.retry_after_seconds == 7


@pytest.mark.parametrize("name", HTTP)
def test_secrets_are_in_no_reason_and_no_repr(name: str) -> None:
    settings = settings_of(name, "http://127.0.0.1:1")
    with pytest.raises(DeliveryError) as refused:
        channels()[name].send(settings, message_of(notification()))
    assert refused.value.retryable
    assert SECRET not in refused.value.reason
    assert SECRET not in repr(settings)


@pytest.mark.parametrize("name", HTTP)
def test_receiver_that_hangs_is_left_in_time(name: str) -> None:
    with provider(Told(hang_seconds=30)) as there:
        began = time.monotonic()
        with pytest.raises(DeliveryError, match="did not answer within") as refused:
            channels()[name].send(settings_of(name, there.url), message_of(notification(), timeout_seconds=0.2))
        assert time.monotonic() - began < 5
    assert refused.value.retryable


@pytest.mark.parametrize("name", HTTP)
def test_monstrous_words_are_sent_all_the_same(name: str) -> None:
    strange = "\0\x1b[31m ü🜲 <b>&amp;</b> \"'`{{ .Status }}" + "x" * 20_000
    alerts = tuple(
        Alert({"alertname": f"A{place}{strange}", "severity": "page"}, {"summary": strange, "description": strange},
              starts_at=alert().starts_at)
        for place in range(60)
    )  # fmt: skip
    with provider(WIRED[name].good) as there:
        receipt = channels()[name].send(settings_of(name, there.url), message_of(notification(*alerts)))
    assert receipt.outcome == Outcome.SENT
