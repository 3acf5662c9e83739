"""Without a fault, globex neither sees nor changes anything of acme's."""

from __future__ import annotations

from tallyroom_user import User


def test_every_address_of_acme_is_missing_for_globex(acme: User, globex: User) -> None:
    report = acme.report_path()
    project = report.partition("/reports/")[0]
    job_id = acme.post(f"{report}/exports").json()["job_id"]
    job = f"/api/v1/exports/{job_id}"
    invoice_id = acme.get("/api/v1/invoices").json()[0]["id"]
    reads = [
        project,
        report,
        f"{project}/ledger.csv",
        job,
        f"{job}/download",
    ]
    writes = [f"{report}/exports", f"/api/v1/invoices/{invoice_id}/render"]
    assert {path: globex.get(path).status_code for path in reads} == dict.fromkeys(reads, 404)
    assert {path: globex.post(path).status_code for path in writes} == dict.fromkeys(writes, 404)


def test_a_report_is_not_found_under_another_tenants_project(acme: User, globex: User) -> None:
    report_id = acme.report_path().rpartition("/")[2]
    project = globex.report_path().partition("/reports/")[0]
    assert globex.get(f"{project}/reports/{report_id}").status_code == 404


def test_lists_hold_only_the_own_tenants_rows(acme: User, globex: User) -> None:
    for path in ("/api/v1/projects", "/api/v1/reports/recent", "/api/v1/invoices"):
        ids = [{row["id"] for row in user.get(path).json()} for user in (acme, globex)]
        assert ids[0], path
        assert not ids[0] & ids[1], path
    assert {row["org_id"] for row in globex.get("/api/v1/reports/recent").json()} == {"globex"}
    assert all(row["email"].endswith("globex.example") for row in globex.get("/api/v1/organisation/members").json())


def test_dashboards_do_not_share_a_cached_balance(acme: User, globex: User) -> None:
    balances = [user.get("/api/v1/dashboard").json()["balance_cents"] for user in (acme, globex, acme, globex)]
    assert balances[:2] == balances[2:]
    assert balances[0] != balances[1]
