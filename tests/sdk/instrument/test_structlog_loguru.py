"""What is logged through structlog and loguru is sent as it was said, once, and their own output stays as it is."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import loguru
import pytest
import structlog
from fastapi import FastAPI
from loguru import logger as loguru_logger
from structlog.testing import capture_logs

import tocsin
from tocsin.sdk import instrument
from tocsin.testing import Capture, CapturedLog, capture_spans

assert loguru


@pytest.fixture
def captured() -> Iterator[Capture]:
    tocsin.instrument(FastAPI(), service="shop", log_rate=0)
    with capture_spans() as capture:
        yield capture
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def only(captured: Capture) -> CapturedLog:
    [line] = captured.logs
    return line


def to_print(out: io.StringIO, *processors: Any) -> None:
    structlog.configure(
        processors=[*processors, structlog.processors.JSONRenderer(sort_keys=True)],
        logger_factory=structlog.PrintLoggerFactory(out),
    )


def test_both_are_switched_on(captured: Capture) -> None:
    assert (instrument.states()["structlog"], instrument.states()["loguru"]) == ("on", "on")


def test_structlog_s_fields_are_the_line_s(captured: Capture) -> None:
    out = io.StringIO()
    to_print(out)
    structlog.contextvars.bind_contextvars(basket=7)
    with tocsin.span("work") as span:
        tocsin.set_tenant("acme")
        structlog.get_logger().bind(order=17).warning("order.late", days=3, password="hunter2")
        tocsin.set_tenant(None)
        trace_id = f"{span.get_span_context().trace_id:032x}"
    line = only(captured)
    facts = {name: line.attributes[name] for name in ("order", "days", "basket", "password")}
    assert (line.body, line.level, line.tenant, line.trace_id) == ("order.late", "WARNING", "acme", trace_id)
    assert facts == {"order": 17, "days": 3, "basket": 7, "password": "[redacted:field]"}
    assert line.attributes["code.function.name"] == "test_structlog_s_fields_are_the_line_s"
    assert json.loads(out.getvalue()) == {"event": "order.late", "order": 17, "days": 3, "password": "hunter2"}


def test_events_that_a_processor_drops_are_not_sent(captured: Capture) -> None:
    def drop(_logger: Any, _method: str, event_dict: Any) -> Any:
        raise structlog.DropEvent

    to_print(io.StringIO(), drop)
    structlog.get_logger().error("dropped")
    assert captured.logs == []


def test_structlog_over_logging_is_sent_once(captured: Capture) -> None:
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    structlog.get_logger("shop.pay").error("declined", code=51)
    logging.getLogger("plain").warning("after")
    first, second = captured.logs
    assert (first.logger, first.body, first.attributes["code"]) == ("shop.pay", "declined", 51)
    assert (second.logger, second.body) == ("plain", "after")


def test_an_event_that_logging_holds_back_is_not_taken_for_the_next(captured: Capture) -> None:
    structlog.configure(
        processors=[structlog.stdlib.render_to_log_kwargs],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    logging.getLogger("shop.pay").setLevel(logging.ERROR)
    structlog.get_logger("shop.pay").warning("held back")
    logging.getLogger("plain").warning("after")
    assert only(captured).body == "after"


def test_structlog_s_exceptions_have_their_stack(captured: Capture) -> None:
    to_print(io.StringIO(), structlog.processors.format_exc_info)
    try:
        raise KeyError("sku")
    except KeyError:
        structlog.get_logger().exception("failed")
    assert only(captured).attributes["exception.type"] == "KeyError"


def test_structlog_s_asynchronous_methods_keep_the_trace(captured: Capture) -> None:
    to_print(io.StringIO())

    async def work() -> None:
        with tocsin.span("work"):
            await structlog.get_logger().ainfo("hello")

    asyncio.run(work())
    assert only(captured).trace_id == captured.find("work").trace_id


def test_structlog_s_own_capture_in_tests_still_works(captured: Capture) -> None:
    logger = structlog.get_logger()
    logger.info("before")
    with capture_logs() as seen:
        logger.info("inside", n=1)
    assert seen == [{"event": "inside", "n": 1, "log_level": "info"}]


def test_loguru_s_fields_and_exceptions_are_the_line_s(captured: Capture) -> None:
    with tocsin.span("work"), loguru_logger.contextualize(basket=7):
        try:
            raise ValueError("token=abc123")
        except ValueError:
            loguru_logger.bind(order=17).exception("failed for {}", "ada")
    line = only(captured)
    assert (line.body, line.level, line.severity) == ("failed for ada", "ERROR", 17)
    assert (line.attributes["order"], line.attributes["basket"]) == (17, 7)
    assert line.attributes["exception.message"] == "token=[redacted:field]"
    assert line.attributes["code.function.name"] == "test_loguru_s_fields_and_exceptions_are_the_line_s"
    assert line.trace_id == captured.find("work").trace_id


def test_an_app_that_removes_loguru_s_sinks_is_still_heard(captured: Capture) -> None:
    out = io.StringIO()
    loguru_logger.remove()
    loguru_logger.add(out, format="{message}")
    loguru_logger.success("hello")
    line = only(captured)
    assert (line.body, line.level, line.severity) == ("hello", "SUCCESS", 10)
    assert out.getvalue() == "hello\n"


def test_records_that_one_hands_to_the_other_are_sent_once(captured: Capture) -> None:
    class ToLogging(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logging.getLogger(record.name).handle(record)

    class ToLoguru(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            loguru_logger.opt(exception=record.exc_info).log(record.levelname, record.getMessage())

    sink = loguru_logger.add(ToLogging(), format="{message}")
    loguru_logger.warning("from loguru")
    loguru_logger.remove(sink)
    handler = ToLoguru()
    logging.getLogger("shop").addHandler(handler)
    logging.getLogger("shop").warning("from logging")
    logging.getLogger("shop").removeHandler(handler)
    assert [line.body for line in captured.logs] == ["from loguru", "from logging"]


def test_files_have_the_lines_of_both(captured: Capture, tmp_path: Any) -> None:
    to_print(io.StringIO())
    level = logging.getLogger().level
    handler = tocsin.logs.to_file(tmp_path / "app.jsonl")
    try:
        structlog.get_logger().info("from structlog", n=1)
        loguru_logger.bind(n=2).info("from loguru")
    finally:
        tocsin.logs.off(handler)
        logging.getLogger().setLevel(level)
    [path] = tmp_path.iterdir()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["message"], line["n"], line["levelname"]) for line in lines] == [
        ("from structlog", 1, "INFO"), ("from loguru", 2, "INFO"),
    ]  # fmt: skip
