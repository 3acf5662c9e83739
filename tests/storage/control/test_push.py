"""Browsers that are told by web push, and the key that signs for them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from control_people import TurnedClock, first_admin, quick_passwords, user_with_password
from sqlalchemy import delete, select

from tocsin.model.access import Principal, Role
from tocsin.model.control import SYSTEM
from tocsin.model.push import PushAddress
from tocsin.storage.control import ControlStore, InvalidInput, NotFound
from tocsin.storage.control.push import MOST_OF_A_USER
from tocsin.storage.control.schema import UserRow
from tocsin.storage.control.schema_push import PushReceiptRow


def address(name: str = "1") -> PushAddress:
    return PushAddress(f"https://push.example/{name}", "public", "secret")


def test_signing_key_is_made_once_for_all_servers(url: str, clock: TurnedClock) -> None:
    number = count()
    with ThreadPoolExecutor(4) as pool:
        stores = [ControlStore.open(url, passwords=quick_passwords(), clock=clock) for _ in range(4)]
        given = list(pool.map(lambda store: store.push.signing_key(lambda: f"key {next(number)}"), stores))
    assert len(set(given)) == 1
    assert stores[0].push.signing_key(lambda: "another") == given[0]
    for store in stores:
        store.close()


def test_browser_is_told_in_its_users_name(store: ControlStore, clock: TurnedClock) -> None:
    first_admin(store)
    tom = user_with_password(store, "tom@acme.example", Role.TENANT_VIEWER, ["acme"])
    made = store.push.subscribe(tom.principal, address(), "Firefox on Android")
    [found] = store.push.able()
    assert found == made
    assert (found.user, found.address) == (tom.principal, address())
    assert (found.made_at, found.told_at, found.failures) == (clock.now, None, 0)
    assert store.audit.entries(action="push.subscribe")[0].object == made.id
    assert "push.example" not in repr(found)
    assert "secret" not in repr(found)


def test_outcomes_are_kept(store: ControlStore, clock: TurnedClock) -> None:
    ada = first_admin(store)
    made = store.push.subscribe(ada.principal, address(), "Chrome")
    store.push.note_failed(made.id, "it answered 503")
    store.push.note_failed(made.id, "it answered 503")
    assert [(one.failures, one.last_failure) for one in store.push.able()] == [(2, "it answered 503")]
    clock.turn(60)
    store.push.note_told(made.id, "n-1")
    store.push.note_told(made.id, "n-1")
    assert [(one.failures, one.last_failure, one.told_at) for one in store.push.able()] == [(0, "", clock.now)]
    assert store.push.told("n-1") == {made.id}
    assert store.push.told("n-2") == set()


def test_subscribing_again_renews_the_keys(store: ControlStore) -> None:
    ada = first_admin(store)
    first = store.push.subscribe(ada.principal, address(), "Chrome")
    store.push.note_failed(first.id, "it answered 400")
    again = store.push.subscribe(ada.principal, PushAddress(address().endpoint, "new", "keys"), "Chrome")
    assert again.id == first.id
    assert [(one.address.public_key, one.failures) for one in store.push.able()] == [("new", 0)]


def test_browser_belongs_to_who_subscribed_last(store: ControlStore) -> None:
    ada = first_admin(store)
    vera = user_with_password(store, "vera@acme.example")
    store.push.note_told(store.push.subscribe(ada.principal, address(), "Chrome").id, "n-1")
    store.push.subscribe(vera.principal, address(), "Chrome")
    assert store.push.of_user(ada.id) == []
    assert [one.user for one in store.push.able()] == [vera.principal]
    assert store.push.told("n-1") == set()


def test_nobody_ends_what_is_another_users(store: ControlStore) -> None:
    ada = first_admin(store)
    vera = user_with_password(store, "vera@acme.example")
    made = store.push.subscribe(vera.principal, address(), "Chrome")
    with pytest.raises(NotFound):
        store.push.unsubscribe(ada.principal, made.id)
    store.push.unsubscribe(vera.principal, made.id)
    assert store.push.able() == []
    assert store.audit.entries(action="push.unsubscribe")[0].actor == "vera@acme.example"


def test_only_users_have_browsers_and_not_without_end(store: ControlStore) -> None:
    ada = first_admin(store)
    with pytest.raises(InvalidInput, match="only users are"):
        store.push.subscribe(Principal("tok_1", "report", Role.ADMIN), address(), "Chrome")
    for number in range(MOST_OF_A_USER):
        store.push.subscribe(ada.principal, address(str(number)), "Chrome")
    with pytest.raises(InvalidInput, match="remove one of them"):
        store.push.subscribe(ada.principal, address("more"), "Chrome")


def test_disabled_user_is_not_told_and_a_deleted_one_leaves_nothing(store: ControlStore) -> None:
    first_admin(store)
    vera = user_with_password(store, "vera@acme.example")
    made = store.push.subscribe(vera.principal, address(), "Chrome")
    store.push.note_told(made.id, "n-1")
    store.users.disable(SYSTEM, vera.id)
    assert store.push.able() == []
    with store.push._database.write() as session:
        session.execute(delete(UserRow).where(UserRow.id == vera.id))
    with store.push._database.read() as session:
        assert session.scalars(select(PushReceiptRow)).all() == []
    store.push.note_told(made.id, "n-2")  # its last message was on its way
    assert store.push.told("n-2") == set()


def test_receipts_end_after_a_week(store: ControlStore, clock: TurnedClock) -> None:
    ada = first_admin(store)
    made = store.push.subscribe(ada.principal, address(), "Chrome")
    store.push.note_told(made.id, "old")
    clock.turn(8 * 86_400)
    store.push.note_told(made.id, "new")
    store.prune()
    assert (store.push.told("old"), store.push.told("new")) == (set(), {made.id})


def test_signing_key_is_readable_by_the_owner_only(tmp_path: Path) -> None:
    store = ControlStore.open(f"sqlite:///{tmp_path}/control.db", passwords=quick_passwords())
    store.push.signing_key(lambda: "key")
    store.close()
    assert (tmp_path / "control.db").stat().st_mode & 0o077 == 0
