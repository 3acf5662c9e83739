"""Syslog: what messages become, how they are cut out of a stream, and who may send."""

from __future__ import annotations

import asyncio
import logging.handlers
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from ingest.log_rows import Row, log_rows
from ingest.serving import Ingest, ingest_of
from tocsin.ingest.gate import Admission, Refused
from tocsin.ingest.syslog import FramingError, SyslogListener, SyslogSettings, frames
from tocsin.ingest.syslog_parse import read_message
from tocsin.model.log_time import ns_of
from tocsin.storage.telemetry.decode import Signal
from waiting import eventually

AT = datetime(2026, 11, 21, 14, 2, 3, tzinfo=UTC)
NOW_NS = ns_of(AT) + 5 * 10**9


def read(text: str | bytes) -> Any:
    return read_message(text.encode() if isinstance(text, str) else text, NOW_NS, UTC)


def test_a_message_of_rfc_5424_is_read_whole() -> None:
    line = read(
        '<165>1 2026-11-21T14:02:03.003Z web1 shop 42 ID47 [origin ip="10.0.0.1" q="a \\"b\\" \\]"][x@1 k="v"] '
        "\ufeffno stock"
    )
    assert (line.body, line.severity, line.severity_text) == ("no stock", 10, "notice")
    assert line.time_ns == ns_of(AT) + 3_000_000
    assert line.resource == {"host.name": "web1", "service.name": "shop"}
    assert line.attributes == {
        "syslog.facility": "local4", "syslog.msgid": "ID47", "process.pid": 42, "origin.ip": "10.0.0.1",
        "origin.q": 'a "b" ]', "x@1.k": "v",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "body", "host", "app", "pid"),
    [
        ("<34>Nov 21 14:02:03 web1 su[7]: failed for lonvick", "failed for lonvick", "web1", "su", 7),
        ("<34>Nov 21 14:02:03 web1 su: failed", "failed", "web1", "su", None),
        ("<34>Nov 21 14:02:03 su: failed", "failed", None, "su", None),
        ("<34>2026-11-21T14:02:03+00:00 web1 su: failed", "failed", "web1", "su", None),
        ("<34>Nov 21 14:02:03 words without a tag", "words without a tag", None, None, None),
    ],
)
def test_messages_of_rfc_3164_are_read_as_they_are_sent(
    text: str, body: str, host: str | None, app: str | None, pid: int | None
) -> None:
    line = read(text)
    assert (line.body, line.resource.get("host.name"), line.resource.get("service.name")) == (body, host, app)
    assert (line.time_ns, line.severity) == (ns_of(AT), 18)
    assert line.attributes.get("process.pid") == pid


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"no syslog at all", "no syslog at all"),
        (b"<999>x", "<999>x"),
        (b"<", "<"),
        (b"", ""),
        (b"<13>\xff\xfe", "\ufffd\ufffd"),
        (b"<13>1 - - - - - -", ""),
        (b"<13>1 2026-99-99T00:00:00Z h a p m - text", "text"),
        (b"<13>Feb 31 10:00:00 h a: text", "text"),
    ],
)
def test_what_is_no_syslog_is_kept_as_it_came(data: bytes, body: str) -> None:
    line = read(data)
    assert line.body == body
    assert line.time_ns == NOW_NS


def test_a_year_is_found_round_its_turn() -> None:
    new_year = ns_of(datetime(2027, 1, 1, 0, 0, 5, tzinfo=UTC))
    assert read_message(b"<13>Dec 31 23:59:59 h a: x", new_year, UTC).time_ns == new_year - 6 * 10**9
    zone = timezone(timedelta(hours=2))
    assert read_message(b"<13>Jan  1 01:00:00 h a: x", new_year - 10**10, zone).time_ns == new_year - 3605 * 10**9


def test_json_in_a_message_becomes_a_record() -> None:
    line = read('<14>1 2026-11-21T14:02:03Z h shop - - - @cee: {"level": "error", "msg": "no", "tenant": "acme"}')
    assert line.body == '{"level": "error", "msg": "no", "tenant": "acme"}'
    assert (line.severity, line.attributes) == (17, {"tocsin.tenant": "acme", "syslog.facility": "user"})


