"""Users, their roles, and the links that give them a password."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from control_people import PASSWORD, TurnedClock, first_admin, user_with_password

from tocsin.model.access import Role
from tocsin.storage.control import ControlStore, InvalidInput, LastAdmin, LinkUnusable, NotFound, Taken


def test_first_link_creates_the_administrator_once(store: ControlStore) -> None:
    link = store.setup.first_admin_link()
    other = store.setup.first_admin_link()
    assert link
    assert other
    assert link.secret.startswith("tcs_set_")
    made = store.setup.redeem(
        link.secret, PASSWORD, email=" Ada@ACME.example ", name="", ip="192.0.2.1", agent="t"
    ).item
    assert (made.user.email, made.user.role, made.user.has_password) == ("ada@acme.example", Role.ADMIN, True)
    assert store.setup.first_admin_link() is None
    for used in (link.secret, other.secret):
        with pytest.raises(LinkUnusable, match="used already"):
            store.setup.redeem(used, PASSWORD, email="eve@globex.example", ip="192.0.2.9", agent="t")
    assert store.users.has_admin()


def test_one_of_many_who_use_a_link_at_once_wins(store: ControlStore) -> None:
    link = store.setup.first_admin_link()
    assert link

    def redeem(number: int) -> bool:
        try:
            store.setup.redeem(link.secret, PASSWORD, email=f"a{number}@acme.example", ip="192.0.2.1", agent="t")
        except LinkUnusable:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(redeem, range(6))) == 1
    assert len(store.users.all()) == 1


def test_expired_and_unknown_links_are_refused(store: ControlStore, clock: TurnedClock) -> None:
    link = store.setup.first_admin_link()
    assert link
    clock.turn(86_400)
    with pytest.raises(LinkUnusable, match="expired"):
        store.setup.look_up(link.secret)
    with pytest.raises(LinkUnusable, match="not known"):
        store.setup.look_up("tcs_set_nothing")


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "ada@acme.example", "x" * 1001])
def test_weak_password_is_refused_and_the_link_stays_usable(store: ControlStore, password: str) -> None:
    link = store.setup.first_admin_link()
    assert link
    with pytest.raises(InvalidInput, match="cannot use this password"):
        store.setup.redeem(link.secret, password, email="ada@acme.example", ip="192.0.2.1", agent="t")
    assert store.setup.look_up(link.secret)


def test_new_password_link_ends_the_one_before_and_all_sessions(store: ControlStore) -> None:
    admin = first_admin(store).principal
    user = user_with_password(store, "vic@acme.example")
    session = store.sessions.sign_in("vic@acme.example", PASSWORD, ip="192.0.2.1", agent="t")
    earlier, later = (store.setup.password_link(admin, user.id).secret for _ in range(2))
    with pytest.raises(LinkUnusable):
        store.setup.look_up(earlier)
    store.setup.redeem(later, "another long password", ip="192.0.2.1", agent="t")
    assert store.sessions.find(session.secret) is None


def test_email_is_used_once(store: ControlStore) -> None:
    admin = first_admin(store).principal
    with pytest.raises(Taken, match=r"ada@acme\.example"):
        store.users.create(admin, email="ADA@acme.example", name="", role=Role.VIEWER)


@pytest.mark.parametrize("email", ["", "ada", "a b@acme.example", "@acme", "<x>@acme.example"])
def test_bad_email_is_refused(store: ControlStore, email: str) -> None:
    with pytest.raises(InvalidInput, match="cannot use e-mail"):
        store.users.create(first_admin(store).principal, email=email, name="", role=Role.VIEWER)


def test_tenant_viewer_keeps_tenants_and_other_roles_have_none(store: ControlStore) -> None:
    admin = first_admin(store).principal
    user = store.users.create(
        admin, email="tom@acme.example", name="Tom", role=Role.TENANT_VIEWER, tenants=["acme", " ", "acme"]
    )
    assert user.tenants == {"acme"}
    assert store.users.get(user.id).principal.scope.allows("globex") is False
    assert store.users.change(admin, user.id, role=Role.OPERATOR).tenants == frozenset()
    with pytest.raises(InvalidInput, match="name the tenants"):
        store.users.change(admin, user.id, role=Role.TENANT_VIEWER)


def test_last_admin_is_neither_disabled_nor_demoted(store: ControlStore) -> None:
    ada = first_admin(store)
    store.users.create(ada.principal, email="new@acme.example", name="", role=Role.ADMIN)  # never set a password
    with pytest.raises(LastAdmin):
        store.users.disable(ada.principal, ada.id)
    with pytest.raises(LastAdmin):
        store.users.change(ada.principal, ada.id, role=Role.VIEWER)
    user_with_password(store, "bea@acme.example", Role.ADMIN)
    assert store.users.disable(ada.principal, ada.id).is_disabled


def test_two_admins_cannot_demote_each_other_at_once(store: ControlStore) -> None:
    ada = first_admin(store)
    bea = user_with_password(store, "bea@acme.example", Role.ADMIN)

    def disable(user_id: str) -> bool:
        try:
            store.users.disable(ada.principal, user_id)
        except LastAdmin:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(disable, [ada.id, bea.id])) == 1
    assert store.users.has_admin()


def test_disabled_user_loses_sessions_links_and_sign_in(store: ControlStore) -> None:
    admin = first_admin(store).principal
    user = user_with_password(store, "vic@acme.example")
    session = store.sessions.sign_in("vic@acme.example", PASSWORD, ip="192.0.2.1", agent="t")
    store.users.disable(admin, user.id)
    assert store.sessions.find(session.secret) is None
    with pytest.raises(InvalidInput, match="disabled"):
        store.setup.password_link(admin, user.id)
    store.users.enable(admin, user.id)
    assert store.sessions.sign_in("vic@acme.example", PASSWORD, ip="192.0.2.1", agent="t")


def test_unknown_user_is_not_found(store: ControlStore) -> None:
    admin = first_admin(store).principal
    for call in (store.users.disable, store.users.enable, store.setup.password_link):
        with pytest.raises(NotFound, match="usr_none"):
            call(admin, "usr_none")


def test_changes_are_audited_with_before_and_after(store: ControlStore) -> None:
    admin = first_admin(store).principal
    user = store.users.create(admin, email="vic@acme.example", name="Vic", role=Role.VIEWER)
    store.users.change(admin, user.id, role=Role.OPERATOR)
    store.users.change(admin, user.id, role=Role.OPERATOR)
    (entry,) = store.audit.entries(action="user.change", object=user.id)
    assert entry.detail == {"role": ["viewer", "operator"]}
    assert entry.actor == "ada@acme.example"
    everything = " ".join(str(entry) for entry in store.audit.entries())
    assert PASSWORD not in everything
    assert "tcs_set" not in everything
