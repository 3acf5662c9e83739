"""Pieces of SQL that read what OTLP messages have in common: attributes, times, whose they are."""

from __future__ import annotations

import re

from tocsin.storage.telemetry.messages import ANY_VALUE

TYPE_LETTERS = "nsbidakx"

# Where a sender may say whose request it was, best first. The first name is ours.
TENANT_KEYS = ("tocsin.tenant", "tenant.id", "tenant_id", "tenant")

# How an AnyValue is read: its members as separate columns, which the engine reads faster than whole tuples.
MEMBERS = [field.name for field in ANY_VALUE.fields] + [ANY_VALUE.oneof]
TEXT = (
    "multiIf(kind = 1, string_value, kind = 3, toString(int_value), kind = 4, toString(double_value), "
    "kind = 2, toString(bool_value), concat(array_value, kvlist_value, bytes_value))"
)


def text_sql(value: str) -> str:
    return re.sub(r"\b(\w+_value|kind)\b", rf"{value}.\1", TEXT)


def map_sql(attributes: str) -> str:
    members = ", ".join(f"{attributes}.value.{member}" for member in MEMBERS)
    values = f"arrayMap(({', '.join(MEMBERS)}) -> {TEXT}, {members})"
    return f"CAST(({attributes}.key, {values}), 'Map(LowCardinality(String), String)')"


def letter_sql(kind: str) -> str:
    return f"substring('{TYPE_LETTERS}', {kind} + 1, 1)"


def letters_sql(attributes: str) -> str:
    return f"arrayStringConcat(arrayMap(kind -> {letter_sql('kind')}, {attributes}.value.kind))"


def time_sql(nanoseconds: str) -> str:
    return f"fromUnixTimestamp64Nano(toInt64({nanoseconds}), 'UTC')"


def tenant_sql(*maps: str) -> str:
    found = [f"nullIf({attributes}['{key}'], '')" for attributes in maps for key in TENANT_KEYS]
    return f"coalesce({', '.join(found)}, '')"
