"""People and boards: an operator edits by form, forgeries and lower roles are refused, a session reads metrics."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from server_process import ServerProcess
from visitor import csrf_in, person, submit

pytestmark = pytest.mark.xdist_group("boards")

TEXT = "id: orders\ntitle: Orders of acme\npanels: []\n"


@pytest.fixture
def server(shared_server: ServerProcess) -> Iterator[ServerProcess]:
    yield shared_server
    with shared_server.client() as admin:
        admin.delete("/api/v1/dashboards/orders")


def test_operator_makes_and_edits_a_board(server: ServerProcess) -> None:
    with person(server, "olga@acme.example", "operator") as olga:
        made = submit(olga, "/dashboards-new", {"id": "orders", "title": "Orders"})
        assert (made.status_code, made.headers["location"][:23]) == (303, "/dashboards/orders/edit")
        saved = submit(olga, "/dashboards/orders/edit", {"text": TEXT, "version": 1, "action": "save"})
        assert (saved.status_code, saved.headers["location"][:18]) == (303, "/dashboards/orders")
        assert "Orders of acme" in olga.get("/dashboards").text
    with server.client() as admin:
        entries = admin.get("/api/v1/audit", params={"object": "orders"}).json()["entries"]
    assert [(entry["actor"], entry["action"]) for entry in entries] == [("olga@acme.example", "dashboard.save")] * 2


def test_forms_of_other_sites_are_refused(server: ServerProcess) -> None:
    with person(server, "otto@acme.example", "operator") as otto:
        page = otto.get("/dashboards/runtime/edit")
        fields = {"text": TEXT, "version": 0, "action": "save"}
        assert otto.post("/dashboards/runtime/edit", data=fields).status_code == 403
        assert otto.post("/dashboards/runtime/edit", data=fields | {"csrf": "0" * 64}).status_code == 403
        forged = {"sec-fetch-site": "cross-site"}
        assert otto.post("/dashboards-new", data={"csrf": csrf_in(page)}, headers=forged).status_code == 403
        assert otto.put("/api/v1/dashboards/orders", content=TEXT).status_code == 403
        assert otto.post("/prometheus/api/v1/query", data={"query": "1"}).status_code == 403


def test_viewer_looks_and_tenant_viewer_sees_what_is_for_everyone(server: ServerProcess) -> None:
    with server.client() as admin:
        assert admin.put("/api/v1/dashboards/orders", content=TEXT).status_code == 200
    with person(server, "vera@acme.example", "viewer") as vera:
        assert vera.get("/dashboards/orders").status_code == 200
        assert vera.get("/dashboards/orders/edit").status_code == 403
        assert ">Edit<" not in vera.get("/dashboards/orders").text
        assert vera.get("/prometheus/api/v1/query", params={"query": "1"}).json()["data"]["result"][1] == "1"
    with person(server, "tom@acme.example", "tenant_viewer", "acme") as tom:
        assert tom.get("/dashboards/orders").status_code == 404
        assert tom.get("/dashboards/application").status_code == 200
        assert tom.get("/dashboards/tocsin").status_code == 404
        asked = {"match[]": '{__name__=~".+"}'}
        assert tom.get("/prometheus/api/v1/series", params=asked).json()["data"] == []
        assert tom.get("/api/v1/data").status_code == 403
