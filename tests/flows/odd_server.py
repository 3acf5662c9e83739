"""A server on the port where Tocsin should be, in one of several bad moods."""

from __future__ import annotations

import socket
import threading
from enum import StrEnum


class Mood(StrEnum):
    """How requests are answered."""

    WELL = "well"
    DOWN = "down"
    HANGING = "hanging"
    FAILING = "failing"
    GARBAGE = "garbage"
    SLOW = "slow"
    REFUSING = "refusing"


ANSWERS = {
    Mood.WELL: b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    Mood.FAILING: b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\nconnection: close\r\n\r\noops",
    Mood.GARBAGE: b"\x00\xff\xfe this is no HTTP \r\n\r\n" * 10,
    Mood.SLOW: b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    Mood.REFUSING: b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
}
SLOW_SECONDS = 2.0


class OddServer:
    """Listens on `port` while its mood is not DOWN."""

    def __init__(self, port: int) -> None:
        self.mood = Mood.DOWN
        self._port = port
        self._listener: socket.socket | None = None
        self._changed = threading.Event()
        self._threads: list[threading.Thread] = []

    def become(self, mood: Mood) -> None:
        """Behave like this from now on; connections of before are closed."""
        self._changed.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._changed = threading.Event()
        self.mood = mood
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if mood is not Mood.DOWN:
            self._listener = socket.create_server(("127.0.0.1", self._port))
            self._listener.settimeout(0.05)
            self._run(self._accept, self._listener)

    def _run(self, target: object, connection: socket.socket) -> None:
        thread = threading.Thread(target=target, args=(connection, self._changed), daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket, changed: threading.Event) -> None:
        while not changed.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            self._run(self._answer, connection)

    def _answer(self, connection: socket.socket, changed: threading.Event) -> None:
        with connection:
            if self.mood is Mood.HANGING:
                changed.wait()
                return
            try:
                _read_request(connection)
                if self.mood is Mood.SLOW:
                    changed.wait(SLOW_SECONDS)
                connection.sendall(ANSWERS[self.mood])
            except OSError:
                pass  # the sender lost patience


def _read_request(connection: socket.socket) -> None:
    connection.settimeout(2)
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65536)
        if not part:
            return
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    left = length - len(body)
    while left > 0 and (part := connection.recv(65536)):
        left -= len(part)
