"""The messages of Loki's push as classes that the protobuf package parses natively.

Field numbers are those of Loki's logproto; hashes and what only its own parts tell one another are left out.
"""

from __future__ import annotations

from typing import Any

from tocsin.ingest.prometheus_messages import message_classes
from tocsin.storage.telemetry.messages import Field, Message

TIMESTAMP = Message("Timestamp", (Field(1, "int64", "seconds"), Field(2, "int32", "nanos")))
PAIR = Message("LabelPair", (Field(1, "string", "name"), Field(2, "string", "value")))
ENTRY = Message(
    "Entry",
    (
        Field(1, TIMESTAMP, "timestamp"),
        Field(2, "string", "line"),
        Field(3, PAIR, "metadata", repeated=True),
        Field(4, PAIR, "parsed", repeated=True),
    ),
)
STREAM = Message("Stream", (Field(1, "string", "labels"), Field(2, ENTRY, "entries", repeated=True)))
PUSH = Message("PushRequest", (Field(1, STREAM, "streams", repeated=True),))

PushRequest: Any = message_classes("tocsin.loki", PUSH)["PushRequest"]
