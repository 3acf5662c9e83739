"""Redis: is it there, and the figures of INFO that matter, under redis_exporter's names. Needs no client library."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from tocsin.model.settings import setting
from tocsin.sdk.exposition import Family

_ANSWER_BYTES = 1024 * 1024
_FIGURES = {  # of INFO: (metric, type, help)
    "connected_clients": ("redis_connected_clients", "gauge", "Connected clients."),
    "blocked_clients": ("redis_blocked_clients", "gauge", "Clients waiting for a blocking call."),
    "used_memory": ("redis_memory_used_bytes", "gauge", "Memory used."),
    "maxmemory": ("redis_memory_max_bytes", "gauge", "Memory allowed; 0 is no limit."),
    "uptime_in_seconds": ("redis_uptime_in_seconds", "gauge", "Time since its start."),
    "total_commands_processed": ("redis_commands_processed_total", "counter", "Commands processed."),
    "total_connections_received": ("redis_connections_received_total", "counter", "Connections received."),
    "rejected_connections": ("redis_rejected_connections_total", "counter", "Connections refused."),
    "expired_keys": ("redis_expired_keys_total", "counter", "Keys that expired."),
    "evicted_keys": ("redis_evicted_keys_total", "counter", "Keys evicted for want of memory."),
    "keyspace_hits": ("redis_keyspace_hits_total", "counter", "Look-ups that found a key."),
    "keyspace_misses": ("redis_keyspace_misses_total", "counter", "Look-ups that found none."),
}


@dataclass(frozen=True)
class Settings:
    """Which Redis servers are looked at."""

    urls: tuple[str, ...] = setting(
        (), help="Redis servers, such as redis://:secret@127.0.0.1:6379; rediss:// is TLS.", secret=True
    )
    interval_seconds: float = setting(15.0, unit="seconds", help="Time between two looks; 0 turns it off.")
    timeout_seconds: float = setting(3.0, unit="seconds", help="Time a server may take; then it is down.")

    @property
    def is_on(self) -> bool:
        return bool(self.urls) and self.interval_seconds > 0


def collect(settings: Settings) -> list[Family]:
    up = Family("redis_up", "gauge", "1 when Redis answered.")
    families = {name: Family(*about) for name, about in _FIGURES.items()}
    for url in settings.urls:
        instance = instance_of(url, 6379)
        try:
            told = info(url, settings.timeout_seconds)
        except (OSError, ValueError):
            up.add(0, instance=instance)
            continue
        up.add(1, instance=instance)
        for name, family in families.items():
            with contextlib.suppress(KeyError, ValueError):
                family.add(float(told[name]), instance=instance)
    return [up, *families.values()]


def instance_of(url: str, port: int) -> str:
    """host:port, without the secrets in the address."""
    parts = urlsplit(url)
    return f"{parts.hostname or 'localhost'}:{parts.port or port}"


def info(url: str, timeout_seconds: float) -> dict[str, str]:
    """What INFO tells. Raises OSError when nobody answers, ValueError when the answer is a refusal."""
    parts = urlsplit(url)
    host, port = parts.hostname or "localhost", parts.port or 6379
    with socket.create_connection((host, port), timeout_seconds) as plain:
        is_tls = parts.scheme == "rediss"
        secured = ssl.create_default_context().wrap_socket(plain, server_hostname=host) if is_tls else plain
        with secured, secured.makefile("rb") as answers:
            if parts.password:
                user = [unquote(parts.username)] if parts.username else []
                secured.sendall(_command("AUTH", *user, unquote(parts.password)))
                _read(answers.readline(), answers.read)
            secured.sendall(_command("INFO"))
            text = _read(answers.readline(), answers.read).decode("utf-8", "replace")
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {name: value for name, _, value in pairs}


def _command(*words: str) -> bytes:
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def _read(line: bytes, read: Callable[[int], bytes]) -> bytes:
    if line.startswith(b"+"):
        return line[1:].strip()
    size = int(line[1:]) if line[:1] == b"$" and line[1:].strip().isdigit() else -1
    if not 0 <= size <= _ANSWER_BYTES:
        raise ValueError(f"cannot read Redis: it answered {line[:80]!r}")
    return read(size + 2)[:size]
