"""XXH64 of a label set, as limit_ratio samples by it: the same series are kept here as by Prometheus."""

from __future__ import annotations

import struct

from tocsin.query.promql.source import Labels

_MASK = (1 << 64) - 1
_P1, _P2, _P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P4, _P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def hash_ratio(labels: Labels) -> float:
    """Where in [0, 1] the hash of the labels lies."""
    return xxh64(_encoded(labels)) / float(_MASK)


def _encoded(labels: Labels) -> bytes:
    out = bytearray()
    for name, value in sorted(labels.items()):
        for text in (name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape")):
            out += _length(len(text)) + text
    return bytes(out)


def _length(size: int) -> bytes:
    return bytes([size]) if size < 255 else b"\xff" + size.to_bytes(3, "little")


def _rotated(value: int, by: int) -> int:
    return ((value << by) | (value >> (64 - by))) & _MASK


def _round(state: int, lane: int) -> int:
    return (_rotated((state + lane * _P2) & _MASK, 31) * _P1) & _MASK


def xxh64(data: bytes) -> int:
    """Seed 0. Source: the xxHash specification, XXH64."""
    at = 0
    if len(data) >= 32:
        states = [(_P1 + _P2) & _MASK, _P2, 0, -_P1 & _MASK]
        while at + 32 <= len(data):
            lanes = struct.unpack_from("<4Q", data, at)
            states = [_round(state, lane) for state, lane in zip(states, lanes, strict=True)]
            at += 32
        value = sum(_rotated(state, by) for state, by in zip(states, (1, 7, 12, 18), strict=True)) & _MASK
        for state in states:
            value = ((value ^ _round(0, state)) * _P1 + _P4) & _MASK
    else:
        value = _P5
    return _avalanche(_tail((value + len(data)) & _MASK, data, at))


def _tail(value: int, data: bytes, at: int) -> int:
    while at + 8 <= len(data):
        value ^= _round(0, struct.unpack_from("<Q", data, at)[0])
        value = (_rotated(value, 27) * _P1 + _P4) & _MASK
        at += 8
    if at + 4 <= len(data):
        value ^= (struct.unpack_from("<I", data, at)[0] * _P1) & _MASK
        value = (_rotated(value, 23) * _P2 + _P3) & _MASK
        at += 4
    for byte in data[at:]:
        value ^= (byte * _P5) & _MASK
        value = (_rotated(value, 11) * _P1) & _MASK
    return value


def _avalanche(value: int) -> int:
    value ^= value >> 33
    value = (value * _P2) & _MASK
    value ^= value >> 29
    value = (value * _P3) & _MASK
    return value ^ (value >> 32)
