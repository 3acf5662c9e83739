from __future__ import annotations

import asyncio
import base64
import json
import threading
from typing import Any

import pytest

import tocsin
from tocsin.sdk.tenant import TenantError, clean, parse_resolvers, resolve_first


def found(spec: Any, scope: dict[str, Any] | None = None, **headers: str) -> str:
    raw = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return resolve_first(parse_resolvers(spec), scope or {}, raw)


def token(claims: dict[str, Any]) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"Bearer e30.{body}.signature"


def test_tenant_is_found_in_a_header() -> None:
    assert found("header:X-Tenant-ID", x_tenant_id=" acme ") == "acme"
    assert found("header:X-Tenant-ID") == ""


def test_tenant_is_found_in_a_jwt_claim() -> None:
    assert found("jwt:org_id", authorization=token({"org_id": "acme"})) == "acme"
    assert found("jwt:org.id", authorization=token({"org": {"id": 42}})) == "42"
    assert found("jwt:https://acme.example/org", authorization=token({"https://acme.example/org": "acme"})) == "acme"


@pytest.mark.parametrize(
    "header", ["Basic abc", "Bearer abc", "Bearer a.b.c", "Bearer e30.W10.x", "Bearer " + "x" * 9000]
)
def test_tokens_that_are_no_jwt_give_no_tenant(header: str) -> None:
    assert found("jwt:org_id", authorization=header) == ""


def test_tenant_is_found_in_the_subdomain() -> None:
    assert found("subdomain", host="acme.example.com:8000") == "acme"
    assert found("subdomain", host="10.0.0.1:8000") == ""
    assert found("subdomain", host="www.example.com") == ""
    assert found("subdomain:example.com", host="acme.example.com") == "acme"
    assert found("subdomain:example.com", host="example.com") == ""
    assert found("subdomain:example.com", host="acme.evil.com") == ""


def test_tenant_is_found_in_the_path() -> None:
    assert found("path:org_id", {"path_params": {"org_id": 7}}) == "7"


def test_the_first_resolver_that_finds_something_wins() -> None:
    spec = "path:org, header:X-Tenant-ID"
    assert found(spec, {"path_params": {"org": "acme"}}, x_tenant_id="globex") == "acme"
    assert found(spec, {"path_params": {}}, x_tenant_id="globex") == "globex"


def test_a_callable_takes_the_scope() -> None:
    assert found(lambda scope: scope["state"]["org"], {"state": {"org": "acme"}}) == "acme"


@pytest.mark.parametrize("spec", ["cookie:org", "header", "jwt:", 7])
def test_a_resolver_that_does_not_exist_is_refused_at_start(spec: Any) -> None:
    with pytest.raises(TenantError, match="cannot find tenants by"):
        parse_resolvers(spec)


def test_a_tenant_is_short_and_printable() -> None:
    assert clean("acme\n\x00") == "acme"
    assert clean("a\x00b") == "ab"
    assert len(clean("x" * 1000)) == 128
    assert clean(None) == clean(0) == ""


def test_a_task_inherits_the_tenant_and_keeps_its_own() -> None:
    async def job(tenant: str) -> str | None:
        before = tocsin.current_tenant()
        tocsin.set_tenant(tenant)
        await asyncio.sleep(0)
        return f"{before} then {tocsin.current_tenant()}"

    async def start() -> None:
        tocsin.set_tenant("acme")
        results = await asyncio.gather(job("globex"), job("initech"))
        assert results == ["acme then globex", "acme then initech"]
        assert tocsin.current_tenant() == "acme"

    asyncio.run(start())


def test_a_wrapped_function_carries_the_tenant_into_threads() -> None:
    seen: list[str | None] = []

    def start() -> None:
        tocsin.set_tenant("acme")
        threads = [threading.Thread(target=tocsin.wrap(lambda: seen.append(tocsin.current_tenant()))) for _ in range(3)]
        threads.append(threading.Thread(target=lambda: seen.append(tocsin.current_tenant())))
        for thread in threads:
            thread.start()
            thread.join()

    runner = threading.Thread(target=start)
    runner.start()
    runner.join()
    assert seen == ["acme", "acme", "acme", None]


def test_a_tenant_can_be_taken_away() -> None:
    def start() -> None:
        tocsin.set_tenant("acme")
        tocsin.set_tenant(None)
        assert tocsin.current_tenant() is None

    tocsin.wrap(start)()
