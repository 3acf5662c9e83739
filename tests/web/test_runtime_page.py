"""The runtime page: a leak, a blocking call and a restart are named with their cause; tenants do not see it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from served import Served, served
from telemetry_rows import NOW_NS, SAY

from otlp import SECOND_NS, counter, gauge, log_record, log_request, metric_request, number
from tocsin.query.events import EventRecord
from tocsin.query.runtime import BlockingLine, Process
from tocsin.web import format, runtime_headline
from waiting import eventually

pytestmark = pytest.mark.xdist_group("runtime")

MB = 1_000_000
LINE = "product/live.py:27 in notifications"


def resource(pid: int, release: str = "2.1", environment: str = "production") -> dict[str, Any]:
    return {
        "service.name": "tallyroom",
        "service.instance.id": f"instance-{pid}",
        "service.version": release,
        "deployment.environment.name": environment,
        "process.pid": pid,
        "host.name": "web-1",
        "telemetry.sdk.name": "tocsin",
    }


def figures(pid: int, now_ns: int, leak: float, **more: Any) -> Any:
    """Five minutes of one process."""
    times = [now_ns - place * 5 * SECOND_NS for place in range(60, -1, -1)]

    def course(name: str, of: Any, labels: dict[str, Any] | None = None) -> Any:
        return gauge(name, [number(of(place), time_ns=at, attrs=labels or {}) for place, at in enumerate(times)])

    metrics = [
        course("process_uptime_seconds", lambda place: 3600.0 + 5 * place),
        course("process_resident_memory_bytes", lambda place: 100.0 * MB + leak / 720 * place),
        course("process_memory_floor_bytes", lambda place: 99.0 * MB + leak / 720 * place),
        course("process_memory_leak_bytes_per_hour", lambda _: leak),
        course("python_threads", lambda _: 12.0),
        course("python_threadpool_threads", lambda _: 40.0, {"state": "limit"}),
        course("python_threadpool_threads", lambda _: 3.0, {"state": "active"}),
        counter(
            "process_cpu_seconds_total",
            [number(0.5 * 5 * place, time_ns=at, attrs={}) for place, at in enumerate(times)],
        ),
    ]
    return metric_request(metrics, resource(pid, **more))


def told(pid: int, now_ns: int) -> Any:
    leak = {
        "service.instance.id": f"instance-{pid}",
        "tocsin.leak.growing": ["shop.Undo._history (list of bytes)", "shop.Report"],
        "tocsin.leak.growing_number": [1400, 900],
        "tocsin.leak.growing_bytes": [36 * MB, MB],
    }
    blocked = {
        "tocsin.blocked.line": LINE,
        "tocsin.blocked.source": "time.sleep(0.3)  # noqa",
        "tocsin.blocked_ms": 301.5,
        "tocsin.blocked.times": 6,
        "tocsin.blocked.seconds": 1.8,
        "code.stacktrace": f"{LINE}\nstarlette/routing.py:1 in app",
        "http.request.method": "GET",
        "http.route": "/notifications",
        "tocsin.tenant": "acme",
    }
    start = {"tocsin.restart.reason": "oom", "tocsin.restart.previous_pid": 4000}
    start |= {"service.instance.id": f"instance-{pid}", "tocsin.restart.previous_uptime_seconds": 90.0}
    records = [
        log_record("leaks", time_ns=now_ns, attrs=leak, event_name="tocsin.runtime.leak"),
        log_record("still", time_ns=now_ns, attrs=blocked, event_name="tocsin.runtime.blocked"),
        log_record("still", time_ns=now_ns - SECOND_NS, attrs=blocked, event_name="tocsin.runtime.blocked"),
        log_record("the kernel killed process 4000", time_ns=now_ns, attrs=start, event_name="tocsin.runtime.restart"),
    ]
    return log_request(records, resource(pid))


def needed(now_ns: int, environment: str = "production") -> Any:
    """What the SDK adds up of measured requests: acme's reports peak at 30 MB, globex' at 10; no bytes of /old."""
    report, old = {"method": "GET", "route": "/reports/{id}"}, {"method": "GET", "route": "/old"}
    amounts = {
        "measured_total": [(4, report, "acme"), (4, report, "globex"), (2, old, "acme")],
        "peak_bytes_total": [(120 * MB, report, "acme"), (40 * MB, report, "globex")],
        "kept_bytes_total": [(8 * MB, report, "acme"), (0, report, "globex")],
        "kept_blocks_total": [(400, report, "acme"), (0, report, "globex"), (10, old, "acme")],
    }
    metrics = [
        counter(
            f"http_request_memory_{name}",
            [number(of, time_ns=now_ns, attrs={**labels, "tocsin.tenant": tenant}) for of, labels, tenant in rows],
            temporality=1,
        )
        for name, rows in amounts.items()
    ]
    return metric_request(metrics, resource(4711, environment=environment))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("runtime")) as running:
        now = time.time_ns()
        send(running, "metrics", figures(4711, now, 38.0 * MB), figures(4712, now, 0.0))
        send(running, "metrics", figures(9, now, 0.0, environment="staging"))
        send(running, "metrics", needed(now - SECOND_NS))
        send(running, "logs", told(4711, now))
        eventually(lambda: len(read(running)["processes"]) >= 3, "three processes are visible")
        eventually(lambda: memory(running), "what requests need is visible")
        eventually(lambda: read(running)["blocking"] and read(running)["restarts"], "what they told is visible")
        yield running


def send(site: Served, signal: str, *requests: Any) -> None:
    for request in requests:
        headers = {"Content-Type": "application/x-protobuf"}
        answer = httpx2.post(
            f"{site.url}/v1/{signal}", content=request.SerializeToString(), headers=headers, timeout=30
        )
        assert answer.status_code == 200, answer.text


def read(site: Served, query: str = "") -> Any:
    answer = site.administrator.get(f"/api/v1/runtime{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def memory(site: Served, query: str = "", client: Any = None) -> Any:
    answer = (client or site.administrator).get(f"/api/v1/runtime/memory{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["endpoints"]


def test_which_endpoints_need_the_memory_and_for_whom(site: Served) -> None:
    report, old = memory(site)
    assert (report["service"], report["method"], report["route"]) == ("tallyroom", "GET", "/reports/{id}")
    assert (report["measured"], report["peak_bytes"], report["kept_bytes"]) == (8, 20 * MB, MB)
    assert (report["kept_blocks"], report["tenant"], report["tenant_peak_bytes"]) == (50, "acme", 30 * MB)
    assert (old["route"], old["measured"], old["peak_bytes"], old["kept_blocks"]) == ("/old", 2, None, 5)
    assert [row["route"] for row in memory(site, "?route=/old")] == ["/old"]
    assert memory(site, "?environment=staging") == []
    assert [row["measured"] for row in memory(site, "?range=30d")] == [8, 2]


def test_a_tenants_viewer_reads_of_its_own_requests_alone(site: Served) -> None:
    report = memory(site, client=site.tom)[0]
    assert (report["measured"], report["peak_bytes"], report["tenant"]) == (4, 30 * MB, "acme")
    assert memory(site, "?tenant=globex", client=site.tom) == []


def test_the_card_of_memory_names_the_endpoint_and_otherwise_says_how_to_begin(site: Served) -> None:
    card = site.administrator.get("/runtime").text.split('id="memory"')[1].split("</section>")[0]
    assert "/reports/{id}" in re.sub(r"<[^>]+>", "", card)
    assert "20\u202fMB" in card
    assert "tenant=acme" in card or "/tenants/acme" in card
    empty = site.administrator.get("/runtime?env=staging").text.split('id="memory"')[1].split("</section>")[0]
    assert "allocation_ratio=0.01" in empty
    named = {"method": "GET", "route": "/reports/{id}"}
    own = site.tom.get("/services/tallyroom/endpoint", params=named).text.split('id="memory"')[1].split("</section>")[0]
    assert "30\u202fMB" in own
    assert "globex" not in own
    # An endpoint of which nothing was measured shows no empty card.
    assert (
        'id="memory"'
        not in site.administrator.get("/services/tallyroom/endpoint", params=named | {"route": "/never"}).text
    )


def test_the_page_opens_with_the_leak_and_what_grows(site: Served) -> None:
    html = site.administrator.get("/runtime").text
    said = re.sub(r"<[^>]+>", "", html.split('<h1 class="headline"')[1].split(">", 1)[1].split("</h1>")[0])
    assert said.strip() == "Worker 4711 of tallyroom leaks 38\u202fMB an hour: shop.Undo._history and shop.Report grow."
    kept = "GET /notifications kept the event loop of tallyroom 12 times for 300\u202fms at product/live.py:27"
    assert f"{kept} · " in html
    assert f"{LINE} is time.sleep(0.3)" in html
    assert "Worker 4000 of tallyroom was killed for want of memory" in html
    assert "starlette/routing.py:1 in app" in html


def test_programs_get_every_figure_of_every_process(site: Served) -> None:
    found = {one["pid"]: one for one in read(site)["processes"]}
    leaking, well = found["4711"], found["4712"]
    assert (leaking["is_leaking"], leaking["leak_bytes_per_hour"], well["is_leaking"]) == (True, 38 * MB, False)
    assert leaking["growing"][0] == {"name": "shop.Undo._history (list of bytes)", "number": 1400, "bytes": 36 * MB}
    assert (leaking["restart_reason"], well["restart_reason"]) == ("oom", "")
    assert leaking["cpu_cores"] == pytest.approx(0.5, rel=0.05)
    assert (leaking["threads"], leaking["pool_used"], leaking["pool_limit"]) == (12, 3, 40)
    assert (leaking["uptime_seconds"], leaking["host"], leaking["release"]) == (3900, "web-1", "2.1")
    assert leaking["cpu_limit_cores"] is None
    [line] = read(site)["blocking"]
    assert (line["times"], line["endpoints"], line["tenants"]) == (12, ["GET /notifications"], ["acme"])
    assert line["worst_seconds"] == pytest.approx(0.3015)


def test_environments_are_kept_apart_and_a_tenant_narrows_nothing(site: Served) -> None:
    assert [one["pid"] for one in read(site, "?environment=staging")["processes"]] == ["9"]
    assert len(read(site, "?environment=production")["processes"]) == 2
    assert len(read(site, "?tenant=acme")["processes"]) == 3
    assert "Processes serve all tenants" in site.administrator.get("/runtime?tenant=acme").text


def test_a_tenants_viewer_does_not_see_processes(site: Served) -> None:
    assert site.tom.get("/runtime").status_code == 403
    assert site.tom.get("/api/v1/runtime").status_code == 403


def test_the_cards_name_a_call_that_answers(site: Served) -> None:
    html = site.administrator.get("/runtime?range=24h&env=production").text
    calls = {call.replace("&amp;", "&") for call in re.findall(r'<p class="mono">GET ([^<]+)</p>', html)}
    whole = "/api/v1/runtime?range=24h&environment=production"
    assert calls == {whole, whole.replace("runtime", "runtime/memory")}
    assert [site.administrator.get(call).status_code for call in calls] == [200, 200]


WELL = Process("shop", "i", "7", "h", "1", {"running": 1.0, "memory_bytes": 50.0 * MB, "lag_p99_seconds": 0.004})
LINE_OF = BlockingLine("shop", LINE, "time.sleep(1)", 1, 0.4, 0.4, [], [], "", NOW_NS)


def test_headline_is_short_when_all_is_well() -> None:
    said = runtime_headline.runtime(SAY, [WELL, WELL], [], [])
    assert (said.state, said.text) == ("ok", "Both processes are well.")
    assert said.sub_text == "2 processes, 100\u202fMB together, event loop at most 4\u202fms late."


def test_headline_names_what_nears_its_limit() -> None:
    full = replace(WELL, figures=WELL.figures | {"pool_limit": 40.0, "pool_used": 40.0, "pool_waiting": 3.0})
    said = runtime_headline.runtime(SAY, [full], [], [])
    assert (said.state, said.text) == ("warn", "All 40 threads of worker 7 of shop were taken and calls waited.")
    tight = replace(WELL, figures=WELL.figures | {"memory_limit_bytes": 52.0 * MB})
    assert "uses 96.2 % of its memory" in runtime_headline.runtime(SAY, [tight], [], []).text


def test_call_that_kept_the_event_loop_once_and_shortly_is_no_headline() -> None:
    assert runtime_headline.runtime(SAY, [WELL], [LINE_OF], []).state == "ok"


def test_headline_names_a_call_that_kept_the_event_loop_for_long_and_a_crash() -> None:
    said = runtime_headline.runtime(SAY, [WELL], [replace(LINE_OF, seconds=1.4, worst_seconds=1.4)], [])
    assert said.text == f"A call of shop kept the event loop of shop once for 1.4\u202fs at {format.code_line(LINE)}."
    assert said.sub_text == f"{LINE} is time.sleep(1)"
    crash = EventRecord("e", NOW_NS, "", "shop", "", "", 9, "", {"tocsin.restart.reason": "crash",
        "tocsin.restart.previous_pid": 6}, "", "")  # fmt: skip
    assert runtime_headline.runtime(SAY, [WELL], [], [crash]).text == "Worker 6 of shop crashed."


def test_headline_without_processes_says_what_to_do() -> None:
    said = runtime_headline.runtime(SAY, [], [], [])
    assert said.state == "quiet"
    assert "Tocsin SDK" in said.sub_text
