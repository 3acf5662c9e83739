"""A promtail-config.yml as it is: labels, stages, containers, and what of it is not carried out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tocsin.collect.go_time import go_time
from tocsin.collect.log_entry import Chain, Entry, Run
from tocsin.collect.log_frames import frame
from tocsin.collect.log_stages import stages_of
from tocsin.collect.log_template import template
from tocsin.collect.tail_config import TailConfig, TailConfigError, load_tail_config

AT = 1_795_269_723  # 2026-11-21 14:02:03 UTC
Load = Callable[[str], TailConfig]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str) -> TailConfig:
        path = tmp_path / "promtail-config.yml"
        path.write_text(text)
        return load_tail_config(path, tmp_path / "containers")

    return load


def run(stages: str, *lines: str, labels: dict[str, str] | None = None, closes: bool = True) -> list[Entry]:
    ignored: list[str] = []
    makers = stages_of(yaml.safe_load(stages), "stages", ignored)
    assert ignored == []
    data = "".join(f"{line}\n" for line in lines).encode()
    chain = Chain(makers, Run(now_ns=time.time_ns()))
    return frame(data, 0, labels or {"job": "shop"}, chain, 10_000, closes_block=closes).entries


USUAL = """
server: {http_listen_port: 9080}
positions: {filename: /tmp/positions.yaml}
clients:
  - url: http://loki:3100/loki/api/v1/push
    tenant_id: acme
    external_labels: {cluster: eu}
scrape_configs:
  - job_name: containers
    static_configs:
      - targets: [localhost]
        labels: {job: containerlogs, __path__: "/var/lib/docker/containers/*/*log"}
    pipeline_stages:
      - json:
          expressions: {output: log, stream: stream, attrs: }
      - json:
          expressions: {tag: }
          source: attrs
      - regex:
          expression: (?P<container_name>(?:[^|]*[^|]))
          source: tag
      - timestamp: {format: RFC3339Nano, source: time}
      - labels: {stream: , container_name: }
      - output: {source: output}
      - limit: {rate: 5}
  - job_name: journal
    journal: {max_age: 12h}
  - job_name: web
    static_configs:
      - labels: {app: web, __path__: /var/log/nginx/*.log, __path_exclude__: "*.error.log"}
    relabel_configs:
      - {source_labels: [app], target_label: service, replacement: front-$1}
"""


def test_the_usual_file_is_read_and_what_is_not_carried_out_is_named(load: Load) -> None:
    config = load(USUAL)
    first, second = config.targets
    assert (first.job, first.pattern, first.tenant) == ("containers", "/var/lib/docker/containers/*/*log", "acme")
    assert first.labels == {"job": "containerlogs", "cluster": "eu"}
    assert second.labels == {"app": "web", "service": "front-web", "cluster": "eu"}
    assert second.exclude == "*.error.log"
    assert {sentence.partition(":")[0] for sentence in config.elsewhere} == {"server", "positions", "clients"}
    assert len(config.ignored) == 2
    assert "job containers: pipeline_stages[6].limit: not carried out, lines pass it unchanged" in config.ignored
    assert "job journal: journal is not carried out" in config.ignored


def test_docker_lines_pass_through_the_usual_stages(load: Load) -> None:
    target = load(USUAL).targets[0]
    line = json.dumps({"log": "hi\n", "stream": "stderr", "attrs": {"tag": "shop|x"}, "time": "2026-11-21T14:02:03Z"})
    chain = Chain(target.stages, Run())
    (entry,) = frame(f"{line}\n".encode(), 0, target.labels, chain, 10_000, closes_block=True).entries
    assert entry.line == "hi\n"
    assert entry.labels == {"job": "containerlogs", "cluster": "eu", "stream": "stderr", "container_name": "shop"}


def test_containers_are_found_by_their_files(load: Load, tmp_path: Path) -> None:
    for name, kept in (("shop", "true"), ("other", "false")):
        folder = tmp_path / "containers" / name
        folder.mkdir(parents=True)
        container = {
            "ID": name, "Name": f"/{name}", "LogPath": str(folder / f"{name}-json.log"),
            "Config": {"Labels": {"logging": kept, "com.docker.compose.service": name}},
        }  # fmt: skip
        (folder / "config.v2.json").write_text(json.dumps(container))
        (folder / f"{name}-json.log").write_text("")
    config = load("""
scrape_configs:
  - job_name: docker
    docker_sd_configs:
      - {host: unix:///var/run/docker.sock, refresh_interval: 5s, filters: [{name: label, values: [a]}]}
    relabel_configs:
      - {source_labels: [__meta_docker_container_label_logging], regex: "true", action: keep}
      - {source_labels: [__meta_docker_container_name], regex: "/(.*)", target_label: container}
""")
    (target,) = config.docker[0].targets()
    assert target.labels == {"container": "shop"}
    assert list(target.paths()) == [str(tmp_path / "containers" / "shop" / "shop-json.log")]
    assert [one for one in config.ignored if "filters 'label' is not carried out" in one]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("- a", "it is no mapping"),
        ("a: [", "cannot read Promtail configuration"),
        ("scrape_configs: [{job_name: x, pipeline_stages: [{regex: {expression: '('}}]}]", "regular expression"),
        ("scrape_configs: [{job_name: x, pipeline_stages: [{timestamp: {source: a, format: nonsense}}]}]", "no layout"),
        ("scrape_configs: [{job_name: x, pipeline_stages: [json]}]", "must be one stage"),
        ("scrape_configs: [{job_name: x, pipeline_stages: [{output: {}}]}]", "output cannot be read"),
        ("scrape_configs: [{job_name: x, pipeline_stages: [{json: {expressions: {a: 'b || c'}}}]}]", "JMESPath"),
        (
            "scrape_configs: [{job_name: x, pipeline_stages: [{template: {source: a, template: '{{ if .a }}'}}]}]",
            "'if'",
        ),
        ("scrape_configs: [{job_name: x, pipeline_stages: [{match: {selector: 'a'}}]}]", "no labels within braces"),
    ],
)
def test_mistakes_stop_the_start_and_say_where(load: Load, text: str, cause: str) -> None:
    with pytest.raises(TailConfigError, match="cannot ") as caught:
        load(text)
    assert cause in str(caught.value)


