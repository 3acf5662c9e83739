"""What the settings pages open with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tocsin.model.access import Role
from tocsin.model.control import ApiToken, IngestKey, User
from tocsin.web import settings_headline

NOW = datetime(2026, 11, 21, 14, 10, tzinfo=UTC)


def key(name: str, used: bool = True, revoked: bool = False) -> IngestKey:
    return IngestKey(name, name, "tcs_key_a", "", None, NOW, "ada", NOW if used else None, NOW if revoked else None)


def token(name: str, ends: datetime | None = None) -> ApiToken:
    return ApiToken(name, name, "tcs_api_a", Role.VIEWER, frozenset(), NOW, "ada", ends, NOW, None)


def user(name: str, **given: Any) -> User:
    fields = {"has_password": True, "is_disabled": False} | given
    times = {"created_at": NOW, "last_sign_in_at": None}
    return User(name, f"{name}@acme.example", name, Role.VIEWER, frozenset(), **fields, **times)


def test_keys_count_those_that_work_and_name_the_unused() -> None:
    said = settings_headline.keys([key("acme"), key("globex", used=False), key("old", revoked=True)])
    assert said.text == "Two keys work."
    assert said.sub_text == "globex was never used."


def test_revoked_keys_alone_are_as_good_as_none() -> None:
    assert settings_headline.keys([key("old", revoked=True)]).text == "There is no ingest key yet."


def test_expired_token_works_no_more() -> None:
    assert settings_headline.has_ended(token("a", NOW - timedelta(seconds=1)), NOW)
    assert not settings_headline.has_ended(token("a", NOW + timedelta(days=1)), NOW)
    assert settings_headline.tokens([token("a"), token("b", NOW)], NOW).text == "One token works."


def test_users_name_who_still_waits_for_a_password() -> None:
    said = settings_headline.users([user("ada"), user("otto"), user("vera", has_password=False)])
    assert said.text == "Two people can sign in."
    assert said.sub_text == "vera has not set a password yet; a new link can be made below."


def test_one_or_no_user_is_said_in_words() -> None:
    assert settings_headline.users([user("ada"), user("otto", is_disabled=True)]).text == "Only ada can sign in."
    assert settings_headline.users([user("ada", has_password=False)]).text == "Nobody can sign in yet."
