"""The Loki API over a running server, as Grafana and LogCLI use it."""

from __future__ import annotations

import base64
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from served import Served, served

import waiting
from otlp import log_record, log_request
from waiting import eventually

pytestmark = pytest.mark.xdist_group("loki")

API = "/loki/api/v1"
NOW_NS = time.time_ns()
TRACE = "ab" * 16


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with lines of acme and globex of the last minutes."""
    folder: Path = tmp_path_factory.mktemp("loki")
    with served(folder, with_telemetry=False) as running:
        resource = {"service.name": "shop", "host.name": "web-1", "deployment.environment.name": "production"}
        records = [
            log_record(
                f"payment error {number}" if number % 5 == 0 else f'{{"msg":"ok","duration":{number}}}',
                time_ns=NOW_NS - number * 10**9,
                severity_number=17 if number % 5 == 0 else 9,
                trace_id=bytes.fromhex(TRACE),
                attrs={"tocsin.tenant": "acme", "http.route": "/pay"},
            )
            for number in range(20)
        ]
        records.append(log_record("of globex", time_ns=NOW_NS - 10**9, attrs={"tocsin.tenant": "globex"}))
        body = log_request(records, resource).SerializeToString()
        answer = waiting.post(
            f"{running.url}/v1/logs", content=body, headers={"Content-Type": "application/x-protobuf"}
        )
        assert answer.status_code == 200, answer.text
        eventually(
            lambda: asked(running.administrator, "query_range", query='{service_name="shop"}')["result"],
            "the lines are visible",
        )
        eventually(lambda: asked(running.administrator, "labels"), "the streams are visible")
        yield running


def data(answer: httpx2.Response) -> Any:
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["status"] == "success"
    return said["data"]


def asked(client: httpx2.Client, path: str, headers: dict[str, str] | None = None, **parameters: Any) -> Any:
    return data(client.get(f"{API}/{path}", params=parameters, headers=headers))


def test_lines_come_as_streams(site: Served) -> None:
    found = asked(site.administrator, "query_range", query='{service_name="shop"} |= "error"', limit=3)
    assert found["resultType"] == "streams"
    [stream] = found["result"]
    assert stream["stream"] == {
        "service_name": "shop", "tenant": "acme", "environment": "production", "host_name": "web-1", "level": "error",
        "http_route": "/pay", "trace_id": TRACE,
    }  # fmt: skip
    assert [line for _, line in stream["values"]] == ["payment error 0", "payment error 5", "payment error 10"]
    assert stream["values"][0][0] == str(NOW_NS)
    assert found["stats"]["summary"]["totalEntriesReturned"] == 3


def test_first_query_of_the_requirements_is_answered(site: Served) -> None:
    found = asked(site.administrator, "query_range", query='{service="shop"} |= "error"', direction="forward")
    assert found["result"][0]["values"][0][1] == "payment error 15"
    answer = site.administrator.get(f"{API}/query_range", params={"query": '{service="shop"} |> "duration" > 1.0'})
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.endswith("write | json | duration > 1.0")
    found = asked(site.administrator, "query_range", query='{service="shop"} |= "msg" | json | duration > 17')
    assert [line for stream in found["result"] for _, line in stream["values"]] == [
        '{"msg":"ok","duration":18}', '{"msg":"ok","duration":19}',
    ]  # fmt: skip


def test_labels_are_told_apart_when_asked(site: Served) -> None:
    flags = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
    query = '{service_name="shop"} |= "msg" | json | duration = 4'
    found = asked(site.administrator, "query_range", headers=flags, query=query)
    assert found["encodingFlags"] == ["categorize-labels"]
    [stream] = found["result"]
    assert "http_route" not in stream["stream"]
    [[_, line, labels]] = stream["values"]
    assert line == '{"msg":"ok","duration":4}'
    assert labels == {
        "structuredMetadata": {"http_route": "/pay", "trace_id": TRACE}, "parsed": {"msg": "ok", "duration": "4"},
    }  # fmt: skip


def test_numbers_over_time_and_at_a_time(site: Served) -> None:
    query = 'sum by (level) (count_over_time({service_name="shop", tenant="acme"}[1h]))'
    form = {"query": query, "start": str(NOW_NS - 10**9), "end": str(NOW_NS + 60 * 10**9), "step": "30"}
    found = data(site.administrator.post(f"{API}/query_range", data=form))
    assert found["resultType"] == "matrix"
    assert {row["metric"]["level"]: row["values"][-1][1] for row in found["result"]} == {"error": "4", "info": "16"}
    found = asked(site.administrator, "query", query=query, time=time.time())
    assert found["resultType"] == "vector"
    assert {row["metric"]["level"]: row["value"][1] for row in found["result"]} == {"error": "4", "info": "16"}
    assert asked(site.administrator, "query", query="1+1")["resultType"] == "scalar"


def test_health_check_of_grafana(site: Served) -> None:
    [row] = asked(site.administrator, "query", query="vector(1)+vector(1)", time=str(NOW_NS))["result"]
    assert (row["metric"], row["value"][1]) == ({}, "2")


def test_lookups(site: Served) -> None:
    client = site.administrator
    assert asked(client, "labels") == ["environment", "host_name", "level", "service_name", "tenant"]
    assert asked(client, "label/tenant/values") == ["acme", "globex"]
    assert asked(client, "label/level/values", query='{tenant="acme"}') == ["error", "info"]
    assert len(asked(client, "series", **{"match[]": '{service_name=~".+"}'})) == 2
    stats = client.get(f"{API}/index/stats", params={"query": '{service_name="shop"}'}).json()
    assert (stats["entries"], stats["streams"]) == (21, 2)
    [row] = asked(client, "index/volume", query='{service_name="shop"}')["result"]
    assert (row["metric"], int(row["value"][1])) == ({"service_name": "shop"}, stats["bytes"])
    ranged = asked(client, "index/volume_range", query='{service_name="shop"}', targetLabels="tenant", step="3600")
    assert {row["metric"]["tenant"] for row in ranged["result"]} == {"acme", "globex"}
    fields = client.get(f"{API}/detected_fields", params={"query": '{service_name="shop"}'}).json()["fields"]
    assert {field["label"]: (field["type"], field["parsers"]) for field in fields}.items() >= {
        "duration": ("int", ["json"]), "http_route": ("string", None),
    }.items()  # fmt: skip
    found = client.get(f"{API}/detected_labels").json()["detectedLabels"]
    assert {"label": "tenant", "cardinality": 2} in found
    assert client.get(f"{API}/status/buildinfo").json()["version"].startswith("3.")
    assert asked(client, "format_query", query='{a="b"}|="c"|json') == '{a="b"} |= "c" | json'


def test_patterns_for_logs_drilldown(site: Served) -> None:
    def told(client: httpx2.Client) -> dict[tuple[str, str], int]:
        found = asked(client, "patterns", query='{service_name="shop"}', step="10s")
        return {(row["pattern"], row["level"]): sum(count for _, count in row["samples"]) for row in found}

    eventually(lambda: len(told(site.administrator)) == 3, "the patterns are found")
    assert told(site.administrator) == {
        ("payment error <_>", "error"): 4, ("<_>ok<_>", "info"): 16, ("of globex", ""): 1,
    }  # fmt: skip
    assert set(told(site.tom)) == {("payment error <_>", "error"), ("<_>ok<_>", "info")}
    for (pattern, _), count in told(site.administrator).items():
        query = f"{{service_name=`shop`}} |> `{pattern}`"
        lines = [
            line for row in asked(site.administrator, "query_range", query=query)["result"] for line in row["values"]
        ]
        assert len(lines) == count, pattern
    assert site.administrator.get(f"{API}/patterns").status_code == 400


def test_values_of_fields_for_logs_drilldown(site: Served) -> None:
    def told(client: httpx2.Client, name: str, query: str = '{service_name="shop"}', **more: Any) -> Any:
        answer = client.get(f"{API}/detected_field/{name}/values", params={"query": query, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()["values"]

    assert told(site.administrator, "http_route") == ["/pay"]
    assert len(told(site.administrator, "duration")) == 16
    assert told(site.administrator, "duration", '{service_name="shop"} | json | duration > 17', limit="1") == ["18"]
    assert told(site.administrator, "detected_level") == ["error", "info"]
    assert told(site.administrator, "tenant") == ["acme", "globex"]
    assert told(site.tom, "tenant") == ["acme"]
    assert told(site.administrator, "nowhere") == []


def test_limits_for_logs_drilldown(site: Served) -> None:
    said = site.administrator.get(f"{API}/drilldown-limits").json()
    assert said["pattern_ingester_enabled"] is True
    limits = said["limits"]
    assert (limits["max_entries_limit_per_query"], limits["volume_enabled"]) == (5000, True)
    assert (limits["max_query_length"], limits["retention_period"], limits["query_timeout"]) == ("9600h", "720h", "60s")
    assert "service_name" in limits["discover_service_name"]
    assert waiting.get(f"{site.url}{API}/drilldown-limits").status_code == 401


def test_readiness_is_told_where_clients_of_loki_ask(site: Served) -> None:
    answer = waiting.get(f"{site.url}/ready")
    assert (answer.status_code, answer.text) == (200, "ready\n")


def test_tenant_viewer_reads_own_lines_only(site: Served) -> None:
    found = asked(site.tom, "query_range", query='{service_name="shop"}', limit=100)
    assert {stream["stream"]["tenant"] for stream in found["result"]} == {"acme"}
    assert asked(site.tom, "query_range", query='{tenant="globex"}')["result"] == []
    assert asked(site.tom, "label/tenant/values") == ["acme"]
    narrowed = asked(site.administrator, "label/tenant/values", headers={"X-Scope-OrgID": "globex"})
    assert narrowed == ["globex"]
    assert asked(site.tom, "label/tenant/values", headers={"X-Scope-OrgID": "globex"}) == []


def test_token_as_password_and_nobody(site: Served) -> None:
    token = site.administrator.headers["authorization"].removeprefix("Bearer ")
    basic = base64.b64encode(f"grafana:{token}".encode()).decode()
    answer = waiting.get(f"{site.url}{API}/labels", headers={"Authorization": f"Basic {basic}"})
    assert "tenant" in data(answer)
    answer = waiting.get(f"{site.url}{API}/labels")
    assert answer.status_code == 401
    assert answer.text.startswith("cannot tell who is asking")


@pytest.mark.parametrize(
    ("path", "parameters", "said"),
    [
        ("query_range", {}, "the parameter query is missing"),
        ("query_range", {"query": "{"}, "parse error at line 1, col 2"),
        ("query_range", {"query": '{a="b"}', "limit": "-1"}, "cannot use limit '-1'"),
        ("query_range", {"query": '{a="b"}', "limit": "6000"}, "cannot answer 6000 lines: 5000 at most"),
        ("query_range", {"query": '{a="b"}', "start": "noon"}, "cannot read start 'noon' as a time"),
        ("query_range", {"query": '{a="b"}', "start": "20", "end": "10"}, "end is before start"),
        ("query_range", {"query": '{a="b"}', "start": "1"}, "longer than 400 days"),
        ("query_range", {"query": '{a="b"}', "direction": "up"}, "write forward or backward"),
        ("query_range", {"query": 'rate({a="b"}[1m])', "step": "0"}, "zero or negative query resolution"),
        ("query_range", {"query": 'rate({a="b"}[1m])', "step": "0.01"}, "exceeded maximum resolution"),
        ("query", {"query": '{a="b"}'}, "log queries are not supported as an instant query type"),
        ("query", {"query": "sum(1)"}, "sum is for vectors"),
        ("query", {"query": 'rate({a="b"} |~ "(?=x)"[1m])'}, "RE2"),
        ("series", {"match[]": "up("}, "parse error"),
        ("query_range", {"query": '{a="b"} |= "' + "x" * 70_000 + '"'}, "at most 65536 are read"),
        ("index/volume", {"query": '{a="b"}', "aggregateBy": "x"}, "write series or labels"),
    ],
)
def test_what_cannot_be_asked_is_told(site: Served, path: str, parameters: dict[str, str], said: str) -> None:
    answer = site.administrator.post(f"{API}/{path}", data=parameters)
    assert answer.status_code == 400, answer.text
    assert said in answer.text


def tailed(site: Served, token: str, **parameters: str) -> Any:
    headers = {"Authorization": token} if token else {}
    url = site.url.replace("http://", "ws://") + f"{API}/tail"
    return httpx2.websocket(url, params=parameters, headers=headers, timeout=30)


def test_tail_tells_what_comes_and_only_to_whom_it_belongs(site: Served) -> None:
    token = site.tom.headers["authorization"]
    with tailed(site, token, query='{service_name="tailed"} != "ignored"', limit="10") as socket:
        now_ns = time.time_ns()
        for tenant, text in (("globex", "not for tom"), ("acme", "for tom"), ("acme", "ignored"), ("acme", "for tom")):
            record = log_record(text, time_ns=now_ns, attrs={"tocsin.tenant": tenant})
            send_logs(site, [record], {"service.name": "tailed"})
        lines: list[str] = []
        while len(lines) < 1:
            said = json.loads(socket.receive_text(timeout=30))
            assert said["dropped_entries"] is None
            lines += [line for stream in said["streams"] for _, line in stream["values"]]
            assert {stream["stream"]["tenant"] for stream in said["streams"]} == {"acme"}
        assert set(lines) == {"for tom"}


def test_tail_names_what_a_slow_reader_misses(site: Served) -> None:
    resource = {"service.name": "flood"}
    with tailed(site, site.administrator.headers["authorization"], query='{app="flood"}', limit="3") as socket:
        now_ns = time.time_ns()
        records = [log_record(f"flood {number}", time_ns=now_ns + number) for number in range(10)]
        send_logs(site, records, resource)
        said = json.loads(socket.receive_text(timeout=30))
    assert [line for stream in said["streams"] for _, line in stream["values"]] == ["flood 7", "flood 8", "flood 9"]
    assert [entry["timestamp"] for entry in said["dropped_entries"]] == [str(now_ns + number) for number in range(7)]
    assert {entry["labels"]["service_name"] for entry in said["dropped_entries"]} == {"flood"}


def test_lines_are_heard_within_a_second_of_their_acknowledgement(site: Served) -> None:
    waited = []
    with tailed(site, site.administrator.headers["authorization"], query='{app="prompt"}', start=str(NOW_NS)) as socket:
        for number in range(7):
            time.sleep(0.17)  # out of step with every timer of the server
            send_logs(site, [log_record(f"prompt {number}", time_ns=time.time_ns())], {"service.name": "prompt"})
            acknowledged = time.monotonic()
            socket.receive_text(timeout=30)
            waited.append(time.monotonic() - acknowledged)
    assert statistics.median(waited) < 1.0, waited


def send_logs(site: Served, records: list[Any], resource: dict[str, str]) -> None:
    body = log_request(records, resource).SerializeToString()
    headers = {"Content-Type": "application/x-protobuf"}
    assert waiting.post(f"{site.url}/v1/logs", content=body, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("token", "query", "said"),
    [
        ("", '{a="b"}', "cannot tell who is asking"),
        ("Bearer tcs_api_wrong", '{a="b"}', "cannot tell who is asking"),
        (None, '{a="b"', "parse error at line 1, col 7"),
        (None, 'rate({a="b"}[5m])', "this is a metric query"),
        (None, "", "the query is empty"),
    ],
)
def test_tail_that_is_refused_says_why(site: Served, token: str | None, query: str, said: str) -> None:
    used = site.administrator.headers["authorization"] if token is None else token
    with tailed(site, used, query=query) as socket, pytest.raises(Exception, match="1008") as caught:
        socket.receive_text(timeout=30)
    assert said in str(caught.value)


def test_session_of_a_browser_opens_no_tail_from_another_site(site: Served) -> None:
    url = site.url.replace("http://", "ws://") + f"{API}/tail"
    headers = {"Cookie": "tocsin_session=x", "Origin": "https://evil.example"}
    with (
        httpx2.websocket(url, params={"query": "{}"}, headers=headers) as socket,
        pytest.raises(Exception, match="cannot tell who is asking"),
    ):
        socket.receive_text(timeout=30)
