from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

import tocsin
from sdk.receiver import Receiver
from tocsin.sdk import agents
from tocsin.sdk.agent import PORTION, Agent
from tocsin.sdk.export import Breaker
from tocsin.sdk.transport import HttpTransport, Response, compressor
from waiting import PATIENCE_SECONDS, eventually


def app_for(endpoint: str, **settings: Any) -> tuple[TestClient, Agent]:
    app = FastAPI()
    app.get("/")(lambda: "ok")
    quick = {"batch_seconds": 0.02, "metrics_seconds": 0.1, "timeout_seconds": 0.3, "exit_flush_seconds": 0.2}
    tocsin.instrument(app, endpoint=endpoint, **{**quick, **settings})
    return TestClient(app), agents.all_agents()[-1]


def test_spans_and_numbers_arrive(receiver: Receiver) -> None:
    client, agent = app_for(receiver.endpoint, ingest_key="key")
    for _ in range(20):
        client.get("/")
    eventually(lambda: len(receiver.spans()) == 20 and receiver.request_count() == 20, "all twenty arrive")
    headers = next(headers for path, headers, _ in receiver.requests if path == "/v1/traces")
    assert (headers["Content-Type"], headers["Authorization"]) == ("application/x-protobuf", "Bearer key")
    eventually(lambda: agent.exporter.exported["traces"] == 20, "all twenty are counted")
    assert agent.exporter.state == "ok"
    eventually(lambda: receiver.points("tocsin.sdk.exported"), "the count arrives")


def test_bodies_are_compressed_unless_the_server_is_on_this_machine(receiver: Receiver) -> None:
    client, _ = app_for(receiver.endpoint, compression="gzip")
    client.get("/")
    eventually(receiver.spans, "the span arrives")
    assert receiver.requests[0][1]["Content-Encoding"] == "gzip"
    assert compressor("auto", "http://localhost:4318")(b"abc") == b"abc"
    assert compressor("auto", "http://monitor:4318")(b"abc")[:2] == b"\x1f\x8b"


def test_the_very_same_bytes_are_sent_again_until_they_are_taken(receiver: Receiver) -> None:
    answers = iter([503, 429, 500])
    receiver.answer = lambda path, body: (next(answers, 200), {}, b"")
    client, agent = app_for(receiver.endpoint, metrics_seconds=60.0, compression="gzip")
    client.get("/")
    eventually(lambda: agent.exporter.exported["traces"], "the span is counted")
    bodies = {body for path, _, body in receiver.requests if path == "/v1/traces"}
    assert len(bodies) == 1
    assert sum(agent.exporter.dropped.values()) == 0


def test_retry_after_is_waited_for() -> None:
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    breaker.fail("HTTP 429", 7.0)
    now[0] = 6.9
    assert not breaker.allows()
    now[0] = 7.1
    assert breaker.allows()
    breaker.succeed()
    assert breaker.state == "ok"


def test_the_circuit_opens_after_three_failures_and_waits_longer_and_longer() -> None:
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    delays = []
    for _ in range(12):
        breaker.fail("timeout", None)
        delays.append(breaker.not_before - now[0])
        now[0] = breaker.not_before
    assert breaker.state == "open"
    assert 0.25 <= delays[0] <= 0.5
    assert all(15 <= delay <= 30 for delay in delays[8:])


def test_partial_success_is_counted(receiver: Receiver) -> None:
    partial = ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=1, error_message="bad")
    )
    receiver.answer = lambda path, body: (200, {}, partial.SerializeToString() if path == "/v1/traces" else b"")
    client, agent = app_for(receiver.endpoint, batch_seconds=0.2)
    for _ in range(5):
        client.get("/")
    eventually(lambda: agent.exporter.dropped["traces", "rejected"], "the rejected are counted")
    assert agent.exporter.exported["traces"] + agent.exporter.dropped["traces", "rejected"] == 5


@pytest.mark.parametrize("status", [400, 401, 403, 413])
def test_what_the_server_will_never_take_is_dropped_and_counted(receiver: Receiver, status: int) -> None:
    receiver.answer = lambda path, body: (status, {}, b"")
    client, agent = app_for(receiver.endpoint, metrics_seconds=60.0)
    client.get("/")
    eventually(lambda: agent.exporter.dropped["traces", f"http_{status}"] == 1, "the loss is counted")


# What the app must not wait for, and half of it: far above a hiccup of a busy machine.
TIMEOUT_SECONDS, HICCUP_SECONDS = 4.0, 2.0


def slowest(client: TestClient, count: int) -> float:
    worst = 0.0
    for _ in range(count):
        began = time.perf_counter()
        assert client.get("/").status_code == 200
        worst = max(worst, time.perf_counter() - began)
    return worst


def test_the_app_feels_nothing_while_the_server_hangs(receiver: Receiver) -> None:
    receiver.answer = lambda path, body: None
    client, _ = app_for(receiver.endpoint, timeout_seconds=TIMEOUT_SECONDS)
    client.get("/")
    eventually(lambda: receiver.requests, "something arrives")
    assert slowest(client, 100) < HICCUP_SECONDS
    receiver.let_go.set()
    receiver.answer = lambda path, body: (200, {}, b"")
    eventually(lambda: receiver.request_count() == 101, "all are counted")


