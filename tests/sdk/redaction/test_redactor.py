"""Secrets go, the rest stays; measured on a labelled corpus."""

from __future__ import annotations

import re
import time
from collections import Counter

import pytest

from sdk.redaction.corpus import clean, planted
from tocsin.sdk.redaction import Redactor
from tocsin.sdk.redaction.checks import is_card_number, is_iban
from tocsin.sdk.redaction.names import is_secret_name

REDACTOR = Redactor()


def left(secret: str, text: str) -> bool:
    """Whether a part of the secret that is worth having is still there."""
    plain = re.sub(r"\s", "", secret)
    shown = re.sub(r"\s", "", REDACTOR.text(text))
    return plain in shown or (len(plain) >= 20 and (plain[:12] in shown or plain[-12:] in shown))


def test_planted_secrets_are_found() -> None:
    missed: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    for kind, secret, text in planted():
        totals[kind] += 1
        missed[kind] += left(secret, text)
    recall = 1 - missed.total() / totals.total()
    told = {kind: f"{number} of {totals[kind]}" for kind, number in missed.items() if number}
    print(f"recall {recall:.4f} of {totals.total()} planted; missed {told}")  # noqa: T201  seen with pytest -s
    assert recall >= 0.995, told
    # All but what is told by chance alone are found always.
    assert {kind for kind, number in missed.items() if number} <= {"random key", "random base64"}, told


def test_clean_lines_stay_as_they_are() -> None:
    lines = list(clean())
    changed = [(line, REDACTOR.text(line)) for line in lines if REDACTOR.text(line) != line]
    planted_texts = sum(1 for _ in planted())
    precision = planted_texts / (planted_texts + len(changed))
    print(f"precision {precision:.4f}; changed {len(changed)} of {len(lines)} clean lines")  # noqa: T201
    assert precision >= 0.99, changed
    assert len(changed) <= 0.01 * len(lines), changed


def test_what_is_around_a_secret_stays() -> None:
    text = "POST /pay user=17 password=hunter2 card 4242 4242 4242 4242 in 12 ms"
    assert REDACTOR.text(text) == "POST /pay user=17 password=[redacted:field] card [redacted:card] in 12 ms"


def test_redacting_twice_changes_nothing_more() -> None:
    for _, _, text in planted(1):
        once = REDACTOR.text(text)
        assert REDACTOR.text(once) == once


@pytest.mark.parametrize(
    "name",
    [
        "password", "user_password", "X-Api-Key", "apiKey", "stripeSecretKey", "Authorization",
        "access_token", "Cookie",
        "set-cookie", "client_secret", "sessionid", "PGPASSWORD".lower(), "card_number", "cvv", "private_key",
        "session_id",
        "refreshToken", "dsn", "webhook_url",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "token_count", "max_tokens", "password_changed_at", "key", "user", "author", "authentication",
        "is_authenticated",
        "cache_key", "primary_key", "status_code", "sort_key", "secret_name", "token_type", "expires_in", "path",
        "token_usage", "cookie_policy", "passenger", "compass", "keyboard",
    ],
)  # fmt: skip
def test_names_that_are_none(name: str) -> None:
    assert not is_secret_name(name)


def test_fields_are_gone_through_to_the_bottom() -> None:
    given = {
        "user": "ada",
        "password": "x",
        "nested": {"api_key": "abc", "list": [{"token": "t"}, "Bearer abcdefgh12345678"]},
        "headers": [("Authorization", "secret-value"), ("Accept", "text/html")],
        "card": 4242424242424242,
        "tokens": 17,
        "none": None,
        "raw": b"password=hunter2",
    }
    assert REDACTOR.fields(given) == {
        "user": "ada",
        "password": "[redacted:field]",
        "nested": {"api_key": "[redacted:field]", "list": [{"token": "[redacted:field]"}, "Bearer [redacted:bearer]"]},
        "headers": [["Authorization", "[redacted:field]"], ["Accept", "text/html"]],
        "card": "[redacted:card]",
        "tokens": 17,
        "none": None,
        "raw": "password=[redacted:field]",
    }


def test_own_names_and_expressions_and_personal_data() -> None:
    own = Redactor(("customer_ref",), (r"ACME-\d+",), personal=True)
    assert own.text("customer_ref=17 for ACME-99") == "customer_ref=[redacted:field] for [redacted:own]"
    assert own.text("ada@acme.example called +49 170 1234567") == "[redacted:email] called [redacted:phone]"
    assert own.value("email", "ada") == "[redacted:field]"
    assert REDACTOR.text("ada@acme.example called +49 170 1234567") == "ada@acme.example called +49 170 1234567"


def test_half_of_a_secret_at_the_cut_is_not_left() -> None:
    key = "AKIA" + "Q" * 16
    assert "AKIA" not in REDACTOR.cut("x" * 90 + " " + key, 100)


def test_check_digits() -> None:
    assert is_card_number("4242-4242-4242-4242")
    assert not is_card_number("4242424242424241")
    assert is_iban("DE89 3704 0044 0532 0130 00")
    assert not is_iban("DE88 3704 0044 0532 0130 00")


@pytest.mark.parametrize(
    "text",
    ["a" * 200_000, "a=" * 100_000, "password" * 25_000, "1 " * 100_000, "-----BEGIN " * 20_000, "a.b-" * 50_000,
     "://" * 60_000, '"' * 200_000, "password='" * 20_000, "eyJ" * 60_000, "DE00 " * 40_000, "\\" * 200_000],
    ids=range(12),
)  # fmt: skip
def test_no_text_takes_long(text: str) -> None:
    started = time.process_time()
    REDACTOR.text(text)
    assert time.process_time() - started < 3
