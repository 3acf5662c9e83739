"""Attribute values as their sender meant them, out of the text and type letters that the store keeps."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValueList


def decode_attributes(keys: Sequence[str], values: Sequence[str], types: str) -> dict[str, Any]:
    """Attributes as str, bool, int, float, bytes, list, dict or None; `types` has a letter for each."""
    return {key: _decode(value, letter) for key, value, letter in zip(keys, values, types, strict=False)}


def values_sql(attributes: str, types: str) -> str:
    """SQL for the values of a map as `decode_attributes` takes them: those kept as protobuf bytes in base64, since an
    answer must be text."""
    letters = f"arrayMap(i -> substring({types}, i, 1), range(1, length({types}) + 1))"
    return (
        f"arrayMap((v, t) -> if(t IN ('a', 'k', 'x'), base64Encode(v), v), mapValues({attributes}), "
        f"arrayResize({letters}, length({attributes})))"
    )


def _decode(text: str, letter: str) -> Any:
    if letter == "i":
        return int(text)
    if letter == "d":
        return float(text)
    if letter == "b":
        return text == "true"
    if letter == "n":
        return None
    if letter in "akx":
        return _decode_bytes(base64.b64decode(text), letter)
    return text


def _decode_bytes(data: bytes, letter: str) -> Any:
    try:
        if letter == "a":
            return [plain(item) for item in ArrayValue.FromString(data).values]
        if letter == "k":
            return {item.key: plain(item.value) for item in KeyValueList.FromString(data).values}
    except DecodeError:
        pass  # shown as the bytes they are
    return data


def plain(value: AnyValue) -> Any:
    """An OTLP value as a Python value."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {item.key: plain(item.value) for item in value.kvlist_value.values}
    return getattr(value, kind)


def otlp_json(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    """Attributes in the form of OTLP/JSON: integers as text, bytes in base64."""
    return [{"key": key, "value": _otlp_value(value)} for key, value in attributes.items()]


def _otlp_value(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        # OTLP/JSON follows protobuf's mapping, which spells these three out.
        return {
            "doubleValue": value
            if math.isfinite(value)
            else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
        }
    if isinstance(value, bytes):
        return {"bytesValue": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_otlp_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": otlp_json(value)}}
    return {"stringValue": value}