def test_json_regex_and_logfmt_extract() -> None:
    stages = """
    - json: {expressions: {user: 'user.name', first: 'tags[0]', at: '"@t"'}}
    - regex: {expression: '"code":(?P<code>\\d+)'}
    - labels: {user: , first: , at: , status: code}
    """
    (entry,) = run(stages, '{"user": {"name": "ann"}, "tags": ["x"], "@t": 1.5, "code":200}')
    assert entry.labels == {"job": "shop", "user": "ann", "first": "x", "at": "1.5", "status": "200"}
    (entry,) = run("[{logfmt: {mapping: {m: msg, level: }}}, {labels: {m: , level: }}]", 'level=warn msg="low \\"x\\""')
    assert entry.labels == {"job": "shop", "m": 'low "x"', "level": "warn"}


def test_malformed_json_is_dropped_on_request() -> None:
    assert [entry.line for entry in run("[{json: {expressions: {a: b}, drop_malformed: true}}]", "no", "{}")] == ["{}"]


def test_a_timestamp_that_cannot_be_read_follows_the_one_before() -> None:
    stages = """
    - regex: {expression: '^(?P<at>\\S+ \\S+) '}
    - timestamp: {source: at, format: '2006-01-02 15:04:05', location: Europe/Berlin, action_on_failure: fudge}
    """
    first, second, third = run(stages, "2026-11-21 15:02:03 a", "no time", "2026-11-21 15:02:04,5 b")
    assert [first.time_ns, second.time_ns] == [AT * 10**9, AT * 10**9 + 1]
    assert third.time_ns == (AT + 1) * 10**9 + 500_000_000


def test_multiline_joins_and_keeps_the_last_block_back() -> None:
    stages = "[{multiline: {firstline: '^\\d'}}]"
    lines = ("continued", "1 first", " a", " b", "2 second", " c")
    assert [entry.line for entry in run(stages, *lines)] == ["continued", "1 first\n a\n b", "2 second\n c"]
    assert [entry.line for entry in run(stages, *lines, closes=False)] == ["continued", "1 first\n a\n b"]


