"""Syslog over UDP and TCP: messages become log records and go through the gate in batches.

Off unless an address is set. Syslog has neither keys nor acknowledgements: who may send is said by `sources`, and what
a sender hands over in the last tenth of a second before a crash is lost. A TCP sender is made to wait while the spool
takes nothing; over UDP there is no way to, so that is counted.
"""

from __future__ import annotations

import asyncio
import ipaddress
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from prometheus_client import Counter

from tocsin.ingest.gate import Admission, Refused
from tocsin.ingest.log_batch import LogBatch
from tocsin.ingest.syslog_parse import read_message
from tocsin.model.settings import setting

log = structlog.get_logger("tocsin.syslog")

BATCH_SECONDS = 0.1
BATCH_MESSAGES = 2000
WAITING_MESSAGES = 50_000
RETRY_SECONDS = 1.0
MAX_FUTURE_NS = 600 * 10**9  # a message from further ahead counts as sent when it came
LONGEST_COUNT = 10  # digits of an octet count

messages = Counter("tocsin_syslog_messages_total", "Syslog messages that are in the spool.")
lost = Counter("tocsin_syslog_lost_messages_total", "Syslog messages that could not be kept.", ["reason"])


@dataclass(frozen=True)
class SyslogSettings:
    """Syslog messages (RFC 5424 and 3164) of other machines and programs."""

    udp: str = setting("", help="Address to take messages at over UDP, such as 0.0.0.0:514; empty takes none.")
    tcp: str = setting(
        "", help="Address to take messages at over TCP, with octet counts or line ends; empty takes none."
    )
    sources: tuple[str, ...] = setting(
        (), help="Addresses or networks that may send, such as 10.0.0.0/8; empty lets everyone who can reach the port."
    )
    timezone: str = setting(
        "", help="Of times that name none, as those of RFC 3164, such as Europe/Berlin; empty is this machine's."
    )
    max_message_bytes: int = setting(64 * 1024, unit="bytes", help="What is kept of a message; the rest is left out.")
    max_connections: int = setting(512, help="TCP connections at one time; further ones are closed.")

    def __post_init__(self) -> None:
        for name in ("udp", "tcp"):
            if text := getattr(self, name):
                address_of(name, text)
        for source in self.sources:
            try:
                ipaddress.ip_network(source)
            except ValueError as error:
                raise ValueError(f"sources names {source!r}: {error}; write an address or a network") from error
        try:
            self.zone()
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"timezone = {self.timezone!r} is no time zone such as Europe/Berlin") from error

    def zone(self) -> tzinfo | None:
        return ZoneInfo(self.timezone) if self.timezone else None

    @property
    def is_on(self) -> bool:
        return bool(self.udp or self.tcp)


