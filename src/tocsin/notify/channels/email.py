"""E-mail by SMTP: STARTTLS or TLS, signed in, with a plain and an HTML alternative.

Sources: RFC 5321 (4yz may be tried again, 5yz not), RFC 5322 and 3834 (Message-ID, References, Auto-Submitted),
prometheus.io/docs/alerting/latest/configuration (email_config). One Message-ID a notification, so a mail that went
out twice is one to mail programs; mails of one group are a thread.
"""

from __future__ import annotations

import ast
import hashlib
import json
import smtplib
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import formatdate, getaddresses

from tocsin.collect.tls import tls_context
from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.model.severity import Severity, is_known, severity_of
from tocsin.notify.contract import DeliveryError, Message, Origin, Pace, missing
from tocsin.notify.http import told
from tocsin.notify.render import html_of

ALERTMANAGER = Origin(
    ("email_configs",),
    {
        "smtp_from": "sender",
        "smtp_smarthost": "smarthost",
        "smtp_hello": "hello",
        "smtp_auth_username": "auth_username",
        "smtp_auth_password": "auth_password",
        "smtp_require_tls": "require_tls",
        "smtp_tls_config": "tls_config",
    },
    renamed={"from": "sender"},
    send_resolved=False,
)
PACE = Pace(0.2, burst=20)
TLS_PORT = 465


@dataclass(frozen=True)
class Settings:
    """The mail server and whom it writes to."""

    to: tuple[str, ...] = setting((), help="Addresses that get every alert `recipients` has no list for.")
    recipients: str = setting(
        "",
        help='Addresses by severity as JSON, such as {"critical": ["oncall@acme.example"], "low": []}; severities are '
        "those of any vocabulary.",
        env=("ALERT_RECIPIENTS",),
    )
    sender: str = setting("", help="Address the mails come from.")
    smarthost: str = setting("", help="Mail server as host:port, such as smtp.acme.example:587; port 465 is TLS.")
    hello: str = setting("", help="Name this machine greets with; empty for its own.")
    auth_username: str = setting("", help="User name at the mail server; empty for none.")
    auth_password: str = setting("", help="Its password.", secret=True)
    require_tls: bool = setting(True, help="Refuse to send over a connection that STARTTLS did not secure.")
    implicit_tls: bool | None = setting(None, help="TLS from the first byte; unset: on port 465 alone.")
    tls_ca_file: str = setting("", help="Certificates to trust, where the mail server's authority is your own.")
    headers: tuple[str, ...] = setting((), help='Further headers as "Name=value"; Subject replaces ours.')
    text: str = setting("", help="Plain text instead of ours.")
    html: str = setting("", help="HTML instead of ours.")

    def __post_init__(self) -> None:
        recipients_of(self.recipients)

    @property
    def lacks(self) -> str:
        return missing(to=self.to or self.recipients, sender=self.sender, smarthost=self.smarthost)


def send(settings: Settings, message: Message) -> Receipt:
    addresses = _addresses(settings, message.notification.severity)
    if not addresses:
        raise DeliveryError("nobody is to be written to at this severity; set notify_email.to", retryable=False)
    mail = mail_of(settings, message, addresses)
    try:
        with _connected(settings, message) as server:
            refused = server.send_message(mail, settings.sender, addresses)
    except smtplib.SMTPRecipientsRefused as error:
        raise _refused(error) from error
    except smtplib.SMTPResponseException as error:
        said = _said(error.smtp_error)
        reason = f"the mail server answered {error.smtp_code}: {said}"
        raise DeliveryError(reason, retryable=400 <= error.smtp_code < 500 or error.smtp_code == -1) from error
    except smtplib.SMTPNotSupportedError as error:
        raise DeliveryError(f"the mail server cannot do what is asked: {error}", retryable=False) from error
    except ssl.SSLCertVerificationError as error:
        raise DeliveryError(f"the mail server's certificate is not trusted: {error}", retryable=False) from error
    except (smtplib.SMTPException, OSError) as error:
        raise DeliveryError(f"cannot reach {settings.smarthost}: {error}", retryable=True) from error
    left = f"not taken for {', '.join(refused)}" if refused else f"to {', '.join(addresses)}"
    return message.sent(mail["Message-ID"], left)


