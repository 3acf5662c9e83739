"""Who gets in, as what, and who is turned away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from access_site import ADMIN_TOKEN, PASSWORD, Site, csrf_in, open_site, sign_in, token_of

from tocsin.model.access import Role
from tocsin.model.control import SYSTEM

ADA, OTTO, VERA, TOM = (f"{name}@acme.example" for name in ("ada", "otto", "vera", "tom"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    opened = open_site(tmp_path)
    yield opened
    opened.control.close()


def test_signed_out_page_leads_to_sign_in_and_back(site: Site) -> None:
    browser = site.visitor()
    sent_away = browser.get("/services?tenant=acme&range=1h")
    assert sent_away.status_code == 303
    assert sent_away.headers["location"] == "/sign-in?next=/services%3Ftenant%3Dacme%26range%3D1h"
    form = browser.get(sent_away.headers["location"])
    assert 'value="/services?tenant=acme&amp;range=1h"' in form.text
    data = {"email": ADA, "password": PASSWORD, "next": "/services?tenant=acme&range=1h", "csrf": csrf_in(form)}
    assert browser.post("/sign-in", data=data).headers["location"] == "/services?tenant=acme&range=1h"
    assert browser.get("/services").json()["name"] == ADA


def test_signed_out_program_gets_json_401(site: Site) -> None:
    answer = site.visitor().get("/api/v1/services", headers={"accept": "text/html"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "send an API token" in answer.json()["detail"]


def test_fragment_of_a_page_left_open_goes_to_sign_in_as_a_whole(site: Site) -> None:
    answer = site.visitor().get("/services", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/sign-in?next=/")


@pytest.mark.parametrize(
    ("email", "platform", "silence", "users"),
    [(ADA, 200, 200, 200), (OTTO, 200, 200, 403), (VERA, 200, 403, 403), (TOM, 403, 403, 403)],
)
def test_each_role_may_do_its_own_and_what_is_below(
    site: Site, email: str, platform: int, silence: int, users: int
) -> None:
    browser = site.signed_in(email)
    header = {"X-CSRF-Token": token_of(browser)["csrf"]}
    assert browser.get("/api/v1/services").status_code == 200
    assert browser.get("/api/v1/platform").status_code == platform
    assert browser.post("/api/v1/silences", headers=header).status_code == silence
    for noun in ("users", "keys", "tokens", "audit"):
        assert browser.get(f"/api/v1/{noun}").status_code == users


def test_tenant_viewer_sees_own_tenants_only(site: Site) -> None:
    assert site.signed_in(TOM).get("/api/v1/services").json() == {"name": TOM, "acme": True, "globex": False}
    assert site.signed_in(VERA).get("/api/v1/services").json()["globex"] is True
    secret = site.control.tokens.create(SYSTEM, name="acme", role=Role.TENANT_VIEWER, tenants=["acme"]).secret
    assert site.automation(secret).get("/api/v1/services").json()["globex"] is False


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/settings/users", {"email": "eve@globex.example", "role": "admin"}),
        ("/settings/users/{id}", {"role": "admin"}),
        ("/settings/users/{id}/disable", {}),
        ("/settings/users/{id}/enable", {}),
        ("/settings/users/{id}/link", {}),
        ("/settings/keys", {"name": "mine"}),
        ("/settings/keys/{id}/revoke", {}),
        ("/settings/tokens", {"name": "mine", "role": "admin"}),
        ("/settings/tokens/{id}/revoke", {}),
    ],
)
def test_settings_forms_are_for_administrators(site: Site, path: str, form: dict[str, str]) -> None:
    user_id = next(user.id for user in site.control.users.all() if user.email == TOM)
    where = path.format(id=user_id)
    before = site.control.audit.entries(limit=1)[0].id
    for email in (OTTO, VERA, TOM):
        browser = site.signed_in(email)
        assert browser.post(where, data=form | token_of(browser)).status_code == 403
    assert site.visitor().post(where, data=form).headers["location"] == "/sign-in?next=/"
    assert {entry.action for entry in site.control.audit.entries() if entry.id > before} <= {"session.create"}


def test_form_without_its_csrf_token_is_refused(site: Site) -> None:
    browser = site.signed_in(ADA)
    other = token_of(site.signed_in(OTTO))
    good = token_of(browser)
    for proof in ({}, {"csrf": ""}, {"csrf": "ä"}, other):
        answer = browser.post("/settings/keys", data={"name": "forged"} | proof)
        assert answer.status_code == 403
        assert "reload the page" in answer.json()["detail"]
    assert browser.post("/api/v1/keys", json={"name": "forged"}).status_code == 403
    cross = browser.post("/settings/keys", data={"name": "x"} | good, headers={"Sec-Fetch-Site": "cross-site"})
    assert cross.status_code == 403
    assert site.control.keys.all() == []
    header = {"X-CSRF-Token": good["csrf"]}
    assert browser.post("/api/v1/keys", json={"name": "mine"}, headers=header).status_code == 201


def test_scheme_that_is_no_bearer_does_not_lift_the_csrf_check(site: Site) -> None:
    browser = site.signed_in(ADA)
    answer = browser.post("/settings/keys", data={"name": "x"}, headers={"Authorization": "Basic YTpi"})
    assert answer.status_code == 403


def test_bad_bearer_is_not_saved_by_a_good_cookie(site: Site) -> None:
    browser = site.signed_in(ADA)
    answer = browser.post("/api/v1/keys", json={"name": "x"}, headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 401


def test_sign_in_form_of_another_visitor_is_refused(site: Site) -> None:
    foreign = csrf_in(site.visitor().get("/sign-in"))
    browser = site.visitor()
    form = {"email": ADA, "password": PASSWORD, "csrf": foreign}
    assert browser.post("/sign-in", data=form).status_code == 403
    browser.get("/sign-in")
    assert browser.post("/sign-in", data=form).status_code == 403
    assert browser.post("/sign-out").status_code == 303


def test_session_planted_before_sign_in_is_not_taken_over(site: Site) -> None:
    browser = site.visitor()
    browser.cookies.set("tocsin_session", "tcs_ses_planted")
    assert sign_in(browser, ADA).status_code == 303
    planted = site.visitor()
    planted.cookies.set("tocsin_session", "tcs_ses_planted")
    assert planted.get("/api/v1/services").status_code == 401


def test_sign_in_as_another_user_ends_the_earlier_session(site: Site) -> None:
    first = site.signed_in(ADA)
    earlier = first.cookies["tocsin_session"]
    again = site.visitor()
    page = again.get("/sign-in")
    again.cookies.set("tocsin_session", earlier)
    form = {"email": OTTO, "password": PASSWORD, "csrf": csrf_in(page)}
    assert again.post("/sign-in", data=form).status_code == 303
    assert first.get("/api/v1/services").status_code == 401


def test_sign_out_ends_the_session_on_the_server(site: Site) -> None:
    browser = site.signed_in(ADA)
    secret = browser.cookies["tocsin_session"]
    assert browser.post("/sign-out", data={"csrf": "wrong"}).status_code == 403
    assert browser.post("/sign-out", data=token_of(browser)).headers["location"] == "/sign-in"
    browser.cookies.set("tocsin_session", secret)
    assert "session is over" in browser.get("/api/v1/services").json()["detail"]


def test_session_ends_by_idling(site: Site) -> None:
    browser = site.signed_in(ADA)
    site.clock.turn(12 * 3600)
    assert browser.get("/services").headers["location"] == "/sign-in?next=/services"


def test_wrong_password_says_no_more_and_keeps_the_email(site: Site) -> None:
    known, unknown = (sign_in(site.visitor(), email, "wrong password") for email in (ADA, "nobody@acme.example"))
    assert known.status_code == unknown.status_code == 401
    assert "e-mail or password is wrong" in known.text
    assert f'value="{ADA}"' in known.text


def test_guessing_is_slowed_down_with_a_time_to_retry(site: Site) -> None:
    for _ in range(5):
        assert sign_in(site.visitor(), ADA, "wrong password").status_code == 401
    refused = sign_in(site.visitor(), ADA)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert "try again in 1 s" in refused.text
    site.clock.turn(1)
    assert sign_in(site.visitor(), ADA).status_code == 303


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\r\nSet-Cookie: x=y",
        "javascript:alert(1)",
        "/sign-out",
        "/sign-in?next=/sign-in",
        "services",
        "/" + "x" * 3000,
    ],
)
def test_redirect_leads_nowhere_else(site: Site, wanted: str) -> None:
    assert sign_in(site.visitor(), ADA, next=wanted).headers["location"] == "/"
    assert site.signed_in(ADA).get("/sign-in", params={"next": wanted}).headers["location"] == "/"


def test_admin_token_of_the_environment_administers_without_csrf(site: Site) -> None:
    assert site.automation().post("/api/v1/keys", json={"name": "acme"}).status_code == 201
    assert site.automation(ADMIN_TOKEN + "x").get("/api/v1/users").status_code == 401
    odd = {b"authorization": "Bearer ä€".encode()}
    assert site.visitor().get("/api/v1/users", headers=odd).status_code == 401
    assert site.control.audit.entries(action="key.create")[0].actor == "TOCSIN_ADMIN_TOKEN"


def test_no_admin_token_means_none_is_taken(tmp_path: Path) -> None:
    site = open_site(tmp_path, {"TOCSIN_ADMIN_TOKEN": ""})
    for value in ("", "None", ADMIN_TOKEN):
        assert site.automation(value).get("/api/v1/users").status_code == 401
    site.control.close()


def test_token_works_until_revoked_and_role_is_its_own(site: Site) -> None:
    made = site.control.tokens.create(SYSTEM, name="ci", role=Role.VIEWER)
    client = site.automation(made.secret)
    assert client.get("/api/v1/platform").status_code == 200
    assert client.post("/api/v1/silences").status_code == 403
    site.control.tokens.revoke(SYSTEM, made.item.id)
    assert client.get("/api/v1/platform").status_code == 401


def test_ingest_key_is_no_api_token(site: Site) -> None:
    secret = site.control.keys.create(SYSTEM, name="acme").secret
    assert "this is an ingest key" in site.automation(secret).get("/api/v1/services").json()["detail"]


def test_change_of_role_holds_from_the_next_request(site: Site) -> None:
    browser = site.signed_in(VERA)
    user_id = next(user.id for user in site.control.users.all() if user.email == VERA)
    site.control.users.change(SYSTEM, user_id, role=Role.TENANT_VIEWER, tenants=["globex"])
    assert browser.get("/api/v1/platform").status_code == 403
    site.control.users.disable(SYSTEM, user_id)
    assert browser.get("/api/v1/services").status_code == 401


def test_session_cookie_is_out_of_reach_of_scripts_and_other_sites(site: Site) -> None:
    plain = sign_in(site.visitor(), ADA).headers.get_list("set-cookie")
    secure = sign_in(site.visitor("https://testserver"), ADA).headers.get_list("set-cookie")
    assert all("HttpOnly" in cookie and "SameSite=lax" in cookie for cookie in plain if "session" in cookie)
    assert any("tocsin_session" in cookie and "Secure" in cookie for cookie in secure)
    assert not any("Secure" in cookie for cookie in plain)


def test_address_that_guesses_passwords_links_or_tokens_has_to_wait(tmp_path: Path) -> None:
    site = open_site(tmp_path, {"TOCSIN_AUTH_ATTEMPTS_PER_MINUTE": "6", "TOCSIN_ADMIN_TOKEN": ADMIN_TOKEN})
    browser, known = site.visitor(), site.automation()
    secret = site.control.tokens.create(SYSTEM, name="new", role=Role.VIEWER, tenants=[]).secret
    assert known.get("/api/v1/services").status_code == 200
    assert [sign_in(browser, f"nobody{number}@globex.example", "wrong").status_code for number in range(3)] == [401] * 3
    assert [browser.get(f"/setup/tcs_set_guess{number}").status_code for number in range(2)] == [410] * 2
    assert site.automation("tcs_api_guess").get("/api/v1/services").status_code == 401
    for answer in (
        sign_in(browser, ADA),
        browser.get("/setup/tcs_set_guess"),
        site.automation("tcs_api_guess").get("/api/v1/services"),
        site.automation("tcs_api_guess").get("/services"),
        site.automation(secret).get("/api/v1/services"),
    ):
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
        assert "too many failed attempts; try again in 10 s" in answer.text
    assert known.get("/api/v1/services").status_code == 200
    site.clock.turn(10)
    assert site.automation(secret).get("/api/v1/services").status_code == 200
    assert sign_in(browser, ADA).status_code == 303
    site.control.close()


def test_revoked_token_that_was_good_counts_as_a_guess(tmp_path: Path) -> None:
    site = open_site(tmp_path, {"TOCSIN_AUTH_ATTEMPTS_PER_MINUTE": "2"})
    issued = site.control.tokens.create(SYSTEM, name="old", role=Role.VIEWER, tenants=[])
    client = site.automation(issued.secret)
    assert [client.get("/api/v1/services").status_code for _ in range(5)] == [200] * 5
    site.control.tokens.revoke(SYSTEM, issued.item.id)
    assert [client.get("/api/v1/services").status_code for _ in range(4)] == [401, 401, 401, 429]
    site.control.close()
