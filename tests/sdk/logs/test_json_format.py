"""Lines of JSON beside those of python-json-logger 2.0.7, and what is in them besides."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from pythonjsonlogger import jsonlogger

import tocsin
from tocsin.sdk.logs.json_format import JsonFormatter

STRICT = {"with_context": False}


def record(message: object = "hello", *args: object, error: bool = False, **extra: Any) -> logging.LogRecord:
    made = logging.getLogger("shop").makeRecord(
        "shop", logging.WARNING, "/app/orders.py", 17, message, args, None, "book", extra or None, "Stack:\n  here"
    )
    if error:
        try:
            raise ValueError("bad sku")
        except ValueError:
            made.exc_info = sys.exc_info()
    return made


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"fmt": "%(asctime)s %(levelname)s %(name)s %(message)s"},
        {"fmt": "%(levelname)s %(message)s", "rename_fields": {"levelname": "level", "message": "msg"}},
        {"fmt": "{levelname}{name}{message}", "style": "{"},
        {"static_fields": {"service": "shop"}},
        {"timestamp": True},
        {"timestamp": "when"},
        {"prefix": "json: "},
        {"json_ensure_ascii": False},
        {"json_indent": 2},
        {"fmt": "%(message)s %(lineno)d %(pathname)s %(funcName)s %(process)d"},
        {"reserved_attrs": ["msg"]},
        {"fmt": "%(asctime)s", "datefmt": "%Y"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "given",
    [
        record(),
        record("hello %s", "ada", n=1, who="bö", nested={"a": [1, None, True]}, _hidden=1),
        record({"message": "paid", "amount": 1.5, "when": datetime(2026, 11, 21, tzinfo=UTC)}),
        record("failed", error=True, n=2),
    ],
    ids=["plain", "extra", "dict", "error"],
)
def test_lines_are_those_of_python_json_logger(how: dict[str, Any], given: logging.LogRecord) -> None:
    if "reserved_attrs" in how and given.exc_info:
        pytest.skip("theirs puts the exception itself in its place then")
    theirs = jsonlogger.JsonFormatter(**how).format(given)
    ours = JsonFormatter(**how, **STRICT).format(given)
    if how.get("prefix"):
        theirs, ours = theirs.removeprefix("json: "), ours.removeprefix("json: ")
    expected, found = json.loads(theirs), json.loads(ours)
    if isinstance(how.get("timestamp"), str | bool):
        name = how["timestamp"] if isinstance(how["timestamp"], str) else "timestamp"
        assert datetime.fromisoformat(found.pop(name)) == datetime.fromisoformat(expected.pop(name))
    for name in ("relativeCreated", "created", "msecs", "thread", "exc_info"):
        if "reserved_attrs" in how:
            expected.pop(name, None), found.pop(name, None)
    assert found == expected


def test_fields_of_extra_can_be_renamed_where_they_are_there() -> None:
    how = {"rename_fields": {"n": "number"}, **STRICT}
    assert json.loads(JsonFormatter(**how).format(record("x", n=1)))["number"] == 1
    assert "number" not in json.loads(JsonFormatter(**how).format(record("x")))


def test_stdout_gets_a_line_with_trace_and_tenant_and_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    tocsin.instrument(FastAPI(), service="shop")
    handler = tocsin.logs.to_stdout()
    try:
        with tocsin.span("work"):
            tocsin.set_tenant("acme")
            logging.getLogger("shop").info("signed in, password=%s", "hunter2", extra={"api_key": "k-1", "n": 1})
            tocsin.set_tenant(None)
    finally:
        tocsin.logs.off(handler)
    line = json.loads(capsys.readouterr().out)
    assert (line["levelname"], line["name"], line["message"]) == (
        "INFO",
        "shop",
        "signed in, password=[redacted:field]",
    )
    assert (line["tenant"], line["api_key"], line["n"]) == ("acme", "[redacted:field]", 1)
    assert (len(line["trace_id"]), line["service"]) == (32, "shop")
    assert line["correlation_id"] == line["trace_id"]
    assert abs((datetime.now(UTC) - datetime.fromisoformat(line["timestamp"])).total_seconds()) < 60


def test_exceptions_are_written_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    handler = tocsin.logs.to_stdout()
    try:
        try:
            raise RuntimeError("cannot connect to postgres://shop:hunter2@db/shop")
        except RuntimeError:
            logging.getLogger("shop").exception("down")
    finally:
        tocsin.logs.off(handler)
    written = capsys.readouterr().out
    line = json.loads(written)
    assert line["error_type"] == "RuntimeError"
    assert "Traceback" in line["exc_info"]
    assert "hunter2" not in written


def test_a_stream_that_is_gone_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    from tocsin.sdk.logs import output

    class Gone:
        def write(self, text: str) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    handler = tocsin.logs.to_stdout()
    try:
        logging.getLogger("shop").warning("nobody reads this")
    finally:
        tocsin.logs.off(handler)
    assert output.lost.pop("stdout") == 1


def test_after_off_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    tocsin.logs.off(tocsin.logs.to_stdout())
    logging.getLogger("shop").warning("quiet")
    assert capsys.readouterr().out == ""
