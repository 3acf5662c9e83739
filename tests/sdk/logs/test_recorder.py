"""What becomes of the records of `logging`: whose they are, what they say, and that the app does not notice."""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
import time
from collections.abc import Iterator

import pytest
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

import tocsin
from sdk.receiver import Receiver, attributes_of
from tocsin.sdk.agents import current_agent
from tocsin.sdk.jobs import JobName, JobRun, queued
from tocsin.sdk.logs import recorder
from tocsin.sdk.logs.levels import severity_of
from tocsin.sdk.settings import SettingsError
from tocsin.sdk.transport import Response
from tocsin.testing import Capture, CapturedLog, capture_spans
from waiting import eventually

log = logging.getLogger("shop.orders")


@pytest.fixture(autouse=True)
def from_info() -> Iterator[None]:
    log.setLevel(logging.DEBUG)
    yield
    log.setLevel(logging.NOTSET)


def only(captured: Capture) -> CapturedLog:
    [line] = captured.logs
    return line


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    tocsin.instrument(app, service="shop", tenant="header:X-Tenant-ID")
    return app


def test_a_line_of_a_request_knows_all_about_it(app: FastAPI) -> None:
    @app.get("/orders/{number}")
    def show(number: int) -> str:
        tocsin.set_user(4711)
        log.warning("order %d is late", number, extra={"days": 3})
        return "ok"

    with capture_spans() as captured, TestClient(app) as client:
        headers = {"x-tenant-id": "acme", "x-request-id": "req-1", "x-correlation-id": "course-1"}
        client.get("/orders/17", headers=headers)
    line, [span] = only(captured), captured.spans
    assert (line.logger, line.level, line.severity, line.body) == ("shop.orders", "WARNING", 13, "order 17 is late")
    assert (line.tenant, line.trace_id, line.span_id) == ("acme", span.trace_id, span.span_id)
    facts = line.attributes
    assert (facts["request.id"], facts["correlation.id"], facts["enduser.id"]) == ("req-1", "course-1", "4711")
    assert (facts["days"], facts["code.function.name"]) == (3, "show")
    assert facts["code.file.path"].endswith("logs/test_recorder.py")


def test_without_a_header_a_request_is_known_by_its_first_span(app: FastAPI) -> None:
    @app.get("/")
    async def show() -> str:
        log.info("hello")
        return "ok"

    with capture_spans() as captured, TestClient(app) as client:
        client.get("/", headers={"x-tenant-id": "globex"})
    line = only(captured)
    assert (line.tenant, line.attributes["request.id"]) == ("globex", captured.spans[0].span_id)


def test_threads_tasks_and_background_tasks_stay_with_their_request(app: FastAPI) -> None:
    @app.get("/")
    async def show(tasks: BackgroundTasks) -> str:
        async def in_task() -> None:
            log.info("task")

        await asyncio.create_task(in_task())
        await asyncio.to_thread(log.info, "to_thread")
        thread = threading.Thread(target=tocsin.wrap(log.info), args=("thread",))
        thread.start()
        thread.join()
        tasks.add_task(log.info, "background")
        return "ok"

    with capture_spans() as captured, TestClient(app) as client:
        for tenant in ("acme", "globex"):
            client.get("/", headers={"x-tenant-id": tenant})
    for tenant in ("acme", "globex"):
        lines = [line for line in captured.logs if line.tenant == tenant]
        assert [line.body for line in lines] == ["task", "to_thread", "thread", "background"]
        assert len({line.trace_id for line in lines}) == 1


def test_a_job_has_the_tenant_user_and_ids_of_the_request_that_queued_it(app: FastAPI) -> None:
    job = JobName("mail", "default", "own")
    headers: dict[str, str] = {}

    @app.get("/")
    def show() -> str:
        tocsin.set_user("ada")
        headers.update(queued(job))
        return "ok"

    with capture_spans() as captured, TestClient(app) as client:
        sent = {"x-tenant-id": "acme", "x-request-id": "req-7", "x-correlation-id": "course-7"}
        client.get("/", headers=sent)

        def work() -> None:
            with JobRun(job, headers):
                log.info("sent")

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    line = only(captured)
    ids = [line.attributes[name] for name in ("request.id", "correlation.id", "enduser.id")]
    assert (line.tenant, ids) == ("acme", ["req-7", "course-7", "ada"])
    assert line.trace_id == captured.find("GET /").trace_id


def test_one_tenant_s_traces_are_not_mixed_up_in_a_worker(app: FastAPI) -> None:
    def work() -> None:
        tocsin.set_tenant("acme")
        for _ in range(2):
            with tocsin.span("work"):
                log.info("done")

    with capture_spans() as captured:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    lines = captured.logs
    assert [line.trace_id for line in lines] == [span.trace_id for span in captured.spans]
    assert not any("correlation.id" in line.attributes for line in lines)


