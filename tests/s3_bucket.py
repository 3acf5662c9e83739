"""As much of S3 as the engine speaks to write a small file and read it back; asks for a signature, does not check it.

For tests where no S3 can run. The answers follow the documentation of S3's REST API.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

MISSING = {
    "NoSuchBucket": "The specified bucket does not exist",
    "NoSuchKey": "The specified key does not exist.",
    "AccessDenied": "Access Denied",
}


@contextmanager
def running_bucket(name: str) -> Iterator[str]:
    """The URL of an S3 that has this bucket and no other."""
    objects: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            data = self.rfile.read(int(self.headers["content-length"]))
            if self._is_allowed():
                objects[self._key] = data
                self._answer(200, b"")

        def do_GET(self) -> None:
            if not self._is_allowed():
                return
            if self._key not in objects:
                self._refuse(404, "NoSuchKey")
                return
            data = objects[self._key]
            found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
            if not found:
                self._answer(200, data, data)
                return
            first, last = int(found[1]), min(int(found[2] or len(data) - 1), len(data) - 1)
            content_range = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
            self._answer(206, data[first : last + 1], data, content_range)

        do_HEAD = do_GET

        @property
        def _key(self) -> str:
            return unquote(urlsplit(self.path).path).lstrip("/")

        def _is_allowed(self) -> bool:
            if not self.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 Credential="):
                self._refuse(403, "AccessDenied")
                return False
            if self._key.partition("/")[0] != name:
                self._refuse(404, "NoSuchBucket")
                return False
            return True

        def _refuse(self, status: int, code: str) -> None:
            text = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{MISSING[code]}</Message></Error>'
            self._answer(status, text.encode(), more={"Content-Type": "application/xml"})

        def _answer(self, status: int, data: bytes, of: bytes = b"", more: dict[str, str] | None = None) -> None:
            self.send_response(status)
            headers = {"Content-Length": str(len(data)), "ETag": f'"{hashlib.md5(of).hexdigest()}"'}
            headers["Last-Modified"] = "Sat, 21 Nov 2026 10:00:00 GMT"
            for key, value in (headers | (more or {})).items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
