"""Lines of logs as records: JSON of the usual loggers, plain text, times and levels in other people's spelling."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tocsin.model.log_line import MAX_FIELDS, read_line
from tocsin.model.log_severity import severity_of_line
from tocsin.model.log_time import ns_of, time_ns_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
AT = datetime(2026, 11, 21, 14, 2, 3, 123000, tzinfo=UTC)
TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\nshop.errors.Refused: card 7: no'


def read(**fields: Any) -> Any:
    return read_line(json.dumps(fields), UTC)


def test_the_body_is_the_line_as_it_was_written_with_its_fields_beside_it() -> None:
    text = ' {"msg": "no", "level":"error",  "took": 7}'
    line = read_line(text)
    assert (line.body, line.severity, line.attributes) == (text, 17, {"took": 7})


def test_fields_of_python_json_logger_become_those_of_a_record() -> None:
    line = read(
        asctime="2026-11-21 14:02:03,123", levelname="WARNING", name="shop.orders", message="low stock",
        funcName="check", pathname="/srv/shop/orders.py", lineno=7, threadName="MainThread", process=42,
        request_id="r1", correlation_id="c1", user_id=9, tenant="acme", trace_id=TRACE, span_id=SPAN,
        service="shop", environment="live", sku="a-1", taskName=None,
    )  # fmt: skip
    assert (line.severity, line.severity_text, line.scope) == (13, "WARNING", "shop.orders")
    assert line.time_ns == ns_of(AT)
    assert (line.trace_id.hex(), line.span_id.hex()) == (TRACE, SPAN)
    assert line.resource == {"service.name": "shop", "deployment.environment.name": "live"}
    assert line.attributes == {
        "code.function.name": "check", "code.file.path": "/srv/shop/orders.py", "code.line.number": 7,
        "thread.name": "MainThread", "process.pid": 42, "request.id": "r1", "correlation.id": "c1", "enduser.id": 9,
        "tocsin.tenant": "acme", "sku": "a-1",
    }  # fmt: skip


def test_an_exception_is_taken_apart() -> None:
    line = read(level="error", event="payment failed", exception=TRACEBACK)
    assert line.attributes == {
        "exception.stacktrace": TRACEBACK,
        "exception.type": "shop.errors.Refused",
        "exception.message": "card 7: no",
    }


def test_nested_fields_have_dots_between_their_names() -> None:
    line = read(msg="x", http={"request": {"method": "GET"}}, service={"name": "shop", "version": "2"}, tags=["a"])
    assert line.attributes == {"http.request.method": "GET", "tags": ["a"]}
    assert line.resource == {"service.name": "shop", "service.version": "2"}


@pytest.mark.parametrize(
    ("fields", "severity"),
    [({"level": 30}, 9), ({"level": 50}, 17), ({"levelno": 30}, 13), ({"severity": "Critical"}, 21), ({"lvl": "?"}, 0)],
)
def test_levels_are_words_or_numbers(fields: dict[str, Any], severity: int) -> None:
    assert read(msg="x", **fields).severity == severity


@pytest.mark.parametrize("text", ["plain words", "{broken", '["list"]', "", "{}", '{"a": 1}', "{" * 100_000, "\x00"])
def test_what_is_no_record_keeps_its_line(text: str) -> None:
    assert read_line(text).body == text


def test_a_line_of_too_many_fields_keeps_all_of_them_in_its_body() -> None:
    text = json.dumps({"level": "error", "message": "m"} | {f"field{number}": 1 for number in range(MAX_FIELDS + 1)})
    line = read_line(text)
    assert (line.body, line.severity, line.attributes) == (text, 17, {})


@pytest.mark.parametrize("wrong", ["0" * 32, "xyz", "ab", 7, None, " " * 32])
def test_what_is_no_trace_id_stays_a_field(wrong: Any) -> None:
    line = read(msg="x", trace_id=wrong)
    assert line.trace_id == b""
    assert line.attributes == ({} if wrong is None else {"trace_id": wrong})


@pytest.mark.parametrize(
    ("written", "ns"),
    [
        ("2026-11-21T14:02:03.123Z", ns_of(AT)),
        ("2026-11-21T14:02:03.123456789Z", ns_of(AT) + 456_789),
        ("2026-11-21 15:02:03,123+01:00", ns_of(AT)),
        ("2026/11/21 14:02:03", ns_of(AT) - 123_000_000),
        (1795269723, ns_of(AT) - 123_000_000),
        (1795269723.123, ns_of(AT)),
        ("1795269723.123", ns_of(AT)),
        (1795269723123, ns_of(AT)),
        (1795269723123000, ns_of(AT)),
        (str(ns_of(AT)), ns_of(AT)),
    ],
)
def test_times_are_read_in_every_spelling(written: Any, ns: int) -> None:
    assert time_ns_of(written, UTC) == ns


@pytest.mark.parametrize(
    "written",
    [
        "yesterday",
        "",
        None,
        True,
        -1,
        0,
        float("nan"),
        float("inf"),
        10**30,
        [],
        "9" * 400,
        99_999_999_999,
        "9999-01-01T00:00:00Z",
    ],
)
def test_what_is_no_time_is_0(written: Any) -> None:
    assert time_ns_of(written) == 0


def test_a_time_without_a_zone_is_in_the_zone_given() -> None:
    assert time_ns_of("2026-11-21T15:02:03.123", timezone(timedelta(hours=1))) == ns_of(AT)


@pytest.mark.parametrize(
    ("line", "severity"),
    [
        ('time=x level="warning" msg="y"', 13),
        ("2026-11-21 14:02:03,123 - shop - CRITICAL - no", 21),
        ("[error] 12#12: connection refused", 17),
        ("no errors were found", 0),
        ("x" * 300 + " ERROR", 0),
    ],
)
def test_a_plain_line_says_its_level(line: str, severity: int) -> None:
    assert severity_of_line(line) == severity


@pytest.mark.parametrize(
    ("line", "ns"),
    [
        ("2026-11-21 14:02:03,123 ERROR no", ns_of(AT)),
        ("[2026-11-21T14:02:03.123Z] no", ns_of(AT)),
        ("2026/11/21 14:02:03.123 [error] no", ns_of(AT)),
        ("at 2026-11-21 14:02:03 no", 0),
        ("2026-99-21 14:02:03 no", 0),
    ],
)
def test_a_plain_line_may_begin_with_its_time(line: str, ns: int) -> None:
    read = read_line(line, UTC)
    assert (read.body, read.time_ns) == (line, ns)