def recipients_of(text: str) -> dict[Severity, tuple[str, ...]]:
    """Addresses by severity. Raises ValueError when the text is not such a map, or names an unknown severity."""
    if not text.strip():
        return {}
    try:
        table = json.loads(text)
    except json.JSONDecodeError:
        try:
            table = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            raise ValueError(f"recipients is no JSON object: {error}; write severity: [addresses]") from error
    if not isinstance(table, Mapping):
        raise ValueError('recipients is no JSON object; write {"critical": ["ops@acme.example"]}')  # noqa: TRY004 - input
    found: dict[Severity, tuple[str, ...]] = {}
    for name, addresses in table.items():
        if not is_known(str(name)):
            raise ValueError(f"recipients names the severity {name!r}; use critical, high, medium, low or P0 to P4")
        listed = [addresses] if isinstance(addresses, str) else addresses
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise ValueError(f'recipients of {name!r} are no list of addresses; write ["ops@acme.example"]')
        found[severity_of(str(name))] = tuple(listed)
    # Where nothing is said of P0, the next worst answers for it.
    if Severity.P1 in found:
        found.setdefault(Severity.P0, found[Severity.P1])
    return found


def mail_of(settings: Settings, message: Message, addresses: Iterable[str]) -> EmailMessage:
    """The mail. Raises DeliveryError when a configured header cannot be one."""
    mail = EmailMessage()
    domain = settings.sender.rpartition("@")[2].strip("> ") or "tocsin"
    group = hashlib.sha256(message.notification.group_key.encode()).hexdigest()[:24]
    try:
        mail["Subject"] = _line(message.text.title)
        mail["From"] = settings.sender
        mail["To"] = ", ".join(addresses)
        mail["Date"] = formatdate(message.now.timestamp(), usegmt=True)
        mail["Message-ID"] = f"<{hashlib.sha256(message.key.encode()).hexdigest()[:32]}@{domain}>"
        mail["References"] = f"<group.{group}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Priority"] = "1" if message.notification.firing and message.text.severity <= Severity.P1 else "3"
        for pair in settings.headers:
            name, _, value = pair.partition("=")
            del mail[name]
            mail[name.strip()] = _line(message.worded(value, message.text.title))
    except (ValueError, MessageError) as error:
        raise DeliveryError(f"a header of the mail is wrong: {error}", retryable=False) from error
    mail.set_content(message.worded(settings.text, message.text.plain))
    picture = None if settings.html else message.chart()
    image, caption = (f"chart@{domain}", picture.caption) if picture else ("", "")
    rich = html_of(message.text, f"cid:{image}" if image else "", caption)
    mail.add_alternative(message.worded(settings.html, rich), subtype="html")
    if picture:
        page = list(mail.iter_parts())[1]
        assert isinstance(page, EmailMessage)
        page.add_related(picture.png, "image", "png", cid=f"<{image}>", filename="chart.png", disposition="inline")
    return mail


def _connected(settings: Settings, message: Message) -> smtplib.SMTP:
    host, _, port_text = settings.smarthost.rpartition(":")
    host, port = (host.strip("[]"), int(port_text)) if host and port_text.isdigit() else (settings.smarthost, 25)
    context = _tls(settings, message)
    hello = settings.hello or socket.gethostname()
    if settings.implicit_tls or (settings.implicit_tls is None and port == TLS_PORT):
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, hello, timeout=message.timeout_seconds, context=context)
    else:
        server = smtplib.SMTP(host, port, hello, timeout=message.timeout_seconds)
    try:
        _enter(server, settings, context)
    except BaseException:
        server.close()
        raise
    return server


def _enter(server: smtplib.SMTP, settings: Settings, context: ssl.SSLContext) -> None:
    server.ehlo_or_helo_if_needed()
    if not isinstance(server, smtplib.SMTP_SSL):
        if server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
        elif settings.require_tls:
            raise DeliveryError(
                "the mail server offers no STARTTLS; use one that does, or set require_tls = false", retryable=False
            )
    if settings.auth_username:
        server.login(settings.auth_username, settings.auth_password)


def _tls(settings: Settings, message: Message) -> ssl.SSLContext:
    own = {"ca_file": settings.tls_ca_file} if settings.tls_ca_file else {}
    return tls_context({**message.access.tls, **own})


def _addresses(settings: Settings, severity: Severity) -> list[str]:
    listed = recipients_of(settings.recipients).get(severity, settings.to)
    return [address for _, address in getaddresses(list(listed)) if address]


def _refused(error: smtplib.SMTPRecipientsRefused) -> DeliveryError:
    codes = [code for code, _ in error.recipients.values()]
    said = "; ".join(f"{who}: {code} {_said(words)}" for who, (code, words) in error.recipients.items())
    return DeliveryError(f"the mail server takes none of the addresses: {said}", retryable=any(c < 500 for c in codes))


def _said(words: bytes | str) -> str:
    return told(words.decode("utf-8", "replace") if isinstance(words, bytes) else words)


def _line(text: str) -> str:
    return " ".join(text.split())