def test_an_exception_is_told_with_its_stack(app: FastAPI) -> None:
    with capture_spans() as captured:
        try:
            raise KeyError("sku-17")
        except KeyError:
            log.exception("cannot book")
    facts = only(captured).attributes
    assert (facts["exception.type"], facts["exception.message"]) == ("KeyError", "'sku-17'")
    assert 'raise KeyError("sku-17")' in facts["exception.stacktrace"]


def test_what_a_server_says_of_an_exception_belongs_to_the_request_that_it_left(app: FastAPI) -> None:
    @app.get("/orders")
    def show() -> str:
        tocsin.set_user(4711)
        raise LookupError("no rate for USD")

    with capture_spans() as captured, TestClient(app) as client:
        headers = {"x-tenant-id": "acme", "x-request-id": "req-1"}
        with pytest.raises(LookupError) as raised:
            client.get("/orders", headers=headers)
        log.error("Exception in ASGI application", exc_info=raised.value)
        log.error("another", exc_info=LookupError("of no request"))
    (line, other), [span] = captured.logs, captured.spans
    assert (line.trace_id, line.span_id, line.tenant) == (span.trace_id, span.span_id, "acme")
    assert (line.attributes["request.id"], line.attributes["enduser.id"]) == ("req-1", "4711")
    assert (other.trace_id, other.tenant) == ("", None)
    assert isinstance(pickle.loads(pickle.dumps(raised.value)), LookupError)


def test_an_error_keeps_the_trace_of_its_request() -> None:
    app = FastAPI()
    tocsin.instrument(app, sample_ratio=0.0, sample_minimum_per_second=0)

    @app.get("/{what}")
    def show(what: str) -> str:
        log.log(logging.ERROR if what == "bad" else logging.INFO, "told")
        return "ok"

    with capture_spans() as captured, TestClient(app) as client:
        client.get("/good")
        client.get("/bad")
        [span] = captured.spans
    assert span.attributes["tocsin.sample.reason"] == "log"
    assert [line.trace_id == span.trace_id for line in captured.logs] == [False, True]


def test_what_is_below_the_level_is_not_sent() -> None:
    with capture_spans() as captured:
        log.debug("too much")
        log.info("enough")
    assert [line.body for line in captured.logs] == ["enough"]


def test_off_sends_nothing() -> None:
    app = FastAPI()
    tocsin.instrument(app, log_level="off")
    with capture_spans() as captured:
        log.critical("nobody hears")
    assert captured.logs == []


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(SettingsError, match="write DEBUG, INFO"):
        tocsin.instrument(FastAPI(), log_level="LOUD")


def test_the_app_s_handlers_see_the_record_as_it_was(app: FastAPI) -> None:
    seen: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record)

    handler = Keeping()
    log.addHandler(handler)
    try:
        with capture_spans():
            log.warning("password=%s", "hunter2", extra={"n": 1})
    finally:
        log.removeHandler(handler)
    [record] = seen
    assert (record.msg, record.args, record.getMessage()) == ("password=%s", ("hunter2",), "password=hunter2")
    plain = logging.makeLogRecord({}).__dict__
    assert set(record.__dict__) - set(plain) - {"message"} == {"n"}
    assert pickle.loads(pickle.dumps(record)).msg == record.msg


def test_loggers_that_do_not_propagate_are_heard() -> None:
    quiet = logging.getLogger("uvicorn.like")
    quiet.propagate = False
    with capture_spans() as captured:
        quiet.warning("heard")
    assert only(captured).logger == "uvicorn.like"


def test_basic_config_still_works_after_instrumenting(app: FastAPI) -> None:
    assert not [handler for handler in logging.getLogger().handlers if "tocsin" in type(handler).__module__]


def test_a_message_that_cannot_be_formatted_is_sent_as_it_is(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)

    class Bad:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with capture_spans() as captured:
        log.warning("%d items", "many")
        log.warning("fields", extra={"bad": Bad()})
    assert [line.body for line in captured.logs] == ["%d items ('many',)", "fields"]
    assert captured.logs[1].attributes["bad"] == "<Bad>"


def test_values_are_as_they_were_when_logged(app: FastAPI) -> None:
    basket = {"items": [1]}
    with capture_spans() as captured:
        log.info("added", extra={"basket": basket})
        basket["items"].append(2)
    assert only(captured).attributes["basket"] == {"items": [1]}


def test_a_dictionary_as_message_becomes_fields(app: FastAPI) -> None:
    with capture_spans() as captured:
        log.info({"message": "paid", "amount": 17})
    line = only(captured)
    assert (line.body, line.attributes["amount"]) == ("paid", 17)


def test_a_line_in_a_loop_is_limited_and_the_rest_counted() -> None:
    app = FastAPI()
    tocsin.instrument(app, log_rate=5)
    with capture_spans() as captured:
        for number in range(100):
            log.warning("again %d", number)
        log.warning("another line of code")
        agent = current_agent()
        assert agent is not None
        lines = [line for line in captured.logs if line.body.startswith("again")]
        assert 10 <= len(lines) < 50
        assert agent.exporter.dropped["logs", "noise"] == 100 - len(lines)
        assert captured.logs[-1].body == "another line of code"
        del agent.exporter.dropped["logs", "noise"]