def cut(stream: bytes, max_bytes: int = 100) -> list[bytes]:
    async def run() -> list[bytes]:
        reader = asyncio.StreamReader(limit=128)
        reader.feed_data(stream)
        reader.feed_eof()
        return [message async for message in frames(reader, max_bytes)]

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        (b"<1>one\n<2>two\r\n\n<3>rest", [b"<1>one\n", b"<2>two\r\n", b"<3>rest"]),
        (b"6 <1>one7 <2>\ntwo", [b"<1>one", b"<2>\ntwo"]),
        (b"6 <1>one\n<2>two\n", [b"<1>one", b"<2>two\n"]),
        (b"20 <1>cut off", [b"<1>cut off"]),
        (b"300 " + b"x" * 300 + b"6 <1>one", [b"x" * 100, b"<1>one"]),
    ],
)
def test_a_stream_is_cut_by_lengths_or_lines(stream: bytes, found: list[bytes]) -> None:
    assert cut(stream) == found


def test_a_long_line_is_cut_and_the_next_one_read() -> None:
    long, after = cut(b"<1>" + b"x" * 5000 + b"\n<2>after\n")
    assert (len(long), after) == (100, b"<2>after\n")


@pytest.mark.parametrize("stream", [b"99999999999 x", b"12x", b"1"])
def test_a_length_that_is_none_ends_the_connection(stream: bytes) -> None:
    with pytest.raises(FramingError, match="cannot read the length"):
        cut(stream)


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    with ingest_of(tmp_path) as open_to_all:
        yield open_to_all


@contextmanager
def listening(ingest: Ingest, **settings: Any) -> Iterator[SyslogListener]:
    made = SyslogSettings(udp="127.0.0.1:0", tcp="127.0.0.1:0", **settings)
    listener = SyslogListener(made, lambda request: ingest.gate.admit(Signal.LOGS, None, request, None))
    listener.start()
    yield listener
    listener.close()


def bodies(rows: list[Row]) -> list[str]:
    return sorted(row.body for row in rows)


def test_messages_over_udp_and_tcp_are_stored(ingest: Ingest) -> None:
    with listening(ingest) as listener:
        handler = logging.handlers.SysLogHandler(("127.0.0.1", listener.udp_port))
        handler.emit(logging.LogRecord("x", logging.ERROR, "", 0, "shop: by udp", None, None))
        handler.close()
        with socket.create_connection(("127.0.0.1", listener.tcp_port)) as sender:
            sender.sendall(b"<11>shop: by tcp\n")
        eventually(lambda: len(log_rows(ingest)) == 2, "both are stored")
    rows = log_rows(ingest)
    assert bodies(rows) == ["by tcp", "by udp"]
    assert {(row.severity, row.resource["service.name"], row.attributes["client.address"]) for row in rows} == {
        (17, "shop", "127.0.0.1")
    }


def test_many_messages_are_stored_in_batches(ingest: Ingest) -> None:
    with listening(ingest) as listener, socket.create_connection(("127.0.0.1", listener.tcp_port)) as sender:
        sender.sendall(b"".join(b"<14>a: %d\n" % number for number in range(5000)))
        eventually(lambda: len(log_rows(ingest)) == 5000, "all are stored")
    assert len(ingest.stored(Signal.LOGS)) < 100


def test_a_spool_that_is_full_makes_messages_wait(tmp_path: Path) -> None:
    with ingest_of(tmp_path / "spool", spool_bytes=10**6) as ingest:
        refusals = [Refused(HTTPStatus.SERVICE_UNAVAILABLE, "full")]

        def submit(request: Any) -> Admission:
            if refusals:
                raise refusals.pop()
            return ingest.gate.admit(Signal.LOGS, None, request, None)

        listener = SyslogListener(SyslogSettings(udp="127.0.0.1:0"), submit)
        listener.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"<14>a: waited", ("127.0.0.1", listener.udp_port))
            eventually(lambda: bodies(log_rows(ingest)) == ["waited"], "it is stored")
        listener.close()


def test_only_the_sources_named_may_send(ingest: Ingest) -> None:
    with (
        listening(ingest, sources=("10.0.0.0/8",)) as listener,
        socket.create_connection(("127.0.0.1", listener.tcp_port)) as sender,
    ):
        sender.settimeout(10)
        assert sender.recv(1) == b""
    assert log_rows(ingest) == []


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"udp": "514"}, "udp = '514' is no address"),
        ({"tcp": "0.0.0.0:99999"}, "is no address"),
        ({"sources": ("x",)}, "sources names 'x'"),
        ({"timezone": "Mars/Olympus"}, "is no time zone"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        SyslogSettings(**settings)
