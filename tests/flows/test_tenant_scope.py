"""A tenant viewer of acme gets nothing of globex, by any route, parameter, id or crafted text."""

from __future__ import annotations

import html
import itertools
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import SimpleNamespace
from urllib.parse import quote

import httpx2
import inside
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from otlp_senders import PROTOBUF, attribute, export, span
from server_process import ServerProcess
from visitor import person

from tocsin.web.application import build_site
from waiting import eventually

pytestmark = pytest.mark.xdist_group("tenant scope")
SERVICE, ROUTE, RELEASE, ENVIRONMENT = "mark-service", "/mark-route/{id}", "mark-release", "mark-environment"
OPERATION, NOTE, EXCEPTION, MESSAGE, METRIC = "mark-op", "mark-note", "MarkError", "mark-message", "mark.metric"
ACME_LINE = "acme's own line"
GLOBEX_TRACE, SHARED_TRACE, ACME_TRACE = os.urandom(16), os.urandom(16), os.urandom(16)
MARKS = {
    "globex", SERVICE, "mark-route", RELEASE, ENVIRONMENT, OPERATION, NOTE, EXCEPTION, MESSAGE, METRIC,
    GLOBEX_TRACE.hex(), GLOBEX_TRACE.hex().upper(),
}  # fmt: skip
SQL = "x') OR 1=1 UNION ALL SELECT * FROM spans --"
CRAFTED = {
    "tenant": ["globex", "acme,globex", "GLOBEX", "globex' OR tenant='globex", "acme\\' OR 1=1 --", "%", "*", "other"],
    "trace_id": [
        GLOBEX_TRACE.hex(),
        GLOBEX_TRACE.hex().upper(),
        SHARED_TRACE.hex(),
        f"{GLOBEX_TRACE.hex()[:31]}?",
        "%",
    ],
    "service": [SERVICE, "shop", "shop' OR '1'='1", "%"],
    "route": [ROUTE, "/mark-route/%"],
    "operation": [OPERATION],
    "fingerprint": [inside.STATEMENT, "9090909090909090", "%"],
    "name": ["globex process", inside.JOB, "%"],
    "release": [RELEASE, "%"],
    "from": [RELEASE],
    "to": [RELEASE],
    "month": ["2026-11", "%"],
    "sort": ["name", "'"],
    "tab": ["new"],
    "all": ["1"],
    "attribute": [f"note:{NOTE}", "tenant.id:globex", "note') OR 1=1 --:x", "note:*"],
    "environment": [ENVIRONMENT, "' OR 1=1 --"],
    "env": [ENVIRONMENT, "' OR 1=1 --"],
    "status": ["error", "500"],
    "q": ["mark", "glo", GLOBEX_TRACE.hex(), "'"],
    "range": ["30d", "1h"],
    "start": ["1970-01-01", "0"],
    "limit": ["1000"],
    "level": ["info"],
    "view": ["errors", "business-events"],
    "since": ["1"],
    "before": [f"{2**62}-{'0' * 16}-1"],
    "line_id": [f"{2**62}-{'0' * 16}"],
    "method": ["GET"],
}
MARKED = '{service_name="mark-service"}'
LOGQL = [
    "{}", MARKED, '{tenant="globex"}', '{tenant=~".+"} |= "mark"', '{nowhere!="x"} | tenant="globex"',
    '{tenant!="acme"} or {tenant="globex"}', "{service_name=~`.+`} | json | line_format `{{.tenant}}`",
    'sum by (tenant, service_name) (count_over_time({}[30d]))', 'count_over_time({tenant="globex"}[30d]) or vector(1)',
    "label_replace(count_over_time({}[30d]), `t`, `$1`, `tenant`, `(.*)`)", '{a="x\' OR 1=1 --"}', "{a=`') OR 1=1 --`}",
]  # fmt: skip
# What a protocol's routes read from the address or a form without declaring it.
OF_PROTOCOL = {
    "/loki/": {
        "query": LOGQL,
        "match[]": [*LOGQL, '{tenant="globex"}'],
        "targetLabels": ["tenant,service_name", "x') OR 1=1 --"],
        "start": ["0", "1795000000"],
    }
}
EVERYWHERE = ("tenant", "env", "range", "q", "start")
"""Parameters that pages and protocols may read without declaring them."""


def globex(trace_id: bytes) -> Span:
    """A failed request of globex, marked in every field that has words in it."""
    item = span("globex", route=ROUTE, status_code=500, trace_id=trace_id, note=NOTE)
    item.name = OPERATION
    item.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=MESSAGE))
    event = item.events.add(name="exception", time_unix_nano=item.start_time_unix_nano)
    event.attributes.append(attribute("exception.type", EXCEPTION))
    event.attributes.append(attribute("exception.message", MESSAGE))
    item.attributes.append(attribute("tocsin.tenant", "globex"))
    return item