def test_the_app_feels_nothing_while_the_server_is_down_or_answers_500(receiver: Receiver) -> None:
    receiver.answer = lambda path, body: (500, {}, b"")
    for endpoint in ("http://127.0.0.1:9", receiver.endpoint):
        client, agent = app_for(endpoint)
        assert slowest(client, 100) < HICCUP_SECONDS
        eventually(lambda agent=agent: agent.exporter.state in ("retrying", "open"), "it tries again")  # type: ignore[misc]


def test_memory_is_bounded_and_losses_are_counted_while_the_server_is_away() -> None:
    client, agent = app_for("http://127.0.0.1:9", queue_spans=100, queue_bytes=20_000)
    for _ in range(600):
        client.get("/")
    exporter = agent.exporter
    eventually(lambda: exporter.dropped["traces", "queue_full"] > 0, "the full queue is counted")
    assert len(exporter.queue) <= 100
    assert exporter._payload_bytes < 20_000 + 200_000
    agent.digest()
    assert agent.red.total == 600


def test_numbers_survive_an_outage(receiver: Receiver) -> None:
    receiver.answer = lambda path, body: (503, {}, b"")
    client, agent = app_for(receiver.endpoint, queue_spans=10)
    for _ in range(50):
        client.get("/")
    eventually(lambda: agent.exporter.state != "ok", "the failure is noticed")
    taken: list[bytes] = []

    def take(path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        taken.append(body)
        return 200, {}, b""

    receiver.requests.clear()
    receiver.answer = take
    eventually(lambda: receiver.request_count() == 50, "all are counted")


def test_requests_are_counted_by_who_answers_them_also_while_the_export_thread_is_stuck() -> None:
    stuck = threading.Event()

    def transport(signal: str, body: bytes) -> Response:
        stuck.wait(PATIENCE_SECONDS)
        return Response(200)

    client, agent = app_for("http://127.0.0.1:9", transport=transport)
    for _ in range(3 * PORTION):
        client.get("/")
        assert len(agent.ended) < PORTION
    agent.digest()
    assert agent.red.total == 3 * PORTION
    stuck.set()


def test_a_transport_in_process_gets_the_bytes() -> None:
    seen: list[tuple[str, bytes]] = []

    def transport(signal: str, body: bytes) -> Response:
        seen.append((signal, body))
        return Response(200)

    client, agent = app_for("http://127.0.0.1:9", transport=transport)
    client.get("/")
    assert agent.exporter.flush(2.0)
    assert [signal for signal, _ in seen][:1] == ["traces"]


def test_flush_sends_what_is_there_and_shutdown_does_so_by_itself(receiver: Receiver) -> None:
    app = FastAPI()
    app.get("/")(lambda: "ok")
    tocsin.instrument(app, endpoint=receiver.endpoint, batch_seconds=30.0)
    with TestClient(app) as client:
        client.get("/")
    assert len(receiver.spans()) == 1
    assert receiver.request_count() == 1


def test_figures_go_from_start_up_on_before_anybody_has_asked_something(receiver: Receiver) -> None:
    client, _ = app_for(receiver.endpoint, log_level="off")
    with client:
        eventually(lambda: receiver.points("process_uptime_seconds"), "figures have come")
    assert receiver.request_count() == 0


def test_a_closed_idle_connection_is_opened_again(receiver: Receiver) -> None:
    transport = HttpTransport(receiver.endpoint, "", 2.0)
    assert transport("traces", b"").status == 200
    assert transport._socket is not None
    transport._socket.shutdown(socket.SHUT_RDWR)
    assert transport("traces", b"").status == 200
    transport.close()


def test_a_server_that_closes_each_connection_is_no_failure(receiver: Receiver) -> None:
    receiver.answer = lambda path, body: (200, {"Connection": "close"}, b"")
    transport = HttpTransport(receiver.endpoint, "", 2.0)
    assert [transport("traces", b"").status for _ in range(3)] == [200, 200, 200]
    transport.close()


def told(*answers: bytes) -> list[Response]:
    """What a transport makes of these answers, given one after the other on one connection that then closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                for content in answers:
                    connection.recv(1000)
                    connection.sendall(content)

        thread = threading.Thread(target=answer)
        thread.start()
        transport = HttpTransport(f"http://127.0.0.1:{server.getsockname()[1]}", "", 2.0)
        responses = [transport("traces", b"x") for _ in answers]
        thread.join()
        transport.close()
    return responses


@pytest.mark.parametrize(
    "answer", [b"nonsense\r\n\r\n", b"", b"HTTP/1.1 2x0\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"]
)
def test_an_answer_that_is_no_http_is_a_failure_not_an_exception(answer: bytes) -> None:
    (response,) = told(answer)
    assert (response.status, response.is_retryable) == (0, True)


def test_answers_are_read_however_they_are_framed() -> None:
    plain, chunked, empty, endless = told(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n",
    )
    assert (plain.status, plain.body) == (200, b"abc")
    assert (chunked.status, chunked.body, chunked.retry_after_seconds) == (429, b"abc", 7.0)
    assert (empty.status, endless.status) == (204, 200)
