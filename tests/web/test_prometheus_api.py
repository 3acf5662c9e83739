"""The Prometheus API over a running server, as Grafana, promtool and programs use it."""

from __future__ import annotations

import base64
import shutil
import subprocess
import time
from typing import Any

import httpx2
import pytest
from served import ADMIN_TOKEN, Served

import waiting

pytestmark = pytest.mark.xdist_group("metered")

API = "/prometheus/api/v1"


def data(answer: httpx2.Response) -> Any:
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["status"] == "success"
    return said["data"]


def refused(answer: httpx2.Response, status: int, kind: str) -> str:
    assert answer.status_code == status, answer.text
    said = answer.json()
    assert (said["status"], said["errorType"]) == ("error", kind)
    return str(said["error"])


def test_instant_query_answers_a_vector(metered: Served) -> None:
    found = data(
        metered.administrator.get(f"{API}/query", params={"query": "sum by (tenant) (rate(http_requests_total[5m]))"})
    )
    assert found["resultType"] == "vector"
    rates = {row["metric"]["tenant"]: float(row["value"][1]) for row in found["result"]}
    assert rates == pytest.approx({"acme": 2.0, "globex": 1.0})


def test_range_query_by_form_answers_a_matrix(metered: Served) -> None:
    now = time.time()
    form = {"query": "fleet_up", "start": now - 600, "end": now, "step": "1m"}
    found = data(metered.administrator.post(f"{API}/query_range", data=form))
    assert found["resultType"] == "matrix"
    values = found["result"][0]["values"]
    assert {value for _, value in values} == {"1"}
    assert 9 <= len(values) <= 11


def test_tenant_viewer_reads_own_series_only(metered: Served) -> None:
    assert {row["metric"].get("tenant") for row in _vector(metered.tom, '{__name__=~".+"}')} == {"acme"}
    assert data(metered.tom.get(f"{API}/label/tenant/values")) == ["acme"]
    assert "fleet_up" not in data(metered.tom.get(f"{API}/label/__name__/values"))
    found = data(metered.tom.get(f"{API}/series", params={"match[]": "http_requests_total"}))
    assert {row["tenant"] for row in found} == {"acme"}
    assert _vector(metered.tom, 'http_requests_total{tenant="globex"}') == []
    assert data(metered.tom.get(f"{API}/labels", params={"match[]": 'queue_depth{tenant="globex"}'})) == []


def test_request_is_narrowed_to_a_tenant_but_never_widened(metered: Served) -> None:
    globex = {"X-Scope-OrgID": "globex"}
    asked = {"query": "count by (tenant) (queue_depth)"}
    found = data(metered.administrator.get(f"{API}/query", params=asked, headers=globex))["result"]
    assert [row["metric"]["tenant"] for row in found] == ["globex"]
    assert data(metered.tom.get(f"{API}/query", params=asked, headers=globex))["result"] == []
    assert data(metered.tom.get(f"{API}/query", params={**asked, "tenant": "globex|acme"}))["result"][0]["metric"] == {
        "tenant": "acme"
    }


def test_lookups_know_names_labels_values_and_metadata(metered: Served) -> None:
    client = metered.administrator
    assert data(client.get(f"{API}/labels", params={"match[]": "queue_depth"})) == [
        "__name__",
        "environment",
        "job",
        "tenant",
    ]
    assert {"+Inf", "0.1", "0.5", "1"} <= set(data(client.get(f"{API}/label/le/values")))
    assert data(client.get(f"{API}/label/U__le/values", params={"limit": 2}))[0] == "+Inf"
    assert data(client.get(f"{API}/metadata", params={"metric": "http_requests_total"})) == {
        "http_requests_total": [{"type": "counter", "unit": "", "help": "Requests."}]
    }
    assert len(data(client.post(f"{API}/series", data={"match[]": ["queue_depth", "fleet_up"]}))) == 3


def test_limit_cuts_with_a_warning(metered: Served) -> None:
    answer = metered.administrator.get(f"{API}/query", params={"query": "queue_depth", "limit": 1})
    assert len(data(answer)["result"]) == 1
    assert answer.json()["warnings"] == ["results truncated due to limit"]


