"""redis-py watched from inside, against a real Redis: each number is what Redis itself has counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import tocsin
from tocsin.testing import Capture, CapturedSpan, capture_spans

redis = pytest.importorskip("redis")

ACME, GLOBEX = {"X-Tenant-ID": "acme"}, {"X-Tenant-ID": "globex"}


@pytest.fixture
def server(redis_port: int) -> Iterator[Any]:
    client = redis.Redis(port=redis_port)
    client.flushall()
    client.config_resetstat()
    yield client
    client.close()


def serve(handler: Callable[..., Any], **settings: Any) -> TestClient:
    app = FastAPI()
    tocsin.instrument(app, tenant="header:X-Tenant-ID", **settings)
    app.include_router(tocsin.metrics_router)
    app.get("/work")(handler)
    return TestClient(app)


def commands(captured: Capture) -> list[CapturedSpan]:
    return [span for span in captured.spans if span.attributes.get("db.system.name") == "redis"]


def calls_of(server: Any) -> dict[str, int]:
    """What Redis has counted, by command."""
    return {name.removeprefix("cmdstat_").upper(): row["calls"] for name, row in server.info("commandstats").items()}


def test_hits_and_misses_are_those_of_redis_itself(server: Any) -> None:
    server.set("user:1:profile", "s3cret")
    server.hset("cart:7", "total", "12")

    def handler() -> None:
        server.get("user:1:profile")
        server.get("user:2:profile")
        server.mget("user:1:profile", "user:3:profile", "user:4:profile")
        server.hget("cart:7", "total")
        server.hget("cart:8", "total")
        server.exists("user:1:profile", "user:9:profile")

    client = serve(handler)
    server.config_resetstat()
    with capture_spans() as captured:
        client.get("/work", headers=ACME)
        client.get("/work", headers=GLOBEX)
        spans = commands(captured)
    stats = server.info("stats")
    shown = client.get("/metrics").text
    for tenant in ("acme", "globex"):
        assert f'cache_hits_total{{cache="user:*:profile",tenant="{tenant}"}} 3' in shown
        assert f'cache_misses_total{{cache="user:*:profile",tenant="{tenant}"}} 4' in shown
        assert f'cache_hits_total{{cache="cart:*",tenant="{tenant}"}} 1' in shown
        assert f'cache_misses_total{{cache="cart:*",tenant="{tenant}"}} 1' in shown
    rows = [row for row in shown.splitlines() if row.startswith("cache_")]
    hits = sum(float(row.rpartition(" ")[2]) for row in rows if row.startswith("cache_hits"))
    misses = sum(float(row.rpartition(" ")[2]) for row in rows if row.startswith("cache_misses"))
    assert (hits, misses) == (stats["keyspace_hits"], stats["keyspace_misses"])
    counted = calls_of(server)
    for command in ("GET", "MGET", "HGET", "EXISTS"):
        assert sum(span.attributes["db.operation.name"] == command for span in spans) == counted[command]
        assert f'redis_command_duration_seconds_count{{command="{command}"}} {counted[command]}' in shown


def test_a_command_is_a_span_with_the_kind_of_its_key_and_no_value(server: Any) -> None:
    def handler() -> None:
        server.set("session:550e8400-e29b-41d4-a716-446655440000", "s3cret")
        server.eval("return 's3cret-script'", 0)
        server.echo("s3cret-word")

    client = serve(handler)
    with capture_spans() as captured:
        client.get("/work", headers=ACME)
        spans = commands(captured)
        told = str(captured.spans)
    assert [span.name for span in spans] == ["SET session:*", "EVAL", "ECHO"]
    assert {(span.parent, span.kind, span.tenant) for span in spans} == {("GET /work", "client", "acme")}
    assert "s3cret" not in told
    assert "550e8400" not in told


def test_a_pipeline_is_one_command_with_its_size(server: Any) -> None:
    def handler() -> None:
        with server.pipeline() as pipeline:
            pipeline.set("a:1", 1).get("a:1").get("a:2").mget("b:1", "b:2").execute()
        server.pipeline().execute()

    client = serve(handler)
    with capture_spans() as captured:
        client.get("/work")
        [span] = commands(captured)
    assert (span.name, span.attributes["db.operation.batch.size"]) == ("PIPELINE", 4)
    shown = client.get("/metrics").text
    assert 'cache_hits_total{cache="a:*"} 1' in shown
    assert 'cache_misses_total{cache="a:*"} 1' in shown
    assert 'cache_misses_total{cache="b:*"} 2' in shown


def test_a_failing_command_says_so_with_its_line(server: Any) -> None:
    def handler() -> str:
        server.set("a", "text")
        try:
            server.incr("a")
        except redis.ResponseError:
            return "refused"
        return "taken"

    client = serve(handler)
    with capture_spans() as captured:
        assert client.get("/work").json() == "refused"
        failed = next(span for span in commands(captured) if span.status == "error")
    assert failed.attributes["db.operation.name"] == "INCRBY"
    assert failed.attributes["error.type"].startswith("redis.exceptions.")
    assert failed.attributes["code.file.path"].endswith("test_redis.py")


def test_a_slow_command_says_which_line_sent_it(server: Any) -> None:
    def handler() -> None:
        server.blpop("queue:mail", timeout=0.05)

    client = serve(handler, slow_command_seconds=0.02)
    with capture_spans() as captured:
        client.get("/work")
        [span] = commands(captured)
    assert span.attributes["tocsin.slow"] is True
    assert span.attributes["code.function.name"] == "handler"
    assert span.duration_seconds >= 0.04


def test_the_asyncio_client_is_watched_alike(server: Any, redis_port: int) -> None:
    async def handler() -> None:
        client = redis.asyncio.Redis(port=redis_port)
        await asyncio.gather(*(client.get(f"user:{number}") for number in range(5)))
        async with client.pipeline() as pipeline:
            await pipeline.set("a:1", 1).execute()
        await client.aclose()

    client = serve(handler)
    server.config_resetstat()
    with capture_spans() as captured:
        client.get("/work", headers=ACME)
        spans = commands(captured)
    assert sum(span.name == "GET user:*" for span in spans) == calls_of(server)["GET"] == 5
    assert {span.tenant for span in spans} == {"acme"}
    assert "PIPELINE" in {span.name for span in spans}
    assert 'cache_misses_total{cache="user:*",tenant="acme"} 5' in client.get("/metrics").text
