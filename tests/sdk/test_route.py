from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router
from starlette.staticfiles import StaticFiles

import tocsin
from tocsin.testing import capture_spans


def answer(request: Any = None) -> PlainTextResponse:
    return PlainTextResponse("ok")


def read(item_id: str = "", org_id: str = "") -> str:
    return item_id


def fastapi_app(static: str) -> FastAPI:
    app = FastAPI()
    app.get("/direct/{item_id}")(read)
    inner = APIRouter(prefix="/inner")
    inner.get("/{item_id}")(read)
    outer = APIRouter(prefix="/outer/{org_id}")
    outer.include_router(inner, prefix="/middle")
    outer.add_route("/plain/{item_id}", answer)
    app.include_router(outer, prefix="/v1")

    sub = FastAPI()
    sub.get("/items/{item_id}")(read)
    nested = APIRouter(prefix="/nested")
    nested.get("/{item_id}")(read)
    sub.include_router(nested)
    deep = FastAPI()
    deep.get("/{item_id}")(read)
    sub.mount("/deep", deep)
    app.mount("/sub", sub)
    app.mount("/orgs/{org_id}/app", sub)
    app.mount("/starlette", Starlette(routes=[Route("/items/{item_id}", answer)]))
    app.mount("/static", StaticFiles(directory=static))
    app.add_route("/raw/{item_id:int}", answer)
    app.add_route("/raw", answer)
    app.get("/files/{path:path}")(lambda path: path)
    return app


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/direct/7", "/direct/{item_id}"),
        ("/v1/outer/acme/middle/inner/7", "/v1/outer/{org_id}/middle/inner/{item_id}"),
        ("/v1/plain/7", "/v1/plain/{item_id}"),
        ("/sub/items/7", "/sub/items/{item_id}"),
        ("/sub/nested/7", "/sub/nested/{item_id}"),
        ("/sub/deep/7", "/sub/deep/{item_id}"),
        ("/orgs/acme/app/items/7", "/orgs/{org_id}/app/items/{item_id}"),
        ("/orgs/acme/app/nested/acme", "/orgs/{org_id}/app/nested/{item_id}"),
        ("/starlette/items/7", "/starlette/items/{item_id}"),
        ("/static/a.txt", "/static/{path}"),
        ("/static/none.txt", "/static/{path}"),
        ("/raw/7", "/raw/{item_id}"),
        ("/raw", "/raw"),
        ("/docs", "/docs"),
        ("/openapi.json", "/openapi.json"),
        ("/files/a/b/c", "/files/{path:path}"),
        ("/nowhere/7", "unmatched"),
        ("/sub/nowhere", "unmatched"),
        ("/v1/outer/acme/nowhere", "unmatched"),
    ],
)
def test_fastapi_routes_have_their_whole_template(path: str, route: str, tmp_path: Any) -> None:
    (tmp_path / "a.txt").write_text("a")
    app = tocsin.instrument(fastapi_app(str(tmp_path)))
    with capture_spans() as captured:
        TestClient(app).get(path)
    [request] = captured.spans
    assert request.attributes["http.route"] == route


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/items/7", "/items/{item_id}"),
        ("/mount/items/7", "/mount/items/{item_id}"),
        ("/orgs/acme/items/7", "/orgs/{org_id}/items/{item_id}"),
        ("/router/items/7", "/router/items/{item_id}"),
        ("/mount/none", "unmatched"),
        ("/none", "unmatched"),
    ],
)
def test_starlette_routes_have_their_whole_template(path: str, route: str) -> None:
    routes = [Route("/items/{item_id}", answer)]
    app = Starlette(
        routes=[
            *routes,
            Mount("/mount", routes=routes),
            Mount("/orgs/{org_id}", app=Starlette(routes=routes)),
            Mount("/router", app=Router(routes)),
        ]
    )
    tocsin.instrument(app)
    with capture_spans() as captured:
        TestClient(app).get(path)
    [request] = captured.spans
    assert request.attributes["http.route"] == route


def test_a_proxys_prefix_is_no_part_of_the_route() -> None:
    app = tocsin.instrument(fastapi_app("."))
    with capture_spans() as captured:
        client = TestClient(app, root_path="/proxy")
        client.get("/proxy/direct/7")
        client.get("/proxy/sub/items/7")
    assert [span.attributes["http.route"] for span in captured.spans] == ["/direct/{item_id}", "/sub/items/{item_id}"]