def test_match_runs_stages_or_drops() -> None:
    stages = """
    - match: {selector: '{job="shop"} |= "debug"', action: drop}
    - match:
        selector: '{job=~"sh.*", job!="x"} != "plain"'
        stages: [{static_labels: {kind: special}}]
    """
    rows = [(entry.line, entry.labels.get("kind")) for entry in run(stages, "debug x", "plain", "other")]
    assert rows == [("plain", None), ("other", "special")]


@pytest.mark.parametrize(
    ("stage", "kept"),
    [
        ("{expression: '^a'}", ["bb", "{}"]),
        ("{longer_than: 1B}", []),
        ("{source: x}", ["aa", "bb", "{}"]),
    ],
)
def test_drop_leaves_lines_out(stage: str, kept: list[str]) -> None:
    assert [entry.line for entry in run(f"[{{drop: {stage}}}]", "aa", "bb", "{}")] == kept


def test_drop_can_go_by_age_and_by_value() -> None:
    stages = "[{json: {expressions: {v: v, t: t}}}, {timestamp: {source: t, format: Unix}}, {drop: {older_than: 1h}}]"
    fresh = json.dumps({"t": int(time.time())})
    assert [entry.line for entry in run(stages, '{"t": 1000}', fresh)] == [fresh]
    stages = "[{json: {expressions: {v: v}}}, {drop: {source: v, value: x}}]"
    assert [entry.line for entry in run(stages, '{"v": "x"}', '{"v": "y"}')] == ['{"v": "y"}']


def test_lines_are_changed_by_replace_template_output_and_decolorize() -> None:
    stages = """
    - decolorize:
    - replace: {expression: 'password=(\\S+)', replace: '***{{ .Value | ToUpper | trunc 1 }}'}
    - regex: {expression: 'user=(?P<user>\\S+)'}
    - template: {source: user, template: '{{ Replace .Value "a" "e" 1 }}-{{ .Entry | ToLower }}'}
    - output: {source: user}
    """
    (entry,) = run(stages, "\x1b[31mUSER user=ada password=geheim\x1b[0m")
    assert entry.line == "eda-user user=ada password=***g"


def test_labels_are_dropped_allowed_and_become_metadata_and_tenant() -> None:
    stages = """
    - static_labels: {a: "1", b: "2", c: "3"}
    - structured_metadata: {b: , from_c: c}
    - tenant: {label: a}
    - labeldrop: [b]
    - labelallow: [job, a]
    """
    (entry,) = run(stages, "x")
    assert (entry.labels, entry.metadata, entry.tenant) == ({"job": "shop", "a": "1"}, {"b": "2", "from_c": "3"}, "1")


def test_cri_lines_are_read_with_their_partial_ones() -> None:
    lines = [
        "2026-11-21T14:02:03Z stdout P one ",
        "2026-11-21T14:02:04Z stdout F two",
        "2026-11-21T14:02:05Z stderr F x",
    ]
    first, second = run("[{cri: {}}]", *lines)
    assert (first.line, first.time_ns, first.labels["stream"]) == ("one two", AT * 10**9, "stdout")
    assert (second.line, second.labels["stream"]) == ("x", "stderr")


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("RFC3339", "2026-11-21T15:02:03+01:00"),
        ("RFC3339Nano", "2026-11-21T14:02:03.000Z"),
        ("RFC1123Z", "Sat, 21 Nov 2026 15:02:03 +0100"),
        ("ANSIC", "Sat Nov 21 14:02:03 2026"),
        ("02/Jan/2006:15:04:05 -0700", "21/Nov/2026:14:02:03 +0000"),
        ("2006/01/02 03:04:05 PM", "2026/11/21 02:02:03 pm"),
        ("January 2, 2006 15:04:05", "November 21, 2026 14:02:03"),
        ("Unix", str(AT)),
        ("UnixMs", f"{AT}000"),
        ("UnixNs", f"{AT}000000000"),
    ],
)
def test_layouts_of_go_are_read(layout: str, text: str) -> None:
    assert go_time(layout)(text) == AT * 10**9


@pytest.mark.parametrize("text", ["", "x", "2026-13-01T00:00:00Z", "2026-11-21", "9" * 30])
def test_other_text_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        go_time("RFC3339")(text)


@pytest.mark.parametrize("text", ["{{ .a", "{{ range .a }}", "{{ ToUpper }}", "{{ (.a }}", "{{ .a | }}", "{{ 'a' }}"])
def test_a_template_that_cannot_be_rendered_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="template"):
        template(text)
