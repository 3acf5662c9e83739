"""Ingest keys, the key ring in front of them, and API tokens."""

from __future__ import annotations

from datetime import timedelta

import pytest
from control_people import TurnedClock
from sqlalchemy.exc import OperationalError

from tocsin.model.access import Role
from tocsin.model.control import SYSTEM
from tocsin.storage.control import ControlStore, InvalidInput, KeyRing, NotFound
from waiting import eventually


def test_key_is_shown_once_and_stored_as_a_hash(store: ControlStore) -> None:
    made = store.keys.create(SYSTEM, name=" acme  app ", environment="production", spans_per_second=500)
    assert made.secret.startswith("tcs_key_")
    assert len(made.secret) >= len("tcs_key_") + 43
    (listed,) = store.keys.all()
    assert listed == made.item
    assert (listed.name, listed.spans_per_second) == ("acme app", 500)
    assert made.secret.startswith(listed.prefix.rstrip("…"))
    assert made.secret not in repr(made)
    assert made.secret not in str(store.keys.live())


@pytest.mark.parametrize("limit", [0, -1, 10**10])
def test_senseless_rate_limit_is_refused(store: ControlStore, limit: int) -> None:
    with pytest.raises(InvalidInput, match="spans/s"):
        store.keys.create(SYSTEM, name="acme", spans_per_second=limit)


@pytest.mark.parametrize("name", ["", "  ", "x" * 201])
def test_key_and_token_need_a_name(store: ControlStore, name: str) -> None:
    with pytest.raises(InvalidInput, match="use 1 to 200"):
        store.keys.create(SYSTEM, name=name)
    with pytest.raises(InvalidInput, match="use 1 to 200"):
        store.tokens.create(SYSTEM, name=name, role=Role.VIEWER)


def test_ring_learns_of_new_and_revoked_keys_at_once(store: ControlStore) -> None:
    ring = KeyRing(store.keys)
    made = store.keys.create(SYSTEM, name="acme")
    found = ring.find(made.secret)
    assert found == made.item
    assert ring.find(made.secret + "x") is None
    assert ring.find("\udcff") is None
    store.keys.revoke(SYSTEM, made.item.id)
    assert ring.find(made.secret) is None
    assert len(ring) == 0


def test_ring_learns_of_another_servers_change_within_a_second(store: ControlStore, url: str) -> None:
    other = ControlStore.open(url)
    ring = KeyRing(store.keys)
    ring.start()
    made = other.keys.create(SYSTEM, name="acme")
    eventually(lambda: ring.find(made.secret), "the ring hears of the key")
    ring.stop()
    assert store.keys.all()[0].last_used_at is not None
    other.close()


def test_last_used_is_written_back_in_one_go(store: ControlStore, clock: TurnedClock) -> None:
    ring = KeyRing(store.keys)
    secrets = [store.keys.create(SYSTEM, name=name).secret for name in ("acme", "globex", "idle")]
    for secret in secrets[:2] * 3:
        ring.find(secret)
    assert all(key.last_used_at is None for key in store.keys.all())
    clock.turn(5)
    ring.write_back()
    assert {key.name: key.last_used_at for key in store.keys.all()} == {
        "acme": clock.now,
        "globex": clock.now,
        "idle": None,
    }


def test_ring_keeps_known_keys_while_the_store_is_away(store: ControlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = KeyRing(store.keys)
    made = store.keys.create(SYSTEM, name="acme")

    def away(*_: object) -> None:
        raise OperationalError("SELECT", {}, OSError("gone"))

    with monkeypatch.context() as broken:
        broken.setattr(store.keys, "live", away)
        broken.setattr(store.keys, "note_used", away)
        ring.refresh()
        assert ring.is_stale
        assert ring.find(made.secret)
        ring.write_back()
    ring.refresh()
    ring.write_back()
    assert not ring.is_stale
    assert store.keys.all()[0].last_used_at is not None


def test_token_ends_by_expiry_and_by_revocation(store: ControlStore, clock: TurnedClock) -> None:
    made = store.tokens.create(SYSTEM, name="ci", role=Role.VIEWER, expires_at=clock.now + timedelta(days=1))
    forever = store.tokens.create(SYSTEM, name="cd", role=Role.TENANT_VIEWER, tenants=["acme"])
    found = store.tokens.find(made.secret)
    assert found is not None
    assert found.principal.role is Role.VIEWER
    assert {token.name: token.last_used_at for token in store.tokens.all()} == {"ci": clock.now, "cd": None}
    clock.turn(86_400)
    assert store.tokens.find(made.secret) is None
    assert store.tokens.find(forever.secret)
    store.tokens.revoke(SYSTEM, forever.item.id)
    assert store.tokens.find(forever.secret) is None


def test_token_that_is_over_before_it_begins_is_refused(store: ControlStore, clock: TurnedClock) -> None:
    with pytest.raises(InvalidInput, match="in the past"):
        store.tokens.create(SYSTEM, name="ci", role=Role.VIEWER, expires_at=clock.now)


def test_unknown_key_and_token_are_not_found(store: ControlStore) -> None:
    with pytest.raises(NotFound, match="key_none"):
        store.keys.revoke(SYSTEM, "key_none")
    with pytest.raises(NotFound, match="tok_none"):
        store.tokens.revoke(SYSTEM, "tok_none")
