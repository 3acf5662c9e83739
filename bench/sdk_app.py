"""The FastAPI app that the SDK's cost is measured on, and a server that is none: requests as plain calls."""

from __future__ import annotations

from typing import Any

HEADERS = [
    (b"host", b"shop.example.com"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"x-tenant-id", b"acme"),
    (b"connection", b"keep-alive"),
    (b"cookie", b"session=7c9e6679f3a84b2e"),
    (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
]


def create_app(routes: int) -> Any:
    from fastapi import APIRouter, FastAPI

    app = FastAPI()
    router = APIRouter(prefix="/api")

    async def filler(item_id: int) -> dict[str, int]:
        return {"item": item_id}

    for number in range(routes):
        router.add_api_route(f"/filler{number}/{{item_id}}", filler)

    @router.get("/items/{item_id}")
    async def read_item(item_id: int, q: str | None = None) -> dict[str, Any]:
        return {"item_id": item_id, "q": q, "tags": ["a", "b"]}

    app.include_router(router)
    return app


async def run_pass(app: Any, requests: int) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        pass

    for number in range(requests):
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("10.0.0.1", 8000),
            "client": ("10.1.2.3", 54321),
            "scheme": "http",
            "method": "GET",
            "root_path": "",
            "path": f"/api/items/{number % 1000}",
            "raw_path": f"/api/items/{number % 1000}".encode(),
            "query_string": b"q=abc",
            # Fresh containers, as a server makes them: what keeps them alive pays for it in the collector.
            "headers": [(name, value) for name, value in HEADERS],
            "state": {},
        }
        await app(scope, receive, send)
