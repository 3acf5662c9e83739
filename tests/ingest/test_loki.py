"""Loki's push: what is stored of protobuf and JSON, what is refused, and what the sender hears."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cramjam
import logging_loki
import pytest

from ingest.log_rows import log_rows
from ingest.serving import Ingest, http_server, ingest_of
from loki import JSON, PROTOBUF, push, stream
from tocsin.ingest.loki import LokiPush
from tocsin.storage.telemetry.chdb import ChdbEngine
from tocsin.storage.telemetry.decode import Signal
from waiting import PATIENCE_SECONDS

NOW = time.time_ns()
DAY_NS = 86_400 * 10**9
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
Answer = tuple[int, str]
Post = Callable[..., Answer]


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    with ingest_of(tmp_path) as open_to_all:
        yield open_to_all


def poster(port: int) -> Post:
    def post(body: Any, headers: dict[str, str] = JSON, method: str = "POST") -> Answer:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        connection.request(method, "/loki/api/v1/push", sent, headers)
        answer = connection.getresponse()
        read = answer.read().decode()
        connection.close()
        return answer.status, read

    return post


@pytest.fixture
def post(ingest: Ingest) -> Iterator[Post]:
    with http_server(ingest.gate, LokiPush(ingest.gate)) as port:
        yield poster(port)


def streams(*values: Any, **labels: str) -> dict[str, Any]:
    return {"streams": [stream(labels or {"job": "shop"}, *values)]}


def test_a_line_is_stored_with_its_labels_where_a_record_has_them(ingest: Ingest, post: Post) -> None:
    labels = '{app="shop", env="live", release="1.2", tenant="acme", level="warn", pod="shop-1", job="k8s/shop"}'
    metadata = {"trace_id": TRACE, "span_id": SPAN, "user_id": "7", "colour": "red"}
    assert post(push([(labels, [(NOW, "low stock", metadata), (NOW + 1, "out of stock")])]), PROTOBUF) == (204, "")
    first, second = log_rows(ingest)
    assert (first.body, first.time_ns, first.severity, first.severity_text) == ("low stock", NOW, 13, "warn")
    assert first.resource == {
        "service.name": "shop",
        "deployment.environment.name": "live",
        "service.version": "1.2",
        "tocsin.tenant": "acme",
        "pod": "shop-1",
        "job": "k8s/shop",
    }
    assert first.attributes == {"enduser.id": "7", "colour": "red"}
    assert (first.trace_id, first.span_id) == (TRACE, SPAN)
    assert (second.body, second.trace_id, second.attributes) == ("out of stock", "", {})


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate"])
def test_json_is_read_plain_and_compressed(ingest: Ingest, post: Post, encoding: str) -> None:
    body = json.dumps(streams([str(NOW), "hello", {"a": "b"}], job="shop", level="error")).encode()
    packed = gzip.compress(body) if encoding == "gzip" else cramjam.zlib.compress(body) if encoding else body
    assert post(bytes(packed), JSON | ({"content-encoding": encoding} if encoding else {})) == (204, "")
    (row,) = log_rows(ingest)
    assert (row.body, row.time_ns, row.severity, row.attributes) == ("hello", NOW, 17, {"a": "b"})
    assert row.resource == {"service.name": "shop"}


def test_the_form_of_old_clients_is_read(ingest: Ingest, post: Post) -> None:
    at = time.strftime("%Y-%m-%dT%H:%M:%S.5Z", time.gmtime(NOW // 10**9))
    assert post({"streams": [{"labels": '{job="old"}', "entries": [{"ts": at, "line": "hello"}]}]})[0] == 204
    (row,) = log_rows(ingest)
    assert (row.time_ns, row.resource) == (NOW // 10**9 * 10**9 + 500_000_000, {"service.name": "old"})


def test_labels_that_only_name_the_service_by_chance_are_kept(ingest: Ingest, post: Post) -> None:
    assert post(streams([str(NOW), "x"], container="web", filename="/var/log/x", host="h"))[0] == 204
    assert log_rows(ingest)[0].resource == {
        "service.name": "web", "container": "web", "filename": "/var/log/x", "host": "h"
    }  # fmt: skip


def test_a_json_line_is_kept_as_sent_and_tied_to_its_request(ingest: Ingest, post: Post) -> None:
    said = {"levelname": "ERROR", "message": "no", "trace_id": TRACE, "span_id": SPAN, "tenant": "acme", "other": 1}
    text = json.dumps(said | {"request_id": "r1"})
    assert post(streams([str(NOW), text]))[0] == 204
    (row,) = log_rows(ingest)
    assert (row.body, row.severity, row.trace_id, row.span_id) == (text, 17, TRACE, SPAN)
    assert row.attributes == {"tocsin.tenant": "acme", "request.id": "r1"}


@pytest.mark.parametrize(
    ("line", "severity"),
    [
        ("level=warn msg=low", 13),
        ("2026-11-21 14:02 ERROR shop: no", 17),
        ('{"level": 30, "msg": "pino"}', 9),
        ("all is well", 0),
    ],
)
def test_the_level_is_found_in_the_line_when_no_label_says_it(
    ingest: Ingest, post: Post, line: str, severity: int
) -> None:
    assert post(streams([str(NOW), line]))[0] == 204
    assert log_rows(ingest)[0].severity == severity


def test_the_tenant_of_loki_is_the_tenant_unless_labels_name_one(ingest: Ingest, post: Post) -> None:
    for org, labels in (("globex", {}), ("globex", {"tenant": "acme"}), ("fake", {})):
        post(streams([str(NOW), f"{org} {labels}"], job="shop", **labels), JSON | {"x-scope-orgid": org})
    assert [row.resource.get("tocsin.tenant") for row in log_rows(ingest)] == ["globex", "acme", None]


def test_a_request_sent_again_is_stored_once(ingest: Ingest, post: Post) -> None:
    body = push([('{job="shop"}', [(NOW, "once")])])
    assert [post(body, PROTOBUF)[0], post(body, PROTOBUF)[0]] == [204, 204]
    assert [row.body for row in log_rows(ingest)] == ["once"]


@pytest.mark.parametrize(
    ("labels", "time_ns", "cause"),
    [
        ("{}", NOW, "at least one label pair is required per stream"),
        ("job=shop", NOW, "they are not within braces"),
        ('{job="shop"', NOW, "they are not within braces"),
        ('{job="a" app="b"}', NOW, 'no name="value" at'),
        ('{job="shop"}', NOW - 60 * DAY_NS, "older than the retention"),
        ('{job="shop"}', NOW + DAY_NS, "in the future"),
        ('{job="shop"}', -1, "no count of nanoseconds"),
    ],
    ids=["no labels", "no braces", "open brace", "no comma", "too old", "too new", "negative"],
)
def test_a_line_that_cannot_be_stored_is_explained_and_the_others_kept(
    ingest: Ingest, post: Post, labels: str, time_ns: int, cause: str
) -> None:
    status, text = post(push([(labels, [(time_ns, "bad")]), ('{job="good"}', [(NOW, "good")])]), PROTOBUF)
    assert status == 400
    assert cause in text
    assert "1 others of this request are stored" in text
    assert [row.body for row in log_rows(ingest)] == ["good"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "cause"),
    [
        (b"garbage", PROTOBUF, 400, "cannot decompress the body"),
        (bytes(cramjam.snappy.compress_raw(b"\xff\xff")), PROTOBUF, 400, "it is not valid protobuf"),
        (b"{", JSON, 400, "cannot read the body as JSON"),
        (b"[]", JSON, 400, 'a list of "streams"'),
        (b'{"streams": [1]}', JSON, 400, "streams[0]: it is no object"),
        (b'{"streams": [{"stream": {"a": 1}, "values": []}]}', JSON, 400, "a label is no text"),
        (b'{"streams": [{"stream": {"a": "b"}, "values": [["x", "y"]]}]}', JSON, 400, "streams[0].values[0]: time 'x'"),
        (b'{"streams": [{"stream": {"a": "b"}, "values": [["1"]]}]}', JSON, 400, "it must be [time, line]"),
        (b'{"streams": [{"stream": {"a": "b"}, "values": [["1", "l", {"a": 1}]]}]}', JSON, 400, "structured metadata"),
        (b"{}", JSON | {"content-encoding": "br"}, 415, "content-encoding 'br'"),
        (b"\x1f\x8b\x08", JSON | {"content-encoding": "gzip"}, 400, "it is cut off"),
        (b"\xff\xff\xff\xff\x0f", PROTOBUF, 413, "bytes are allowed|are allowed once decompressed"),
    ],
)
def test_bad_input_is_answered_clearly(
    ingest: Ingest, post: Post, body: bytes, headers: dict[str, str], status: int, cause: str
) -> None:
    answered, text = post(body, headers)
    assert answered == status
    assert any(part in text for part in cause.split("|"))
    assert log_rows(ingest) == []


def test_a_bomb_is_refused_before_it_goes_off(tmp_path: Path) -> None:
    bomb = gzip.compress(b"x" * 1_000_000)
    with (
        ingest_of(tmp_path, max_json_bytes=10_000, max_message_bytes=10_000) as ingest,
        http_server(ingest.gate, LokiPush(ingest.gate)) as port,
    ):
        assert poster(port)(bomb, JSON | {"content-encoding": "gzip"})[0] == 413


def test_get_is_refused_with_what_is_allowed(post: Post) -> None:
    assert post(b"", JSON, "GET") == (405, "cannot GET log lines; POST them\n")


def test_a_key_comes_as_bearer_or_as_the_password(tmp_path: Path) -> None:
    def basic(password: str) -> str:
        return "Basic " + base64.b64encode(f"promtail:{password}".encode()).decode()

    with (
        ingest_of(tmp_path, require_key=True) as ingest,
        http_server(ingest.gate, LokiPush(ingest.gate)) as port,
    ):
        post = poster(port)
        for number, (sent, status) in enumerate(
            [("", 401), ("Bearer good", 204), ("Bearer bad", 401), (basic("good"), 204), (basic("bad"), 401),
             ("Basic !", 401)]
        ):  # fmt: skip
            headers = JSON | ({"authorization": sent} if sent else {})
            assert post(streams([str(NOW + number), "hello"]), headers)[0] == status, sent


def test_a_key_has_its_rate(tmp_path: Path) -> None:
    with ingest_of(tmp_path) as ingest, http_server(ingest.gate, LokiPush(ingest.gate)) as port:
        many = [[str(NOW + place), "hello"] for place in range(10)]
        headers = JSON | {"authorization": "Bearer slow"}
        assert poster(port)(streams(*many), headers)[0] == 204
        status, text = poster(port)(streams(*many, job="again"), headers)
        assert status == 429
        assert "this ingest key may send 1 a second" in text


def test_a_log_handler_for_loki_delivers_here(ingest: Ingest) -> None:
    with http_server(ingest.gate, LokiPush(ingest.gate)) as port:
        handler = logging_loki.LokiHandler(
            url=f"http://127.0.0.1:{port}/loki/api/v1/push", tags={"application": "shop"}
        )
        logger = logging.Logger("orders")
        logger.addHandler(handler)
        logger.error("payment %s refused", 7, extra={"tags": {"tenant": "acme"}})
        handler.close()
    (row,) = log_rows(ingest)
    assert "payment 7 refused" in row.body
    assert row.severity == 17
    assert row.resource["service.name"] == "shop"
    assert row.resource["tocsin.tenant"] == "acme"


def test_a_pushed_line_becomes_a_row(ingest: Ingest, post: Post, engine: ChdbEngine, tmp_path: Path) -> None:
    labels = {"app": "shop", "env": "live", "tenant": "acme", "level": "warn", "pod": "p1"}
    assert post(streams([str(NOW), "low stock", {"trace_id": TRACE, "sku": "7"}], **labels))[0] == 204
    ingest.spool.roll(Signal.LOGS)
    for segment in ingest.spool.finished(Signal.LOGS):
        engine.insert_segment(segment.signal, segment.path, segment.id)
    sql = (
        "SELECT body, tenant, service, environment, severity, resource['pod'], attributes['sku'], hex(trace_id), "
        "toUnixTimestamp64Nano(time) FROM logs"
    )
    (row,) = engine.query(sql, {}, {}, 10).rows
    assert list(row) == ["low stock", "acme", "shop", "live", 13, "p1", "7", TRACE.upper(), NOW]
