"""Log records and events on their way out."""

from __future__ import annotations

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

import tocsin
from tocsin.sdk.agents import current_agent
from tocsin.sdk.encode import resource
from tocsin.sdk.records import ERROR, Record, RecordEncoder
from tocsin.testing import capture_spans


def test_a_record_reads_back_as_it_was() -> None:
    record = Record(7, "deploy", ERROR, "böse \ud800", {"n": 3, "ok": True}, "acme", b"\1" * 16, b"\2" * 8)
    body = RecordEncoder(resource({"service.name": "shop"}), "1").encode_request([record, Record(8, "", 9, "plain")])
    logs = ExportLogsServiceRequest.FromString(body).resource_logs[0]
    assert logs.resource.attributes[0].value.string_value == "shop"
    first, second = logs.scope_logs[0].log_records
    assert (first.time_unix_nano, first.event_name, first.severity_number) == (7, "deploy", ERROR)
    assert first.body.string_value == "böse ?"
    assert {item.key for item in first.attributes} == {"n", "ok", "tocsin.tenant"}
    assert (first.trace_id, first.span_id) == (b"\1" * 16, b"\2" * 8)
    assert first.observed_time_unix_nano > 8
    assert (second.event_name, second.trace_id) == ("", b"")


def test_an_event_knows_its_trace_and_tenant() -> None:
    with capture_spans() as captured:
        agent = current_agent()
        assert agent is not None
        with tocsin.span("work"):
            tocsin.set_tenant("acme")
            agent.emit("deploy", "1.2", {"release": "1.2"})
            tocsin.set_tenant(None)
        [event] = [record for record in captured.records if record.event == "deploy"]
        span = captured.find("work")
    assert (event.event, event.body, event.attributes) == ("deploy", "1.2", {"release": "1.2"})
    assert (event.tenant, event.trace_id) == ("acme", span.trace_id)


def test_events_beyond_the_queue_are_counted() -> None:
    with capture_spans() as captured:
        agent = current_agent()
        assert agent is not None
        for number in range(5000):
            agent.emit("flood", str(number), {})
        assert agent.exporter.dropped["logs", "queue_full"] == 5000 - 4096
        assert len(captured.records) == 4096
        del agent.exporter.dropped["logs", "queue_full"]