def test_infos_and_statistics_are_told(metered: Served) -> None:
    answer = metered.administrator.get(f"{API}/query", params={"query": "rate(queue_depth[5m])", "stats": "all"})
    assert "might not be a counter" in answer.json()["infos"][0]
    assert data(answer)["stats"]["samples"]["totalQueryableSamples"] > 0


@pytest.mark.parametrize(
    ("path", "asked", "said"),
    [
        ("query", {"query": "sum("}, 'invalid parameter "query": 1:5: parse error: unclosed left parenthesis'),
        (
            "query",
            {"query": "up", "time": "noon"},
            'invalid parameter "time": cannot parse "noon" to a valid timestamp',
        ),
        ("query", {"query": "up", "limit": "-1"}, 'invalid parameter "limit": limit must be non-negative'),
        ("query", {"query": "up", "timeout": "x"}, 'invalid parameter "timeout": cannot parse "x" to a valid duration'),
        ("query_range", {"query": "up", "start": "0", "end": "60"}, "step"),
        ("query_range", {"query": "up", "start": "60", "end": "0", "step": "1"}, "end timestamp must not be before"),
        ("query_range", {"query": "up", "start": "0", "end": "60", "step": "0"}, "zero or negative query resolution"),
        ("query_range", {"query": "up", "start": "0", "end": "99999", "step": "1"}, "exceeded maximum resolution of"),
        (
            "query_range",
            {"query": "up[5m]", "start": "0", "end": "60", "step": "1"},
            "must be Scalar or instant",
        ),
        ("series", {}, "no match[] parameter provided"),
        ("series", {"match[]": "{"}, 'invalid parameter "match[]"'),
    ],
)
def test_bad_request_is_refused_in_prometheus_words(
    metered: Served, path: str, asked: dict[str, str], said: str
) -> None:
    assert said in refused(metered.administrator.get(f"{API}/{path}", params=asked), 400, "bad_data")


def test_what_cannot_be_evaluated_and_who_is_unknown_have_their_kinds(metered: Served) -> None:
    two = "queue_depth * on (job) queue_depth"
    refused(metered.administrator.get(f"{API}/query", params={"query": two}), 422, "execution")
    stranger = waiting.get(f"{metered.url}{API}/query", params={"query": "1"})
    refused(stranger, 401, "unauthorized")
    slow = {"query": "queue_depth", "timeout": "0.0000001"}
    refused(metered.administrator.get(f"{API}/query", params=slow), 503, "timeout")


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("(" * 5000 + "1" + ")" * 5000, 400, "nests deeper than 100 levels"),
        ("-" * 10_000 + "1", 400, "nests deeper than 100 levels"),
        ('{__name__=~"((a{1000}){1000}){1000}"}', 400, "error parsing regexp"),
        ('{__name__=~"(x+x+)+y(a|a)*b"}', 200, ""),
        ('label_replace(fleet_up, "a", "$1", "job", "((a{1000}){1000}){1000}")', 422, "invalid regular expression"),
        ('max_over_time({__name__=~".+"}[30d:1s])', 422, "too many samples"),
        ('count({__name__=~".+"}[30d:1s])', 400, "expected type instant vector"),
    ],
)
def test_hostile_query_is_refused_at_once(metered: Served, query: str, status: int, said: str) -> None:
    now = time.time()
    asked = {"query": query, "start": str(now - 86_400), "end": str(now), "step": "60"}
    answer = metered.administrator.post(f"{API}/query_range", data=asked)
    assert answer.status_code == status
    assert said in answer.json().get("error", "")
    assert data(metered.administrator.get(f"{API}/query", params={"query": "1"}))["result"][1] == "1"


def test_everything_of_a_month_is_answered(metered: Served) -> None:
    now = time.time()
    asked = {"query": '{__name__=~".+"}', "start": str(now - 30 * 86_400), "end": str(now), "step": "3600"}
    assert data(metered.administrator.post(f"{API}/query_range", data=asked))["result"]


