"""A request to a named address: TLS and the Host header still go by the name of the URL."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.notify.providers import notification
from tests.notify.wired import message_of

from tocsin.collect.scrape_config import Access
from tocsin.notify.contract import DeliveryError
from tocsin.notify.http import ask


@pytest.fixture
def https(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """The port of a server that is push.example, on 127.0.0.1, and the certificate to trust; it answers its Host."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "push.example")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("push.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = self.headers["host"].encode()
            self.send_response(201)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port, str(certificate)
    server.shutdown()
    thread.join()
    server.server_close()


def test_certificate_is_that_of_the_name_not_of_the_address(https: tuple[int, str]) -> None:
    port, certificate = https
    message = message_of(notification(), access=Access(tls={"ca_file": certificate}))
    answer = ask(message, "POST", f"https://push.example:{port}/1", content=b"x", address="127.0.0.1")
    assert (answer.status, answer.text) == (201, f"push.example:{port}")
    with pytest.raises(DeliveryError, match="certificate"):
        ask(message, "POST", f"https://other.example:{port}/1", content=b"x", address="127.0.0.1")
