"""The few answers OTLP asks for, encoded by hand: the message types they belong to are in no package we need."""

from __future__ import annotations

from tocsin.storage.telemetry.spool import varint

RETRY_INFO = b"type.googleapis.com/google.rpc.RetryInfo"


def partial_success(rejected: int, explanation: str) -> bytes:
    """Export…ServiceResponse with its partial_success; the three signals share its field numbers."""
    inner = (_number(1, rejected) if rejected else b"") + _bytes(2, explanation.encode())
    return _bytes(1, inner)


def status(code: int, message: str, retry_seconds: int | None = None) -> bytes:
    """google.rpc.Status, with a RetryInfo when the sender should come back."""
    encoded = _number(1, code) + _bytes(2, message.encode())
    if retry_seconds is not None:
        delay = _bytes(1, _number(1, retry_seconds))
        encoded += _bytes(3, _bytes(1, RETRY_INFO) + _bytes(2, delay))
    return encoded


def _number(field: int, value: int) -> bytes:
    return bytes([field << 3]) + varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return bytes([field << 3 | 2]) + varint(len(value)) + value
