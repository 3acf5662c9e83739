"""Templates give the texts that promtool gives, and end within bounds."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tocsin.detect.rules.template import Subject, TemplateError, filled

# ruff: noqa: E501 - a template is one line
SUBJECT = Subject(
    {"__name__": "v", "instance": "db.example.com:5432", "job": "shop", "n": "2.5"},
    1234.5678,
    external_url="http://x/p",
)
TEMPLATES = [
    "{{ $labels.job }} {{ $value }} {{ .Value }} {{ .Labels.instance }} [{{ $labels.none }}]",
    "{{ humanize $value }} {{ $value | humanize1024 }} {{ humanizeDuration $value }} {{ humanizePercentage $value }}",
    "{{ humanize 0.00012 }} {{ humanize 12345678.0 }} {{ humanize -5.5 }} {{ humanize1024 1048576.0 }} {{ humanize 0.0 }}",
    "{{ humanizeDuration 0.0045 }} {{ humanizeDuration 93784.0 }} {{ humanizeDuration 59.9 }} {{ humanizeDuration -3700.0 }}",
    "{{ humanizeTimestamp 1435065584.128 }}",
    '{{ title "aa bB" }} {{ toUpper "ab" }} {{ toLower "AB" }} {{ match "^a+$" "aaa" }} {{ match "^a$" "aaa" }}',
    '{{ reReplaceAll "(.*):(\\\\d+)" "$2-${1}" $labels.instance }}',
    '{{ reReplaceAll "[.]" "" "a.b.c" }}',
    "{{ stripPort $labels.instance }}",
    "{{ if gt $value 1000.0 }}much{{ else if gt $value 10.0 }}some{{ else }}few{{ end }}",
    '{{ if and (eq $labels.job "shop") (not $labels.none) }}yes{{ end }}{{ if or $labels.none "" }}no{{ end }}',
    '{{ with $labels.job }}{{ . }}!{{ end }}{{ with $labels.none }}x{{ else }}none{{ end }}',
    "{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}",
    '{{ printf "%.2f %s %5.1f|%q|%v|%%" $value $labels.job 2.25 "a" true }}',
    '{{ printf "%d" 5 }} {{ printf "%05d" 42 }} {{ printf "%-6s|" "ab" }} {{ printf "%e" 12345.678 }} {{ printf "%x" 255 }}',
    '{{ printf "%d" $value }} {{ printf "%s" }}',
    '{{ $x := 3 }}{{ $x }}{{ $x = 4 }}{{ $x }}',
    "a {{- /* said */ -}} b {{- 1 }}  {{ 2 -}}  c",
    '{{ len "abc" }} {{ index $labels "job" }} {{ index (args 5 6) "arg1" }}',
    '{{ query "up" | sortByLabel "job" | first | value }} {{ query "up" | len }} {{ (query "up" | sortByLabel "job" | first).Labels.job }}',
    '{{ range query "up" | sortByLabel "job" }}{{ label "job" . }}:{{ value . }} {{ end }}',
    '{{ define "one" }}<{{ . }}>{{ end }}{{ template "one" $labels.job }}',
    '{{ graphLink "up == 0" }} {{ tableLink "up" }}',
    '{{ eq 1 1 }} {{ ne "a" "b" }} {{ lt 1.5 2.5 }} {{ le 2 2 }} {{ ge 3 4 }} {{ eq 1 2 3 1 }}',
    '{{ $labels.n | humanize }} {{ "5" | humanizeDuration }}',
    "{{ print 1 2 \"a\" 3 }} {{ 1e21 }} {{ 0.00001 }} {{ 100000000.0 }} {{ true }}",
    '{{ range $i, $s := query "up" | sortByLabel "job" }}{{ if $i }},{{ end }}{{ $s.Labels.job }}{{ end }}',
    "{{ first (query \"nothing\") }}",
    "{{ $labels }}",
    '{{ "<b>" | safeHtml }} {{ urlquery "a b&c" }} {{ html "<i>" }}',
    "{{ humanize \"x\" }}",
]  # fmt: skip
QUERY = [
    {"Labels": {"__name__": "up", "job": "b"}, "Value": 0.0},
    {"Labels": {"__name__": "up", "job": "a"}, "Value": 1.0},
]


def ask(text: str) -> list[dict[str, object]]:
    return QUERY if text == "up" else []


def test_texts_are_those_of_promtool(tmp_path: Path) -> None:
    annotations = {f"t{place}": template for place, template in enumerate(TEMPLATES)}
    rule = {"alert": "T", "expr": "v", "annotations": annotations}
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "g", "rules": [rule]}]}))
    subject = Subject(SUBJECT.labels, SUBJECT.value, ask=ask)
    ours = {}
    for name, template in annotations.items():
        try:
            ours[name] = filled(template, subject)
        except TemplateError as error:
            ours[name] = f"<error expanding template: {error}>"
    case = {
        "interval": "1m",
        "input_series": [
            {"series": 'v{instance="db.example.com:5432", job="shop", n="2.5"}', "values": "1234.5678x5"},
            {"series": 'up{job="b"}', "values": "0x5"},
            {"series": 'up{job="a"}', "values": "1x5"},
        ],
        "alert_rule_test": [
            {
                "eval_time": "1m",
                "alertname": "T",
                "exp_alerts": [{"exp_labels": {"job": "shop"}, "exp_annotations": ours}],
            }
        ],
    }
    (tmp_path / "test.yaml").write_text(
        json.dumps({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [case]})
    )

    said = subprocess.run(
        ["promtool", "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    got = (said.stdout + said.stderr).partition("got:")[2]
    differing = [
        (name, TEMPLATES[int(name[1:])], text)
        for name, text in ours.items()
        if got and f'{name}="{_escaped(text)}"' not in got and not text.startswith("<error")
    ]
    assert differing == [], got
    errors = [name for name, text in ours.items() if text.startswith("<error")]
    assert errors == ["t27", "t30"]
    for name in errors:
        assert f'{name}="<error expanding template' in got


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


@pytest.mark.parametrize(
    "template",
    [
        '{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" 1 }}',
        '{{ range query "many" }}{{ range query "many" }}{{ . }}{{ end }}{{ end }}',
        '{{ printf "%999999999d" 1 }}' * 400,
        '{{ index $labels 5 }}{{ index (query "many") 9999 }}',
        "{{ humanizeTimestamp 1e300 }}",
        '{{ match "(" "x" }}',
        "{{ slice 1 }}",
        "{{ if }}x{{ end }}",
        "{{ end }}",
        "{{ if $value }}",
        "{{",
        "{{ $value",
        "{{ .Nope.Deeper }}",
        "{{ 5 | 6 }}",
        "{{ " + "(" * 200 + "1" + ")" * 200 + " }}",
    ],
)
def test_hopeless_template_ends_with_an_error_of_its_own(template: str) -> None:
    many = [{"Labels": {"n": str(place)}, "Value": 1.0} for place in range(500)]

    with pytest.raises(TemplateError):
        filled(template, Subject({}, 1.0, ask=lambda text: many))
