"""A secret planted anywhere in a request reaches neither the wire nor a file; every byte that leaves is looked at."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from loguru import logger as loguru_logger
from sqlalchemy import create_engine, text

import tocsin
from sdk.receiver import Receiver
from tocsin.sdk.agents import current_agent
from waiting import eventually

PASSWORD = "hunter2-planted"
KEY = "AKIA" + "QWERTYUIOPASDFGH"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0NzExIn0.c2lnbmF0dXJlLXBsYW50ZWQ"
CARD = "4242 4242 4242 4242"
PLANTED = (PASSWORD, KEY, TOKEN, CARD, CARD.replace(" ", ""))
log = logging.getLogger("shop")


def by_message() -> None:
    log.warning("password=%s key %s card %s", PASSWORD, KEY, CARD)


def by_fields() -> None:
    card = {"number": CARD, "cvv": "123", "owner": {"password": PASSWORD}}
    log.warning(
        "fields", extra={"api_key": KEY, "card": card, "note": f"token {TOKEN}", "list": [KEY, (PASSWORD,)][:1]}
    )


def by_headers(request: Request) -> None:
    log.warning(
        "headers %s", dict(request.headers), extra={"headers": request.headers.items(), "raw": request.headers.raw}
    )


def by_exception() -> None:
    raise RuntimeError(f"cannot connect to postgres://shop:{PASSWORD}@db/shop with {KEY}")


def by_cause() -> None:
    try:
        by_exception()
    except RuntimeError as error:
        raise ValueError(f"Authorization: Bearer {TOKEN}") from error


def by_logged_exception() -> None:
    try:
        by_cause()
    except ValueError:
        log.exception("failed")


def by_sql() -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE users (name TEXT UNIQUE, password TEXT)"))
        for _ in range(2):
            row = {"name": "ada", "password": PASSWORD}
            connection.execute(text("INSERT INTO users VALUES (:name, :password)"), row)


def by_sql_text() -> None:
    with create_engine("sqlite://", echo=True).connect() as connection:
        connection.execute(text(f"SELECT '{KEY}', :password"), {"password": PASSWORD})


def by_span() -> None:
    with tocsin.span("work", password=PASSWORD, note=f"used {KEY}") as span:
        span.add_event("paid", {"card": CARD, "note": CARD})
        span.set_attribute("http.request.header.authorization", f"Bearer {TOKEN}")


def by_structlog() -> None:
    structlog.configure(processors=[lambda *_: ""], logger_factory=structlog.ReturnLoggerFactory())
    structlog.get_logger().bind(password=PASSWORD).error(f"used {KEY}", token=TOKEN, card=CARD)
    structlog.reset_defaults()


def by_loguru() -> None:
    loguru_logger.bind(password=PASSWORD).error("used {} and {}", KEY, CARD)


PLACES: list[Callable[..., None]] = [
    by_message, by_fields, by_headers, by_exception, by_cause, by_logged_exception, by_sql, by_sql_text, by_span,
    by_structlog, by_loguru,
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_what_is_planted_does_not_leave(place: Callable[..., None], receiver: Receiver, tmp_path: Path) -> None:
    level = logging.getLogger().level
    app = FastAPI()
    tocsin.instrument(app, endpoint=receiver.endpoint, service="shop")

    @app.get("/{path:path}")
    def serve(path: str, request: Request) -> str:
        place(request) if place is by_headers else place()
        log.warning("done")
        return "ok"

    output = tocsin.logs.to_file(tmp_path / "app.jsonl", level="DEBUG")
    headers = {"authorization": f"Bearer {TOKEN}", "cookie": f"session={PASSWORD}", "x-api-key": KEY,
               "user-agent": f"client {KEY}"}  # fmt: skip
    query = {"password": PASSWORD, "q": KEY, "next": f"https://x.example/?token={TOKEN}", "card": CARD}
    try:
        with TestClient(app, raise_server_exceptions=False) as client:
            client.get(f"/reset/{TOKEN}", headers=headers, params=query)
        agent = current_agent()
        assert agent is not None
        agent.exporter.flush(5)
        eventually(lambda: receiver.bodies("/v1/traces"), "the spans arrive")
    finally:
        tocsin.logs.off(output)
        logging.getLogger().setLevel(level)
    sent = b"".join(body for path in ("/v1/traces", "/v1/logs", "/v1/metrics") for body in receiver.bodies(path))
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"reset" in sent
    assert b"[redacted:" in sent
    for secret in PLANTED:
        assert secret.encode() not in sent
        assert secret.encode() not in written
