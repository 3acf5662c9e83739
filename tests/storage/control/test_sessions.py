"""Sign-in, its throttling, and when sessions end."""

from __future__ import annotations

import pytest
from control_people import PASSWORD, TurnedClock, first_admin

from tocsin.storage.control import AuthSettings, ControlStore, Throttled, WrongCredentials
from tocsin.storage.control.passwords import Passwords
from tocsin.storage.control.throttle import network_of, wait_seconds

ADA = "ada@acme.example"


def sign_in(store: ControlStore, password: str = PASSWORD, *, email: str = ADA, ip: str = "192.0.2.1") -> str:
    return store.sessions.sign_in(email, password, ip=ip, agent="test").secret


def fail(store: ControlStore, times: int, **where: str) -> None:
    for _ in range(times):
        with pytest.raises(WrongCredentials):
            sign_in(store, "wrong password", **where)


def test_session_is_found_by_its_secret_only(store: ControlStore) -> None:
    first_admin(store)
    secret = sign_in(store, email=" ADA@acme.example ")
    session = store.sessions.find(secret)
    assert session is not None
    assert (session.user.email, session.ip, session.agent) == (ADA, "192.0.2.1", "test")
    assert store.sessions.find("tcs_ses_guess") is None
    store.sessions.sign_out(secret)
    store.sessions.sign_out(secret)
    assert store.sessions.find(secret) is None


def test_sign_in_replaces_the_session_it_came_with(store: ControlStore) -> None:
    first_admin(store)
    before = sign_in(store)
    after = store.sessions.sign_in(ADA, PASSWORD, ip="192.0.2.1", agent="t", replaces=before).secret
    assert store.sessions.find(before) is None
    assert store.sessions.find(after) is not None


def test_session_ends_after_idling(store: ControlStore, clock: TurnedClock) -> None:
    first_admin(store)
    secret = sign_in(store)
    for _ in range(3):
        clock.turn(11 * 3600)
        assert store.sessions.find(secret)
    clock.turn(12 * 3600)
    assert store.sessions.find(secret) is None


def test_session_ends_by_age_however_busy(store: ControlStore, clock: TurnedClock) -> None:
    first_admin(store)
    secret = sign_in(store)
    for _ in range(13):
        clock.turn(11 * 3600)
        assert store.sessions.find(secret)
    clock.turn(25 * 3600)
    assert store.sessions.find(secret) is None
    store.prune()
    assert store.sessions.of_user(store.users.all()[0].id) == []


def test_failures_wait_ever_longer_and_right_password_waits_too(store: ControlStore, clock: TurnedClock) -> None:
    first_admin(store)
    fail(store, 5)
    with pytest.raises(Throttled) as caught:
        sign_in(store)
    assert caught.value.retry_after_seconds == 1
    clock.turn(1)
    fail(store, 1)
    clock.turn(1)
    with pytest.raises(Throttled):
        sign_in(store)
    clock.turn(1)
    assert sign_in(store)
    fail(store, 4)  # a sign-in that succeeded starts the count anew
    assert [entry.object for entry in store.audit.entries(action="sign_in.throttle")] == [ADA]


def test_throttle_holds_per_account_and_address(store: ControlStore) -> None:
    first_admin(store)
    fail(store, 5)
    assert sign_in(store, ip="198.51.100.7")
    fail(store, 1, email="someone@globex.example")


def test_throttle_is_shared_by_servers_on_one_store(store: ControlStore, url: str, clock: TurnedClock) -> None:
    first_admin(store)
    second = ControlStore.open(url, clock=clock)
    fail(store, 5)
    with pytest.raises(Throttled):
        sign_in(second)
    second.close()


def test_old_failures_are_forgotten(store: ControlStore, clock: TurnedClock) -> None:
    first_admin(store)
    fail(store, 5)
    clock.turn(1800)
    fail(store, 5)
    clock.turn(1800)
    store.prune()
    assert sign_in(store)


def test_wait_doubles_up_to_the_longest() -> None:
    waits = [wait_seconds(failures, AuthSettings()) for failures in (4, 5, 6, 7, 14, 15, 10_000)]
    assert waits == [0, 1, 2, 4, 512, 900, 900]


def test_ipv6_neighbours_count_as_one() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:2") == "2001:db8::/64"
    assert network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("testclient") == "testclient"


def test_unknown_user_costs_a_hash_like_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords()
    hashes = []
    verify = passwords._hash.verify_and_update
    monkeypatch.setattr(
        passwords._hash, "verify_and_update", lambda given, stored: hashes.append(stored) or verify(given, stored)
    )
    assert passwords.verify("anything at all", None) == (False, None)
    assert hashes[0].startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert len(hashes[0]) == len(passwords.hash("a word for many rooms", "ada@acme.example"))


def test_same_refusal_for_every_cause(store: ControlStore) -> None:
    ada = first_admin(store)
    store.users.create(ada.principal, email="new@acme.example", name="", role=ada.role)
    told = set()
    for email in (ADA, "new@acme.example", "nobody@acme.example", "", "x" * 5000):
        with pytest.raises(WrongCredentials) as caught:
            sign_in(store, "wrong password", email=email)
        told.add(str(caught.value))
    assert len(told) == 1


def test_weaker_hash_is_renewed_at_sign_in(store: ControlStore, url: str) -> None:
    first_admin(store)
    strong = ControlStore.open(url)
    user_id = store.users.all()[0].id
    assert strong.sessions.sign_in(ADA, PASSWORD, ip="192.0.2.1", agent="t").item.user.id == user_id
    assert strong.sessions.sign_in(ADA, PASSWORD, ip="192.0.2.1", agent="t")
    strong.close()
