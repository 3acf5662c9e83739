"""Keys of Redis held against the request's tenant, against a real Redis: other tenants' are found, nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

import tocsin
from sdk.instrument.tenanted import ACME, GLOBEX, counted, crossings, serve
from tocsin.sdk.isolation import IsolationError, declared, read_key_patterns
from tocsin.sdk.isolation_findings import findings
from tocsin.testing import Capture, capture_spans

redis = pytest.importorskip("redis")
KEYS = "tenant_isolation_keys_total"


@pytest.fixture(autouse=True)
def _fresh_declaration() -> Iterator[None]:
    findings.forget()
    declared.forget()
    yield
    declared.forget()


@pytest.fixture
def store(redis_port: int) -> Iterator[Any]:
    client = redis.Redis(port=redis_port)
    client.flushall()
    yield client
    client.close()


def visit(
    handler: Callable[..., Any], *visits: dict[str, str], **settings: Any
) -> tuple[list[tuple[str, str, str, str]], TestClient, Capture]:
    client = serve(handler, **settings)
    with capture_spans() as captured:
        for headers in visits or (ACME,):
            assert client.get("/work", headers=headers).status_code == 200
        captured.records  # noqa: B018  drains what the request has left
    return crossings(captured), client, captured


def one_command(store: Any) -> None:
    store.get("org:globex:invoice:77")


def some_keys(store: Any) -> None:
    store.mget("org:acme:a", "org:globex:invoice:77")


def written(store: Any) -> None:
    store.mset({"org:acme:a": 1, "org:globex:b": 2})


def piped(store: Any) -> None:
    with store.pipeline() as pipeline:
        pipeline.get("org:acme:a").set("org:globex:b", "s3cret").execute()


def bytes_and_tag(store: Any) -> None:
    store.hset(b"org:globex:b", "field", "s3cret")


WAYS = [one_command, some_keys, written, piped, bytes_and_tag]


@pytest.mark.parametrize("way", WAYS)
def test_a_declared_key_of_another_tenant_is_a_crossing(store: Any, way: Callable[[Any], None]) -> None:
    tocsin.isolation(key_patterns=["org:{tenant}:*"])
    found, _, captured = visit(lambda: way(store))
    assert found == [("key", "org:{tenant}:*", "acme", "globex")]
    [event] = [record for record in captured.records if record.event == "tocsin.isolation.crossing"]
    assert event.severity == 21
    assert event.body == "globex's key org:{tenant}:* was used in a request of acme"
    assert event.attributes["code.file.path"].endswith("test_isolation_keys.py")
    assert event.attributes["db.query.text"].endswith(" org:{tenant}:*")
    told = str([record.attributes for record in captured.records])
    assert "s3cret" not in told
    assert "invoice" not in told


@pytest.mark.parametrize("is_piped", [False, True])
def test_asynchronous_clients_are_checked(redis_port: int, is_piped: bool) -> None:
    import redis.asyncio

    tocsin.isolation(key_patterns=["org:{tenant}:*"])

    async def handler() -> None:
        async with redis.asyncio.Redis(port=redis_port) as client:
            if is_piped:
                async with client.pipeline() as pipeline:
                    for tenant in ("globex", "acme"):
                        pipeline.get(f"org:{tenant}:a")
                    await pipeline.execute()
            else:
                await asyncio.gather(client.get("org:globex:a"), client.get("org:acme:a"))

    found, shown, _ = visit(handler)
    assert found == [("key", "org:{tenant}:*", "acme", "globex")]
    assert counted(shown, KEYS) == {'{result="scoped",tenant="acme"}': 2}


def test_a_key_that_was_its_tenants_own_is_another_ones_in_the_next_request(store: Any) -> None:
    """What is remembered of a key is whose own it was, never that it was in order."""
    tocsin.isolation(key_patterns=["org:{tenant}:*"])

    def handler() -> None:
        for _ in range(3):
            store.get("org:acme:a")

    found, client, _ = visit(handler, ACME, GLOBEX, ACME, {})
    assert set(found) == {("key", "org:{tenant}:*", "globex", "acme")}
    assert counted(client, KEYS) == {
        '{result="scoped",tenant="acme"}': 6,
        '{result="scoped",tenant="globex"}': 3,
        '{reason="no_tenant",result="not_checked"}': 3,
    }


def test_own_keys_are_counted_and_no_crossing(store: Any) -> None:
    tocsin.isolation(key_patterns=["everybody:*", "org:{tenant}:*"], shared=["all"])

    def handler() -> None:
        for key in ("org:acme:a", "organ:x", "org:ACME:b", "org:all:c", "everybody:globex:c", "other:globex"):
            store.get(key)
        store.echo("org:globex:a")

    found, client, _ = visit(handler)
    assert found == []
    assert counted(client, KEYS) == {'{result="scoped",tenant="acme"}': 3}


def test_undeclared_keys_need_proof_and_a_tenant_that_is_known(store: Any) -> None:
    def handler(key: str = "org:globex:a") -> None:
        store.get(key)

    client = serve(handler)
    with capture_spans() as captured:

        def ask(key: str, headers: dict[str, str]) -> list[Any]:
            assert client.get("/work", params={"key": key}, headers=headers).status_code == 200
            return crossings(captured)

        assert ask("org:globex:a", ACME) == []  # nobody has named himself there
        assert ask("org:acme:a", ACME) == []
        assert ask("org:settings:a", ACME) == []  # no tenant that is known
        assert ask("org:globex:a", GLOBEX) == []
        assert ask("org:globex:a", ACME) == [("key", "org:{tenant}:*", "acme", "globex")]
        assert ask("user:globex:a", ACME) == ask("forg:globex:a", ACME) == ask("org:globex:a", GLOBEX)
    assert {record.severity for record in captured.records if "isolation" in record.event} == {13}
    assert 'tenant_isolation_suspicions_total{role="owner",table="org:{tenant}:*",tenant="globex"} 1' in (
        client.get("/metrics").text
    )
    assert counted(client, "tenant_isolation_crossings_total") == {}


def test_small_numbers_need_two_tenants_as_proof(store: Any) -> None:
    def handler(key: str) -> None:
        store.get(key)

    client = serve(handler)
    with capture_spans() as captured:
        for tenant, key, expected in (
            ("1", "org:1:a", 0), ("2", "other", 0), ("1", "org:2:a", 0), ("2", "org:2:a", 0), ("1", "org:2:a", 1),
        ):  # fmt: skip
            client.get("/work", params={"key": key}, headers={"X-Tenant-ID": tenant})
            assert len(crossings(captured)) == expected, key


def test_a_pattern_that_fits_every_key_needs_a_known_tenant(store: Any) -> None:
    tocsin.isolation(key_patterns=["{tenant}:*"])

    def handler() -> None:
        for key in ("session:1", "acme:a", "globex:a"):
            store.get(key)

    found, *_ = visit(handler, ACME)
    assert found == []
    found, *_ = visit(handler, GLOBEX, ACME)
    assert found == [("key", "{tenant}:*", "acme", "globex"), ("key", "{tenant}:*", "globex", "acme")]


def test_work_across_tenants_is_let_through_and_counted(store: Any) -> None:
    tocsin.isolation(key_patterns=["org:{tenant}:*"])

    def handler() -> None:
        with tocsin.cross_tenant("move an organisation"):
            store.get("org:globex:a")

    found, client, captured = visit(handler)
    assert found == []
    assert counted(client, KEYS) == {'{result="exempt",tenant="acme"}': 1}
    assert "tocsin.isolation.exempt" in [record.event for record in captured.records]


def test_the_mapping_of_rows_holds_for_keys(store: Any) -> None:
    tocsin.isolation(key_patterns=["org:{tenant}:*"], tenant_key={"acme": 17, "globex": 18}.get)

    def handler() -> None:
        store.get("org:17:a")
        store.get("org:acme:a")
        store.get("org:18:a")

    found, client, _ = visit(handler, {"X-Tenant-ID": "nobody"})
    assert found == []
    assert counted(client, KEYS) == {'{reason="unknown_key",result="not_checked",tenant="nobody"}': 3}
    found, _, _ = visit(handler, ACME)
    assert found == [("key", "org:{tenant}:*", "acme", "18")]


def test_another_kind_of_name_proves_nothing(store: Any) -> None:
    tocsin.isolation(key_patterns=["org:{tenant}:*"])
    found, client, _ = visit(lambda: store.get("org:18:a"))
    assert found == []
    assert counted(client, KEYS) == {'{reason="unknown_key",result="not_checked",tenant="acme"}': 1}


def test_work_without_a_tenant_is_counted_as_not_checked(store: Any) -> None:
    tocsin.isolation(key_patterns=["org:{tenant}:*"])
    found, client, _ = visit(lambda: store.get("org:globex:a"), {})
    assert found == []
    assert counted(client, KEYS) == {'{reason="no_tenant",result="not_checked"}': 1}


@pytest.mark.parametrize("off", [{"isolation_ratio": 0}, {"instruments": "redis"}])
def test_it_is_off_where_the_monitor_is(store: Any, off: dict[str, Any]) -> None:
    tocsin.isolation(key_patterns=["org:{tenant}:*"])
    found, client, _ = visit(lambda: store.get("org:globex:a"), **off)
    assert found == []
    assert counted(client, KEYS) == {}


def test_patterns_come_from_the_settings(store: Any) -> None:
    found, *_ = visit(lambda: store.get("cache|globex|a"), isolation_key_patterns=("cache|{tenant}|*",))
    assert found == [("key", "cache|{tenant}|*", "acme", "globex")]


@pytest.mark.parametrize("wrong", ["org:{tenant}:*", ["*"], ["{tenant}:{tenant}"]])
def test_a_pattern_that_says_nothing_is_refused(wrong: Any) -> None:
    with pytest.raises(IsolationError, match="cannot read key"):
        read_key_patterns(wrong)