def test_lines_left_out_are_told_when_the_loop_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    app = FastAPI()
    tocsin.instrument(app, log_rate=1)
    with capture_spans() as captured:
        for _ in range(10):
            log.warning("again")
        captured.clear()
        agent = current_agent()
        assert agent is not None
        later = time.time() + 10
        monkeypatch.setattr(recorder.time, "time", lambda: later)
        recorder.tell_left_out(agent)
        line = only(captured)
        del agent.exporter.dropped["logs", "noise"]
    assert line.attributes["tocsin.log.left_out"] == 8
    assert line.attributes["code.line.number"] > 0


def test_own_words_are_not_sent_and_slow_requests_are() -> None:
    with capture_spans() as captured:
        logging.getLogger("tocsin").warning("cannot export")
        logging.getLogger("tocsin.writer").warning("of a server in this process")
        logging.getLogger("tocsination").warning("somebody else's")
        logging.getLogger("tocsin.slow").warning("slow request", extra={"trace_id": "1f" * 16, "tenant": "acme"})
    assert [line.body for line in captured.logs] == ["somebody else's", "slow request"]
    assert (captured.logs[1].trace_id, captured.logs[1].tenant) == ("1f" * 16, "acme")


def test_a_slow_request_s_line_opens_its_trace() -> None:
    app = FastAPI()
    tocsin.instrument(app, slow_seconds=0.0, tenant="header:X-Tenant-ID")

    @app.get("/")
    def show() -> str:
        return "ok"

    with capture_spans() as captured, TestClient(app) as client:
        client.get("/", headers={"x-tenant-id": "acme"})
        [span] = captured.spans
        line = next(line for line in captured.logs if line.logger == "tocsin.slow")
    assert (line.trace_id, line.tenant) == (span.trace_id, "acme")


def test_access_logs_of_servers_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("uvicorn.access", "uvicorn.error"):  # servers of other tests set them up
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
        logging.getLogger(name).manager._clear_cache()
    with capture_spans() as captured:
        logging.getLogger("uvicorn.access").warning("GET /")
        logging.getLogger("uvicorn.error").warning("shutting down")
    assert [line.logger for line in captured.logs] == ["uvicorn.error"]


def test_what_exporting_logs_is_not_exported() -> None:
    sent: list[bytes] = []

    def noisy(signal: str, body: bytes) -> Response:
        logging.getLogger("urllib3.like").warning("connection to the server")
        sent.append(body)
        return Response(200)

    app = FastAPI()
    tocsin.instrument(app, transport=noisy)
    agent = current_agent()
    assert agent is not None
    log.warning("one")
    for _ in range(5):
        agent.exporter.flush(5)
    assert b"shop.orders" in b"".join(sent)
    assert b"connection to the server" not in b"".join(sent)


def test_lines_arrive_under_their_logger(receiver: Receiver) -> None:
    app = FastAPI()
    tocsin.instrument(app, endpoint=receiver.endpoint, service="shop")
    log.warning("one")
    logging.getLogger("other").error("two")

    def lines_by_scope() -> dict[str, list[str]]:
        said: dict[str, list[str]] = {}
        for body in receiver.bodies("/v1/logs"):
            for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
                assert attributes_of(resource.resource)["service.name"] == "shop"
                for scope in resource.scope_logs:
                    # Events, such as why this process started, go the same way.
                    lines = [record.body.string_value for record in scope.log_records if not record.event_name]
                    if lines:
                        said.setdefault(scope.scope.name, []).extend(lines)
        return said

    eventually(lambda: lines_by_scope() == {"shop.orders": ["one"], "other": ["two"]}, "both lines arrive")


def test_lines_beyond_the_queue_are_counted_and_events_have_their_place() -> None:
    app = FastAPI()
    tocsin.instrument(app, queue_logs=50, log_rate=0)
    with capture_spans() as captured:
        agent = current_agent()
        assert agent is not None
        for _ in range(80):
            log.warning("flood")
        agent.emit("deploy", "1.2", {})
        assert agent.exporter.dropped["logs", "queue_full"] == 30
        assert len(captured.logs) == 50
        assert len(captured.records) == 1
        del agent.exporter.dropped["logs", "queue_full"]


def test_starlette_s_signed_in_user_is_known(app: FastAPI) -> None:
    class User:
        is_authenticated = True
        identity = "ada"

    with capture_spans() as captured, TestClient(app) as client:

        @app.get("/now")
        def now(request: Request) -> str:
            request.scope["user"] = User()
            log.info("hello")
            [line] = captured.logs
            return str(line.attributes["enduser.id"])

        assert client.get("/now").json() == "ada"


@pytest.mark.parametrize(
    ("level", "number"), [(5, 1), (10, 5), (15, 6), (20, 9), (25, 10), (30, 13), (40, 17), (50, 21)]
)
def test_severities(level: int, number: int) -> None:
    assert severity_of(level) == number
