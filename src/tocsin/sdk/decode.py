"""Reads back the few protobuf fields that the SDK itself needs: answers of the server, attributes for captures."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any


def rejected_items(answer: bytes) -> int:
    """How many spans or points an Export*ServiceResponse says were rejected; 0 when it cannot be read."""
    try:
        for number, value in fields(answer):
            if number == 1 and isinstance(value, bytes):
                return next((count for inner, count in fields(value) if inner == 1 and isinstance(count, int)), 0)
    except (IndexError, struct.error):
        return 0
    return 0


class MessageReader:
    """The fields of one message by number; what is absent reads as protobuf says: 0, '' or nothing."""

    def __init__(self, message: bytes) -> None:
        self._fields = list(fields(message))

    def all(self, number: int) -> list[bytes]:
        """Every value that is bytes, in order."""
        return [value for found, value in self._fields if found == number and isinstance(value, bytes)]

    def number(self, number: int) -> int:
        """A varint or fixed64."""
        value = dict(self._fields).get(number, 0)
        return int.from_bytes(value, "little") if isinstance(value, bytes) else value

    def text(self, number: int) -> str:
        return b"".join(self.all(number)).decode()

    def hex(self, number: int) -> str:
        return b"".join(self.all(number)).hex()

    def attributes(self, number: int) -> dict[str, Any]:
        return dict(map(_key_value, self.all(number)))


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of each field: integers for varints, bytes for everything else.

    Raises IndexError on a truncated message.
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        size = {1: 8, 5: 4}.get(wire, -1)
        if size < 0:
            size, position = _varint(message, position)
        if position + size > len(message):
            raise IndexError("truncated message")
        yield number, message[position : position + size]
        position += size


def _key_value(message: bytes) -> tuple[str, Any]:
    key, value = "", None
    for number, body in fields(message):
        if number == 1 and isinstance(body, bytes):
            key = body.decode()
        elif number == 2 and isinstance(body, bytes):
            value = _any_value(body)
    return key, value


def _any_value(message: bytes) -> Any:
    for number, value in fields(message):
        if isinstance(value, int):
            return bool(value) if number == 2 else value - (1 << 64) if value >> 63 else value
        if number == 1:
            return value.decode()
        if number == 4:
            return struct.unpack("<d", value)[0]
        if number == 5:
            return [_any_value(item) for _, item in fields(value) if isinstance(item, bytes)]
        if number == 6:
            return dict(_key_value(item) for _, item in fields(value) if isinstance(item, bytes))
        return value
    return None


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
