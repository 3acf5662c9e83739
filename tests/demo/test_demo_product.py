"""What Tallyroom does for its users when no fault is on."""

from __future__ import annotations

import time

import pytest
from demo.product.latency import Latency
from demo.product.tokens import Claims, TokenError, issue_token, verify_token
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from tallyroom_user import SignIn, User

ENTRY = {
    "memo": "train to the client",
    "currency": "EUR",
    "amount_cents": 500,
    "booked_on": "2025-03-01",
    "splits": [{"account": "travel", "amount_cents": 300}, {"account": "advice", "amount_cents": 200}],
}


def test_signing_in_with_a_wrong_password_is_refused(client: TestClient) -> None:
    answer = client.post("/api/v1/auth/login", json={"email": "user001@acme.example", "password": "guess"})
    assert answer.status_code == 401


def test_requests_without_a_token_are_refused(client: TestClient) -> None:
    assert client.get("/api/v1/projects").status_code == 401


def test_token_keeps_its_claims_until_it_expires() -> None:
    claims = Claims(7, "acme", "member", False, expires_at=100.0)
    token = issue_token(claims, b"secret")
    assert verify_token(token, b"secret", now=99.0) == claims
    with pytest.raises(TokenError, match="expired"):
        verify_token(token, b"secret", now=100.0)


def test_token_signed_with_another_secret_is_refused(client: TestClient) -> None:
    forged = issue_token(Claims(1, "acme", "owner", True, time.time() + 60), b"guess")
    for rubbish in (forged, "", "a.b.c", "größe.☃"):
        with pytest.raises(TokenError, match="signature"):
            verify_token(rubbish, b"secret", now=0.0)
    assert User(client, forged).get("/api/v1/projects").status_code == 401


def test_report_adds_up_the_ledger_by_account(acme: User) -> None:
    report = acme.get(acme.report_path()).json()
    assert report["entries"] > 0
    assert set(report["totals_cents"]) <= set(report["entries_by_account"])


def test_export_job_writes_the_report_after_the_answer(acme: User) -> None:
    queued = acme.post(f"{acme.report_path()}/exports")
    assert (queued.status_code, queued.json()["state"]) == (202, "queued")
    job = f"/api/v1/exports/{queued.json()['job_id']}"
    assert acme.get(job).json()["state"] == "done"
    assert acme.get(f"{job}/download").text.startswith("account,entries,total_cents")


def test_export_format_follows_the_tenants_feature_flag(globex: User) -> None:
    job_id = globex.post(f"{globex.report_path()}/exports").json()["job_id"]
    assert globex.get(f"/api/v1/exports/{job_id}/download").text.startswith("account;entries;total_cents")


def test_booked_entry_is_in_the_streamed_ledger(acme: User) -> None:
    project_id = acme.post("/api/v1/projects", json={"name": "Streaming", "client": "Oceanic"}).json()["id"]
    assert acme.post(f"/api/v1/projects/{project_id}/entries", json=ENTRY).json() == {"booked": 2}
    lines = acme.get(f"/api/v1/projects/{project_id}/ledger.csv").text.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("2025-03-01,travel,EUR,300,")


@pytest.mark.parametrize(
    "mistake",
    [{"amount_cents": 501}, {"currency": "EURO"}, {"memo": ""}, {"splits": []}, {"booked_on": "yesterday"}],
    ids=lambda mistake: next(iter(mistake)),
)
def test_entry_with_a_mistake_is_refused(acme: User, mistake: dict[str, object]) -> None:
    project_id = acme.get("/api/v1/projects").json()[0]["id"]
    assert acme.post(f"/api/v1/projects/{project_id}/entries", json=ENTRY | mistake).status_code == 422


def test_attachment_is_measured_and_too_large_ones_are_refused(acme: User) -> None:
    path = f"/api/v1/projects/{acme.get('/api/v1/projects').json()[0]['id']}/attachments"
    assert acme.post(path, files={"file": ("a.pdf", b"x" * 1000)}).json()["body_bytes"] == 1000
    assert acme.post(path, files={"file": ("b.pdf", b"x" * 2_000_001)}).status_code == 413


def test_invoice_is_rendered_by_the_other_service(acme: User) -> None:
    invoice = acme.get("/api/v1/invoices").json()[0]
    document = acme.post(f"/api/v1/invoices/{invoice['id']}/render").json()["document"]
    assert f"Invoice {invoice['number']}" in document


def test_notifications_arrive_as_server_sent_events(acme: User) -> None:
    answer = acme.get("/api/v1/notifications/stream?events=2")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.count("data: ") == 2


def test_notification_socket_answers_every_acknowledgement(acme: User) -> None:
    with acme.client.websocket_connect(f"/api/v1/notifications/socket?token={acme.token}") as socket:
        assert socket.receive_json()["number"] == 0
        socket.send_text("seen")
        assert socket.receive_json() == {"org_id": "acme", "number": 1, "text": "An export is ready"}


def test_notification_socket_without_token_is_refused(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/api/v1/notifications/socket"):
        pass


def test_owner_switches_to_another_of_their_organisations(client: TestClient, sign_in: SignIn) -> None:
    owner = sign_in("globex", number=0)
    switched = owner.post("/api/v1/auth/switch", json={"org_id": "vandelay"}).json()
    assert User(client, switched["token"]).get("/api/v1/organisation").json()["id"] == "vandelay"


def test_switching_to_a_foreign_organisation_is_refused(globex: User) -> None:
    assert globex.post("/api/v1/auth/switch", json={"org_id": "acme"}).status_code == 403


def test_admin_panel_is_for_staff_alone(acme: User, staff: User) -> None:
    assert acme.get("/api/v1/admin/organisations").status_code == 403
    assert len(staff.get("/api/v1/admin/organisations").json()) == 14
    assert staff.get("/api/v1/projects").status_code == 403


def test_staff_change_a_feature_flag_for_one_tenant(acme: User, globex: User, staff: User) -> None:
    staff.request("PUT", "/api/v1/admin/flags/new-dashboard/globex", json={"variant": "on"})
    assert globex.get("/api/v1/organisation/flags").json()["new-dashboard"] == "on"
    assert acme.get("/api/v1/organisation/flags").json()["new-dashboard"] == "off"


def test_public_pages_need_no_sign_in(client: TestClient) -> None:
    assert client.get("/public/prices").json()["team"] == 900
    assert client.get("/public/customers/acme").json()["name"] == "Acme Corporation"
    assert client.get("/public/customers/nobody").status_code == 404


def test_latency_varies_around_the_typical_and_scales() -> None:
    draws = sorted(Latency().draw_seconds(20) for _ in range(1001))
    assert 0.015 < draws[500] < 0.025
    assert Latency(scale=0).draw_seconds(20) == 0