def marked_request(*spans: Span) -> bytes:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest.FromString(export(spans, SERVICE))
    resource = request.resource_spans[0].resource
    resource.attributes.append(attribute("service.version", RELEASE))
    resource.attributes.append(attribute("deployment.environment.name", ENVIRONMENT))
    return request.SerializeToString()


def marked_logs() -> bytes:
    """Lines of globex, marked in every field that has words in it, one in a trace it shares with acme, and of acme."""
    request = ExportLogsServiceRequest()
    part = request.resource_logs.add()
    for key, value in (("service.name", SERVICE), ("service.version", RELEASE), ("host.name", NOTE)):
        part.resource.attributes.append(attribute(key, value))
    part.resource.attributes.append(attribute("deployment.environment.name", ENVIRONMENT))
    for trace_id in (GLOBEX_TRACE, SHARED_TRACE, b""):
        record = part.scope_logs.add().log_records.add(time_unix_nano=time.time_ns(), severity_number=17)
        record.body.string_value = MESSAGE
        record.trace_id = trace_id
        for key, value in (("tenant.id", "globex"), ("note", NOTE), ("exception.type", EXCEPTION)):
            record.attributes.append(attribute(key, value))
    part = request.resource_logs.add()
    part.resource.attributes.append(attribute("service.name", "shop"))
    for trace_id in (ACME_TRACE, SHARED_TRACE):
        record = part.scope_logs.add().log_records.add(time_unix_nano=time.time_ns(), severity_number=9)
        record.body.string_value = ACME_LINE
        record.trace_id = trace_id
        record.attributes.append(attribute("tenant.id", "acme"))
    return request.SerializeToString()


def marked_metric() -> bytes:
    """Our SDK's gauge of requests in flight, with a tenant on it."""
    request = ExportMetricsServiceRequest()
    part = request.resource_metrics.add()
    for key, value in (("service.name", SERVICE), ("telemetry.sdk.name", "tocsin"), ("service.instance.id", NOTE)):
        part.resource.attributes.append(attribute(key, value))
    for name in ("http.server.active_requests", METRIC):
        metric = part.scope_metrics.add().metrics.add(name=name)
        metric.sum.aggregation_temporality = 2
        point = metric.sum.data_points.add(time_unix_nano=time.time_ns(), as_int=7)
        point.attributes.append(attribute("tocsin.tenant", "globex"))
    return request.SerializeToString()


@pytest.fixture(scope="module")
def server(shared_server: ServerProcess) -> ServerProcess:
    with shared_server.client(token="") as sender:

        def send(path: str, body: bytes) -> None:
            assert sender.post(path, content=body, headers=PROTOBUF).status_code == 200

        send("/v1/traces", export([span("acme", trace_id=ACME_TRACE), span("acme", trace_id=SHARED_TRACE)]))
        send("/v1/traces", export([globex(os.urandom(16)) for _ in range(3)]))  # globex uses acme's service, too
        send("/v1/traces", marked_request(globex(GLOBEX_TRACE), globex(SHARED_TRACE)))
        send("/v1/logs", marked_logs())
        send("/v1/metrics", marked_metric())
        for signal, request in inside.requests(time.time_ns()):
            send(f"/v1/{signal}", request.SerializeToString())
    eventually(lambda: len(shared_server.ask("/api/v1/tenants")["tenants"]) == 2, "both tenants are there")
    shared_server.drained()
    return shared_server


@pytest.fixture(scope="module")
def viewers(server: ServerProcess) -> Iterator[dict[str, httpx2.Client]]:
    """Who sees acme only: a program with a token, a person with a session."""
    with server.client() as admin:
        made = admin.post("/api/v1/tokens", json={"name": "acme", "role": "tenant_viewer", "tenants": ["acme"]})
    assert made.status_code == 201, made.text
    with person(server, "tom@acme.example", "tenant_viewer", "acme") as tom:
        session = f"tocsin_session={tom.cookies['tocsin_session']}"
    # Pages remember in cookies what was chosen; these browsers forget it, so that each answer stands for itself.
    forgetful = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    with (
        server.client(made.json()["secret"], cookies=forgetful) as program,
        server.client(token="", cookies=forgetful) as browser,
    ):
        browser.headers["cookie"] = session
        yield {"token": program, "session": browser}


@dataclass(frozen=True)
class Place:
    """A route of the server and the parameters it declares."""

    method: str
    path: str
    parameters: tuple[str, ...]

    @property
    def in_path(self) -> tuple[str, ...]:
        return tuple(name for name in self.parameters if f"{{{name}}}" in self.path)

    @property
    def is_for_programs(self) -> bool:
        return self.path.startswith(("/api/", "/prometheus/", "/alertmanager/", "/loki/"))


