"""What an HTTPS client's new connection took, part by part, and when the server's certificate ends."""

from __future__ import annotations

import http.server
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import httpx
import pytest
import urllib3
from fastapi import FastAPI
from fastapi.testclient import TestClient

import tocsin
from tocsin.sdk import instrument
from tocsin.testing import capture_spans

DAYS = 9


class Server(NamedTuple):
    url: str
    certificate: str


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that answers 204 over TLS, for a certificate of nine days."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    folder: Path = tmp_path_factory.mktemp("tls")
    key, certificate = str(folder / "key.pem"), str(folder / "certificate.pem")
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(DAYS), "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
    subprocess.run([program, *made, *names], check=True, capture_output=True)

    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http.server.ThreadingHTTPServer(("localhost", 0), Answer) as serving:
        serving.socket = context.wrap_socket(serving.socket, server_side=True)
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield Server(f"https://localhost:{serving.server_address[1]}/", certificate)
        serving.shutdown()


async def by_httpx(server: Server) -> None:
    with httpx.Client(verify=ssl.create_default_context(cafile=server.certificate), trust_env=False) as client:
        client.get(server.url)  # noqa: ASYNC212  the blocking client is what is tested
        client.get(server.url)  # noqa: ASYNC212  the blocking client is what is tested


async def by_httpx_async(server: Server) -> None:
    trusted = ssl.create_default_context(cafile=server.certificate)
    async with httpx.AsyncClient(verify=trusted, trust_env=False) as client:
        await client.get(server.url)
        await client.get(server.url)


async def by_urllib3(server: Server) -> None:
    with urllib3.PoolManager(ca_certs=server.certificate) as manager:
        manager.request("GET", server.url)
        manager.request("GET", server.url)


async def by_aiohttp(server: Server) -> None:
    trusted = ssl.create_default_context(cafile=server.certificate)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted)) as session:
        await (await session.get(server.url)).read()
        await (await session.get(server.url)).read()


WAYS: dict[Callable[[Server], Awaitable[None]], tuple[str, set[str]]] = {
    by_httpx: ("httpx", {"connect", "tls"}),
    by_httpx_async: ("httpx", {"connect", "tls"}),
    by_urllib3: ("urllib3", {"connect", "tls"}),
    by_aiohttp: ("aiohttp", {"connect", "dns"}),
}


@pytest.mark.parametrize("call", WAYS, ids=lambda call: call.__name__)
def test_a_new_connection_tells_its_parts_and_the_servers_certificate(
    server: Server, call: Callable[[Server], Awaitable[None]]
) -> None:
    async def handler() -> None:
        await call(server)

    app = FastAPI()
    tocsin.instrument(app)
    app.get("/work")(handler)
    with capture_spans() as captured:
        assert TestClient(app).get("/work").status_code == 200
        first, second = [span for span in captured.spans if "url.template" in span.attributes]
    client, parts = WAYS[call]
    told = {name.removeprefix("tocsin.http.").removesuffix("_ms"): value for name, value in first.attributes.items()
            if name.startswith("tocsin.http.")}  # fmt: skip
    assert set(told) == parts
    assert all(0 < value <= first.duration_seconds * 1000 for value in told.values())
    # The second uses the connection again; aiohttp tells how long it waited for it.
    assert not [name for name in second.attributes if name.endswith(("tls_ms", "dns_ms"))]
    (ends,) = [
        gauge.value
        for gauge in instrument.gauges()
        if gauge.name == "http_client_tls_expiry_timestamp_seconds" and gauge.labels["client"] == client
    ]
    assert ends == pytest.approx(time.time() + DAYS * 86_400, abs=120)
