"""A target to scrape: a real HTTP server that shows what a test tells it to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from waiting import PATIENCE_SECONDS


class Shown:
    """What the target answers. With `is_endless` it never stops."""

    def __init__(self) -> None:
        self.text = "m 1\n"
        self.status = 200
        self.content_type = "text/plain; version=0.0.4"
        self.is_endless = False
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.address = ""


@contextmanager
def target() -> Iterator[Shown]:
    shown = Shown()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(shown.status)
            self.send_header("content-type", shown.content_type)
            self.end_headers()
            try:
                self.wfile.write(shown.text.encode())
                while shown.is_endless:
                    self.wfile.write(b"# more\n")
                    time.sleep(0.001)
            except OSError:
                pass  # the scraper has left

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    shown.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield shown
    shown.is_endless = False
    server.shutdown()
    server.server_close()
    thread.join(PATIENCE_SECONDS)