def address_of(name: str, text: str) -> tuple[str, int]:
    """Host and port. Raises ValueError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{name} = {text!r} is no address such as 0.0.0.0:514")
    return host.strip("[]"), int(port)


class SyslogListener:
    """Both listeners on an event loop in a thread of their own."""

    def __init__(self, settings: SyslogSettings, submit: Callable[[Any], Admission]) -> None:
        self.settings = settings
        self.udp_port = self.tcp_port = 0  # once started
        self._submit = submit
        self._zone = settings.zone()
        self._networks = [ipaddress.ip_network(source) for source in settings.sources]
        self._may_send = lru_cache(maxsize=4096)(self._is_allowed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tocsin-syslog", daemon=True)
        self._connections: set[asyncio.Task[None]] = set()
        self._tasks: list[Any] = []

    def start(self) -> None:
        """Raises OSError when an address cannot be listened at."""
        if self.settings.is_on:
            self._thread.start()
            asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(30)

    def close(self) -> None:
        """Take no more, and hand on what came."""
        if self._thread.ident is not None:
            asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(30)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    async def _open(self) -> None:
        self._queue: asyncio.Queue[tuple[bytes, str, int] | None] = asyncio.Queue(WAITING_MESSAGES)
        self._sender = asyncio.create_task(self._send_forever())
        if self.settings.udp:
            host, port = address_of("udp", self.settings.udp)
            transport, _ = await self._loop.create_datagram_endpoint(lambda: _Datagrams(self), (host, port))
            self.udp_port = transport.get_extra_info("sockname")[1]
            self._tasks.append(transport)
        if self.settings.tcp:
            host, port = address_of("tcp", self.settings.tcp)
            limit = max(self.settings.max_message_bytes, 64 * 1024)
            server = await asyncio.start_server(self._serve, host, port, limit=limit)
            self.tcp_port = server.sockets[0].getsockname()[1]
            self._tasks.append(server)

    async def _shut(self) -> None:
        for listener in self._tasks:
            listener.close()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._queue.put(None)
        await self._sender

    def datagram(self, data: bytes, source: str) -> None:
        if not self._may_send(source):
            lost.labels("source").inc()
            return
        try:
            self._queue.put_nowait((data[: self.settings.max_message_bytes], source, time.time_ns()))
        except asyncio.QueueFull:
            lost.labels("overload").inc()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        source = (writer.get_extra_info("peername") or ("",))[0]
        is_welcome = self._may_send(source) and len(self._connections) < self.settings.max_connections
        if task is None or not is_welcome:
            log.warning("syslog.refused", source=source, connections=len(self._connections))
            writer.close()
            return
        self._connections.add(task)
        try:
            async for message in frames(reader, self.settings.max_message_bytes):
                await self._queue.put((message, source, time.time_ns()))
        except (OSError, FramingError) as error:
            log.warning("syslog.closed", source=source, error=str(error))
            lost.labels("framing").inc()
        except asyncio.CancelledError:
            pass  # the server closes
        finally:
            self._connections.discard(task)
            writer.close()

    async def _send_forever(self) -> None:
        is_open = True
        while is_open:
            taken = [await self._queue.get()]
            if taken[0] is not None:
                await asyncio.sleep(BATCH_SECONDS if self._queue.qsize() < BATCH_MESSAGES else 0)
            while len(taken) < BATCH_MESSAGES and not self._queue.empty():
                taken.append(self._queue.get_nowait())
            is_open = None not in taken
            came = [each for each in taken if each is not None]
            if came:
                await self._send(came, is_open)

    async def _send(self, came: list[tuple[bytes, str, int]], waits: bool) -> None:
        batch = LogBatch()
        for data, source, at_ns in came:
            line = read_message(data, at_ns, self._zone)
            line.attributes.setdefault("client.address", source)
            if line.time_ns > at_ns + MAX_FUTURE_NS:
                line.time_ns = at_ns
            batch.add({}, line, at_ns)
        while True:
            try:
                admission = await asyncio.to_thread(self._submit, batch.request)
                await asyncio.wrap_future(admission.stored)
            except (Refused, OSError) as error:
                log.warning("syslog.waiting", error=str(error), messages=len(came))
                if waits and self._queue.qsize() < WAITING_MESSAGES:
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                lost.labels("spool").inc(len(came))
                return
            messages.inc(admission.checked.items)
            lost.labels("time").inc(admission.checked.rejected)
            return

    def _is_allowed(self, source: str) -> bool:
        if not self._networks:
            return True
        try:
            address = ipaddress.ip_address(source.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, listener: SyslogListener) -> None:
        self._listener = listener

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._listener.datagram(data, str(addr[0]))


class FramingError(Exception):
    """What comes over the connection is no syslog."""


async def frames(reader: asyncio.StreamReader, max_bytes: int) -> AsyncIterator[bytes]:
    """The messages of a connection: each with its length in front, or up to the end of a line (RFC 6587).

    Raises FramingError for a length that is none.
    """
    while first := await reader.read(1):
        if first in b"123456789":
            size = await _count(first, reader)
            kept = await _exactly(reader, min(size, max_bytes))
            await _passed_over(reader, size - len(kept))
            yield kept
        elif first not in b"\n\r\0 ":
            yield first + await _line(reader, max_bytes)


async def _count(digits: bytes, reader: asyncio.StreamReader) -> int:
    while (byte := await reader.read(1)) != b" ":
        if not byte.isdigit() or len(digits) >= LONGEST_COUNT:
            raise FramingError(f"cannot read the length of a message at {(digits + byte)[:20]!r}")
        digits += byte
    return int(digits)


async def _exactly(reader: asyncio.StreamReader, size: int) -> bytes:
    try:
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        return error.partial


async def _passed_over(reader: asyncio.StreamReader, size: int) -> None:
    while size > 0 and (data := await reader.read(min(size, 65536))):
        size -= len(data)


async def _line(reader: asyncio.StreamReader, max_bytes: int) -> bytes:
    kept = b""
    while True:
        try:
            return (kept + await reader.readuntil(b"\n"))[: max_bytes - 1]
        except asyncio.IncompleteReadError as error:
            return (kept + error.partial)[: max_bytes - 1]
        except asyncio.LimitOverrunError as error:
            kept = (kept + await reader.readexactly(error.consumed))[:max_bytes]
