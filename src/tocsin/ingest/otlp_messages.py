"""OTLP metrics as classes that leave attributes unparsed: as bytes they name a series that was seen before."""

from __future__ import annotations

from typing import Any

from tocsin.ingest.prometheus_messages import message_classes
from tocsin.storage.telemetry.messages import KEY_VALUE, METRICS, RESOURCE, Field, Message


def _unparsed(message: Message, done: dict[str, Message]) -> Message:
    if message.name not in done:
        done[message.name] = Message(message.name, tuple(_field(field, done) for field in message.fields))
    return done[message.name]


def _field(field: Field, done: dict[str, Message]) -> Field:
    if field.kind in (KEY_VALUE, RESOURCE):
        kind: str | Message = "bytes"
    else:
        kind = _unparsed(field.kind, done) if isinstance(field.kind, Message) else field.kind
    return Field(field.number, kind, field.name, field.repeated, field.optional)


MetricsData: Any = message_classes("tocsin.otlp", _unparsed(METRICS, {}))["MetricsData"]
