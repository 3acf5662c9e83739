"""Receivers that really listen: HTTP with answers to order, and what was sent to them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from tocsin.model.alert import Alert
from tocsin.model.notification import Notification
from waiting import eventually

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
BEGAN = datetime(2026, 3, 1, 11, 48, tzinfo=UTC)


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass
class Told:
    """An answer: status, body, headers; `hang_seconds` before it."""

    status: int = 200
    body: Any = b"ok"
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_seconds: float = 0.0


@dataclass
class Provider:
    url: str
    asked: list[Asked]
    answers: list[Told]
    """Given one after the other; the last one again and again."""

    def wait(self, count: int) -> list[Asked]:
        return self.wait_for(lambda asked: len(asked) >= count, f"{count} requests arrive")

    def wait_for(self, is_it: Callable[[list[Asked]], object], what: str = "the request arrives") -> list[Asked]:
        return eventually(lambda: self.asked, what, pause_seconds=0.01, is_it=is_it)


@contextmanager
def provider(*answers: Told) -> Iterator[Provider]:
    asked: list[Asked] = []
    listed = list(answers) or [Told()]
    gone = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked.append(Asked(self.command, self.path, headers, body))
            told = listed[0] if len(listed) == 1 else listed.pop(0)
            if told.hang_seconds:
                gone.wait(told.hang_seconds)
            content = told.body if isinstance(told.body, bytes) else json.dumps(told.body).encode()
            try:
                self.send_response(told.status)
                for name, value in told.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                pass  # who asked did not wait

        do_GET = do_POST = do_PUT = _answer

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Provider(f"http://127.0.0.1:{server.server_port}", asked, listed)
    finally:
        gone.set()
        server.shutdown()
        thread.join()
        server.server_close()


def alert(name: str = "HighErrorRate", severity: str = "critical", tenant: str = "acme", **labels: str) -> Alert:
    return Alert(
        {"alertname": name, "severity": severity, "tenant": tenant, "service": "reports", **labels},
        {
            "summary": f"Every third export of {tenant} fails",
            "description": "The renderer answers 500.",
            "runbook_url": "https://runbooks.acme.example/exports",
        },
        starts_at=BEGAN,
        generator_url="https://tocsin.acme.example/metrics?query=up",
    )


def notification(
    *alerts: Alert, key: str = "n-1", receiver: str = "default", resolved: tuple[Alert, ...] = (), **more: Any
) -> Notification:
    firing = alerts or (() if resolved else (alert(),))
    return Notification(
        key=key,
        receiver=receiver,
        group_key='{}:{alertname="HighErrorRate"}',
        group_labels={"alertname": "HighErrorRate"},
        firing=firing,
        resolved=resolved,
        made_at=NOW,
        external_url="https://tocsin.acme.example",
        **more,
    )


def ended(one: Alert) -> Alert:
    return Alert(one.labels, one.annotations, starts_at=one.starts_at, ends_at=NOW, generator_url=one.generator_url)