def places() -> list[Place]:
    """Every route that is not for visitors before sign-in, found in the application itself."""
    before_sign_in = ("/sign-in", "/sign-out", "/setup/")
    found = []
    for context in iter_route_contexts(build_site(SimpleNamespace()).routes):
        route = context.original_route
        if not isinstance(route, APIRoute) or context.path.startswith(before_sign_in):
            continue
        names = tuple(dict.fromkeys(parameters_of(route.dependant)))
        found += [Place(method, context.path, names) for method in sorted(context.methods or ())]
    return found


def parameters_of(dependant: Dependant) -> Iterator[str]:
    """Names in path and query that a route declares, itself and by its dependencies."""
    yield from (parameter.alias for parameter in (*dependant.path_params, *dependant.query_params))
    for each in dependant.dependencies:
        yield from parameters_of(each)


PLACES = places()
OWN = ("/settings/browsers", "/api/v1/push")
"""What everybody has for themselves."""
SIGNED_BY_PROVIDERS = (
    "/api/v1/notify/slack/actions",
    *(f"/api/v1/notify/{provider}/events" for provider in ("pagerduty", "opsgenie", "jsm")),
)
"""They come without a token, signed by a secret of their own."""
BEYOND_TENANTS = ("/settings", *(f"/api/v1/{noun}" for noun in ("users", "keys", "tokens", "audit", "doctor")))


def requests_to(place: Place) -> Iterator[tuple[str, dict[str, str]]]:
    """Paths and queries: every crafted text in every place it fits, one at a time and all towards globex."""
    choices = [[*CRAFTED.get(name, []), SQL] for name in place.in_path]
    undeclared = () if place.path.startswith("/api/v1/") else EVERYWHERE
    optional = sorted({*place.parameters, *undeclared} - {*place.in_path})
    first = True
    for values in itertools.product(*choices):
        path = place.path
        for name, value in zip(place.in_path, values, strict=True):
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        needed = {"method": "GET", "route": ROUTE} if place.path.endswith("/endpoint") else {}
        yield path, needed
        yield path, needed | {"tenant": "globex", "range": "30d"}
        if not first:
            continue
        first = False
        turn = PLACES.index(place)
        for name in optional:
            texts = [*CRAFTED.get(name, []), SQL]
            texts = in_turn(texts, turn) if name in EVERYWHERE else texts
            yield from ((path, needed | {name: text}) for text in texts)
        for prefix, parameters in OF_PROTOCOL.items():
            if place.path.startswith(prefix):
                for name, texts in parameters.items():
                    asked = {} if name in ("query", "match[]") else {"query": "{}"}
                    yield from ((path, needed | asked | {name: text, "limit": "100"}) for text in texts)


def in_turn(texts: list[str], turn: int) -> list[str]:
    """The first one for every route, each of the others for every third: all routes read these with one reader."""
    return [texts[0], *texts[1 + turn % 3 :: 3]]


def leaks(client: httpx2.Client, path: str, query: dict[str, str]) -> str:
    """'' when the answer is fine, else what is wrong with it. What was asked for may be repeated."""
    try:
        answer = client.get(path, params=query)
    except httpx2.TransportError as error:
        return f"{path} {query}: {error}"
    if answer.status_code >= 500 and answer.status_code != 503:
        return f"{path} {query}: {answer.status_code}"
    asked = f"{path} {' '.join(query.values())}".lower()
    text = answer.text + str(answer.headers)
    seen = sorted(mark for mark in MARKS if mark in text and mark.lower() not in asked)
    return f"{path} {query}: {answer.status_code} shows {seen}" if seen else ""


def test_routes_were_found() -> None:
    paths = {place.path for place in PLACES}
    assert {"/", "/traces/{trace_id}", "/api/v1/traces/{trace_id}", "/settings/users", "/api/v1/doctor"} <= paths


@pytest.mark.parametrize("who", ["token", "session"])
def test_viewer_of_acme_gets_nothing_of_globex(
    viewers: dict[str, httpx2.Client], server: ServerProcess, who: str
) -> None:
    """Pages as a person signed in, and what programs read with a token."""
    walked = [place for place in PLACES if place.method == "GET" and place.is_for_programs == (who == "token")]
    asked = [each for place in walked for each in requests_to(place)]
    assert len(asked) > 300
    with ThreadPoolExecutor(4) as pool:
        found = [leak for leak in pool.map(lambda each: leaks(viewers[who], *each), asked) if leak]
    assert found == []
    assert "Traceback" not in server.log()