def test_query_is_formatted_and_parsed(metered: Served) -> None:
    client = metered.administrator
    text = 'sum by(job) (rate(a{b!~"c"}[5m] offset 90s))/ignoring(x)group_left foo'
    formatted = 'sum by (job) (rate(a{b!~"c"}[5m] offset 1m30s)) / ignoring (x) group_left () foo'
    assert data(client.get(f"{API}/format_query", params={"query": text})) == formatted
    tree = data(client.post(f"{API}/parse_query", data={"query": "rate(a[5m])"}))
    assert tree["type"] == "call"
    assert tree["func"]["name"] == "rate"
    assert tree["args"][0] == {
        "type": "matrixSelector",
        "name": "a",
        "range": 300000,
        "offset": 0,
        "matchers": [{"name": "__name__", "value": "a", "type": "="}],
        "timestamp": None,
        "startOrEnd": None,
    }


@pytest.mark.parametrize("path", ["buildinfo", "runtimeinfo", "config", "flags", "tsdb"])
def test_status_answers(metered: Served, path: str) -> None:
    assert data(metered.administrator.get(f"{API}/status/{path}"))


def test_grafana_finds_what_it_asks_first(metered: Served) -> None:
    client = metered.administrator
    assert data(client.get(f"{API}/status/buildinfo"))["version"].startswith("3.")
    assert data(client.post(f"{API}/query", data={"query": "1+1", "time": "1700000000.5"}))["result"] == [
        1700000000.5,
        "2",
    ]
    assert {group["name"] for group in data(client.get(f"{API}/rules"))["groups"]} >= {"application", "hosts"}
    assert isinstance(data(client.get(f"{API}/alerts"))["alerts"], list)
    assert data(client.get(f"{API}/query_exemplars", params={"query": "queue_depth"})) == []


@pytest.mark.parametrize(
    "command",
    [
        ["instant", "{url}", "count(queue_depth)"],
        ["range", "{url}", "fleet_up", "--step=1m"],
        ["series", "{url}", "--match=queue_depth"],
        ["labels", "{url}", "job"],
    ],
)
def test_promtool_queries_with_the_token_as_password(metered: Served, command: list[str]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; the API was not asked by Prometheus' own tool")
    url = metered.url.replace("http://", f"http://token:{ADMIN_TOKEN}@") + "/prometheus"
    done = subprocess.run(
        [promtool, "query", *(part.format(url=url) for part in command)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_basic_authentication_opens_nothing_else(metered: Served) -> None:
    encoded = base64.b64encode(f"x:{ADMIN_TOKEN}".encode()).decode()
    assert waiting.get(f"{metered.url}/api/v1/users", headers={"Authorization": f"Basic {encoded}"}).status_code == 401


def test_server_is_healthy(metered: Served) -> None:
    assert waiting.get(f"{metered.url}/-/healthy").status_code == 200


def _vector(client: httpx2.Client, query: str) -> list[Any]:
    found: list[Any] = data(client.get(f"{API}/query", params={"query": query}))["result"]
    return found


def test_federation_gives_the_newest_samples_as_text(metered: Served) -> None:
    asked = {"match[]": ["queue_depth", "fleet_up"]}
    text = metered.administrator.get("/prometheus/federate", params=asked).text
    lines = text.splitlines()
    assert lines[0] == "# TYPE fleet_up untyped"
    assert lines[1].startswith('fleet_up{instance="a:1",job="fleet"} 1 ')
    assert abs(int(lines[1].rpartition(" ")[2]) / 1000 - time.time()) < 300
    assert sum(line.startswith("queue_depth{") for line in lines) == 2
    assert 'tenant="globex"' not in metered.tom.get("/prometheus/federate", params=asked).text
    assert refused(metered.administrator.get("/prometheus/federate"), 400, "bad_data")
    if shutil.which("promtool"):
        plain = "\n".join(line if line.startswith("#") else line.rpartition(" ")[0] for line in lines) + "\n"
        checked = subprocess.run(["promtool", "check", "metrics"], input=plain, text=True, capture_output=True)
        assert "error" not in checked.stderr
