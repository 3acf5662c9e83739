"""Fields that clients get wrong: named by endpoint, field, kind and tenant; what they sent stays in the process."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse, Response

import tocsin
from tocsin.sdk import catalogue, instrument
from tocsin.sdk.agents import all_agents
from tocsin.sdk.instrument import validation

ACME = {"X-Tenant-ID": "acme"}


class Line(BaseModel):
    price: float = Field(gt=0)
    number: int = 1


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    lines: list[Line]
    notes: dict[str, Line] = {}
    due: int | list[int] = 0
    buyer_mail: str = Field(default="x", alias="buyerMail", min_length=1)


def limited(limit: int = 10) -> int:
    tocsin.set_tenant("told by the app")
    return limit


def product(**settings: Any) -> FastAPI:
    app = FastAPI()
    tocsin.instrument(app, tenant="header:X-Tenant-ID", **settings)

    @app.post("/orders/{order_id}")
    async def order(order_id: int, order: Order) -> int:
        return order_id

    @app.get("/pages")
    def pages(limit: int = Depends(limited), page: int = 1) -> int:
        return page

    @app.get("/strict")
    def strict() -> int:
        Line.model_validate({"price": "a secret"})
        return 1

    @app.get("/own")
    def own(status: int = 422) -> int:
        raise HTTPException(status, [{"loc": ["body", "lines"], "type": "order.closed", "msg": "closed"}])

    return app


@pytest.fixture(autouse=True)
def _clean() -> None:
    instrument.switch_all_off()
    catalogue.want()


def counted() -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    families = (family for agent in all_agents() for family in agent.increase_families())
    for family in families:
        if family.name == validation.ERRORS:
            for (_, labels), number in family.samples.items():
                said = {"tenant": "", **dict(labels)}
                found[said["method"], said["route"], said["field"], said["type"], said["tenant"]] = number
    return found


def test_each_wrong_field_is_counted_once_a_request_for_its_endpoint_and_tenant() -> None:
    client = TestClient(product())
    wrong = {"lines": [{"price": 1}, {"price": -1}, {"price": -2, "number": "x"}]}
    for _ in range(2):
        assert client.post("/orders/7", json=wrong, headers=ACME).status_code == 422
    assert client.post("/orders/seven", json={"lines": []}, headers={"X-Tenant-ID": "globex"}).status_code == 422
    at = ("POST", "/orders/{order_id}")
    assert counted() == {
        (*at, "body.lines[].price", "greater_than", "acme"): 2,
        (*at, "body.lines[].number", "int_parsing", "acme"): 2,
        (*at, "path.order_id", "int_parsing", "globex"): 1,
    }


def test_a_tenant_told_by_a_dependency_counts() -> None:
    TestClient(product()).get("/pages?page=x", headers=ACME)
    assert counted() == {("GET", "/pages", "query.page", "int_parsing", "told by the app"): 1}


@pytest.mark.parametrize(
    ("sent", "field", "kind"),
    [
        ({"lines": [], "notes": {"S3CRET": {"price": 0}}}, "body.notes.*.price", "greater_than"),
        ({"lines": [], "S3CRET": 1}, "body.*", "extra_forbidden"),
        ({"lines": [], "notes": {"S3CRET": {"price": "S3CRET"}}}, "body.notes.*.price", "float_parsing"),
        ({"lines": [], "buyerMail": ""}, "body.buyerMail", "string_too_short"),
        ({"lines": [], "due": "S3CRET"}, "body.due", "int_parsing"),
    ],
)
def test_nothing_that_a_client_sent_is_told(sent: Any, field: str, kind: str) -> None:
    TestClient(product()).post("/orders/1", json=sent)
    assert ("POST", "/orders/{order_id}", field, kind, "") in counted()
    assert "S3CRET" not in repr(counted())


def test_a_body_that_is_no_json_is_counted_without_its_position() -> None:
    TestClient(product()).post("/orders/1", content=b"{", headers={"content-type": "application/json"})
    assert counted() == {("POST", "/orders/{order_id}", "body", "json_invalid", ""): 1}


def test_it_counts_whoever_answers() -> None:
    app = product()

    @app.exception_handler(RequestValidationError)
    async def answer(request: Request, error: RequestValidationError) -> Response:
        return JSONResponse({"errors": len(error.errors())}, 400)

    assert TestClient(app).post("/orders/1", json={}).status_code == 400
    assert counted() == {("POST", "/orders/{order_id}", "body.lines", "missing", ""): 1}


def test_validation_errors_of_the_app_count_when_they_are_answered_and_not_when_they_are_bugs() -> None:
    app = product()
    assert TestClient(app, raise_server_exceptions=False).get("/strict").status_code == 500
    assert counted() == {}
    other = product()

    @other.exception_handler(ValidationError)
    async def answer(request: Request, error: ValidationError) -> Response:
        return JSONResponse({}, 422)

    assert TestClient(other).get("/strict", headers=ACME).status_code == 422
    assert counted() == {("GET", "/strict", "Line.price", "float_parsing", "acme"): 1}


@pytest.mark.parametrize("status", [400, 422])
def test_details_as_fastapi_writes_them_count(status: int) -> None:
    TestClient(product()).get(f"/own?status={status}")
    assert counted() == {("GET", "/own", "body.*", "order.closed", ""): 1}


def test_other_refusals_do_not_count() -> None:
    client = TestClient(product())
    assert client.get("/own?status=409").status_code == 409
    assert client.get("/nowhere").status_code == 404
    assert counted() == {}


def test_a_websocket_that_is_refused_counts() -> None:
    app = product()

    @app.websocket("/live")
    async def live(socket: WebSocket, since: int) -> None:
        await socket.accept()

    with pytest.raises(Exception, match=r".*"), TestClient(app).websocket_connect("/live?since=x"):
        pass
    assert counted() == {("WS", "/live", "query.since", "int_parsing", ""): 1}


def test_fields_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "_FIELDS", 1)
    client = TestClient(product())
    for tenant in ("acme", "globex", "initech", "umbrella"):
        client.get("/pages?page=x&limit=x", headers={"X-Tenant-ID": tenant})
        client.post("/orders/x", json={"lines": []}, headers={"X-Tenant-ID": tenant})
    found = counted()
    assert sum(found.values()) == 12
    assert {tenant for *_, tenant in found} == {"acme", "globex", "initech", "umbrella"}
    assert len({key[:4] for key in found if key[2] != "other"}) == 1, found


def test_switched_off_nothing_is_patched() -> None:
    from starlette import _exception_handler

    original = _exception_handler._lookup_exception_handler
    made = RequestValidationError.__init__
    product()
    assert _exception_handler._lookup_exception_handler is not original
    instrument.switch_all_off()
    assert _exception_handler._lookup_exception_handler is original
    assert RequestValidationError.__init__ is made