def test_viewer_of_acme_does_see_acme(viewers: dict[str, httpx2.Client], server: ServerProcess) -> None:
    """Otherwise the walk above would prove nothing."""
    api = viewers["token"]
    assert [row["tenant"] for row in api.get("/api/v1/tenants").json()["tenants"]] == ["acme"]
    assert [row["service"] for row in api.get("/api/v1/services").json()["services"]] == ["shop"]
    [shared] = api.get(f"/api/v1/traces/{SHARED_TRACE.hex()}").json()["resourceSpans"]
    assert len(shared["scopeSpans"][0]["spans"]) == 1
    assert len(server.ask(f"/api/v1/traces/{SHARED_TRACE.hex()}")["resourceSpans"]) == 2
    assert api.get(f"/api/v1/traces/{GLOBEX_TRACE.hex()}").status_code == 404
    page = viewers["session"].get("/traces")
    assert ACME_TRACE.hex() in page.text
    for query in ({"tenant": "globex"}, {"service": SERVICE}, {"attribute": f"note:{NOTE}"}, {"route": ROUTE}):
        assert api.get("/api/v1/traces", params=query).json()["traces"] == []
    found = api.get("/loki/api/v1/query_range", params={"query": "{}", "limit": "5000"}).json()["data"]["result"]
    assert {stream["stream"]["tenant"] for stream in found} == {"acme"}
    assert ACME_LINE in [line for stream in found for _, line in stream["values"]]
    staff = server.ask("/loki/api/v1/query_range", query=MARKED)["data"]["result"]
    assert {stream["stream"]["tenant"] for stream in staff} == {"globex"}


@pytest.mark.parametrize("who", ["token", "session"])
def test_viewer_of_acme_may_not_read_or_change_what_administrators_do(
    viewers: dict[str, httpx2.Client], who: str
) -> None:
    for place in PLACES:
        # The protocols take questions by form, too.
        is_read = place.method == "GET" or place.path.startswith(("/prometheus/", "/loki/"))
        if (is_read and not place.path.startswith(BEYOND_TENANTS)) or place.path.startswith(OWN):
            continue
        path = place.path
        for name in place.in_path:
            path = path.replace(f"{{{name}}}", "1")
        refused = 401 if path in SIGNED_BY_PROVIDERS else 403
        assert viewers[who].request(place.method, path).status_code == refused, f"{place.method} {path}"


def test_viewer_of_acme_reads_the_lines_of_acme_alone(viewers: dict[str, httpx2.Client], server: ServerProcess) -> None:
    api, browser = viewers["token"], viewers["session"]
    both = server.ask("/api/v1/logs?limit=1000&q=%22mark-message%22")["lines"]
    theirs = next(line["id"] for line in both if line["tenant"] == "globex")
    lines = api.get("/api/v1/logs", params={"limit": 1000, "range": "30d"}).json()["lines"]
    assert {line["tenant"] for line in lines} == {"acme"}
    assert ACME_LINE in {line["body"] for line in lines}
    own = next(line["id"] for line in lines if line["body"] == ACME_LINE)
    assert api.get(f"/api/v1/logs/{own}").json()["body"] == ACME_LINE
    for path in (f"/api/v1/logs/{theirs}", f"/api/v1/logs/{theirs}/context"):
        assert api.get(path).status_code == 404
    assert browser.get(f"/logs/{theirs}").status_code == 404
    assert ACME_LINE in html.unescape(browser.get(f"/logs/{own}").text)
    shared = html.unescape(browser.get(f"/traces/{SHARED_TRACE.hex()}").text)
    assert ACME_LINE in shared
    assert MESSAGE not in shared
    for text in (
        "mark",
        NOTE,
        f"note:{NOTE}",
        "tenant:globex",
        "exception.type:*",
        "-tenant:acme",
        f"service:{SERVICE}",
    ):
        assert api.get("/api/v1/logs", params={"q": text}).json()["lines"] == []
        assert api.get("/api/v1/logs/facets", params={"q": text}).json()["facets"] == []
        assert api.get("/api/v1/logs/histogram", params={"q": text}).json()["lines"] == 0


def test_viewer_of_acme_follows_the_lines_of_acme_alone(
    viewers: dict[str, httpx2.Client], server: ServerProcess
) -> None:
    heard = ""
    with viewers["token"].stream("GET", "/api/v1/logs/tail", headers={"accept": "text/event-stream"}) as stream:
        assert stream.status_code == 200
        with server.client(token="") as sender:
            assert sender.post("/v1/logs", content=marked_logs(), headers=PROTOBUF).status_code == 200
        for text in stream.iter_text():
            heard += text
            if heard.count(ACME_LINE) >= 2:
                break
    assert sorted(mark for mark in MARKS if mark in heard) == []
