"""A real SMTP server with a certificate of its own authority, accounts and every mail it took."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "tocsin", "letters of acme"


@dataclass
class MailServer:
    host: str
    port: int
    ca_file: str
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    was_tls: list[bool] = field(default_factory=list)
    signed_in: list[bool] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """What RCPT answers by address."""
    data_answer: str = "250 OK"

    @property
    def smarthost(self) -> str:
        return f"{self.host}:{self.port}"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.data_answer.startswith("250"):
            mail = message_from_bytes(envelope.content or b"", policy=policy.default)
            assert isinstance(mail, EmailMessage)
            self.mails.append(mail)
            self.recipients.append(list(envelope.rcpt_tos))
            self.was_tls.append(session.ssl is not None)
            self.signed_in.append(bool(session.authenticated))
        return self.data_answer


def certificate(folder: Path) -> tuple[Path, Path]:
    """(certificate, key) of localhost, its own authority; made by openssl."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mail_server(folder: Path, *, starttls: bool = True, implicit: bool = False) -> Iterator[MailServer]:
    cert, key = certificate(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    there = MailServer("localhost", 0, str(cert))

    def sign_in(_server: SMTP, _session: Session, _envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        is_right = isinstance(data, LoginPassword) and data == LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_right, handled=False)

    options: dict[str, Any] = {"authenticator": sign_in, "auth_require_tls": not implicit}
    if starttls and not implicit:
        options |= {"tls_context": context, "require_starttls": True}
    there.port = _free_port()  # the controller cannot take port 0
    controller = Controller(there, "127.0.0.1", there.port, ssl_context=context if implicit else None, **options)
    controller.start()
    try:
        yield there
    finally:
        controller.stop()
