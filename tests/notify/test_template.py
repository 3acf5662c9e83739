"""Templates of messages give the texts that Alertmanager's own `amtool template render` gives."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tocsin.model.alert import Alert
from tocsin.model.notification import Notification
from tocsin.notify.channels.webhook import payload
from tocsin.notify.template import Templates
from tocsin.query.templates.parse import TemplateError

# ruff: noqa: E501 - a template is one line
BEGAN = datetime(2026, 3, 2, 12, 0, 0, 250_000, tzinfo=UTC)
FIRING = Alert(
    {"alertname": "HighErrors", "severity": "page", "tenant": "acme", "instance": "a<b>"},
    {"summary": "it fails & more", "runbook": "http://r"},
    starts_at=BEGAN,
    generator_url="http://g/1?a=b&c=d",
)
OVER = Alert(
    {"alertname": "HighErrors", "severity": "page", "tenant": "globex", "instance": "c"},
    {"summary": "s2", "runbook": "http://r"},
    starts_at=BEGAN - timedelta(hours=1),
    ends_at=BEGAN + timedelta(minutes=30),
    generator_url="http://g/2",
)
TOLD = Notification(
    "k",
    "team",
    '{}:{alertname="HighErrors"}',
    {"alertname": "HighErrors"},
    (FIRING,),
    (OVER,),
    BEGAN,
    "http://t.example",
)
SHARED = Path("/usr/share/prometheus/alertmanager")
TEMPLATES = [
    "{{ .Receiver }} {{ .Status | toUpper }} {{ .Status | title }} {{ .ExternalURL }}",
    "{{ .Alerts.Firing | len }} {{ len .Alerts.Resolved }} {{ len .Alerts }}",
    "{{ range .Alerts }}{{ .Status }} {{ .Labels.instance }} {{ .StartsAt }} {{ .EndsAt }} {{ .GeneratorURL }} {{ .Fingerprint }}\n{{ end }}",
    "{{ range .Alerts.Firing }}{{ .Annotations.SortedPairs.Values | join \", \" }}{{ end }}",
    "{{ .GroupLabels.SortedPairs.Values | join \" \" }}{{ .CommonLabels.SortedPairs.Names | join \"/\" }}",
    "{{ with .CommonLabels.Remove .GroupLabels.Names }}({{ .Values | join \" \" }}){{ end }}",
    "{{ (.CommonLabels.Remove (stringSlice \"severity\")).SortedPairs }}",
    "{{ range $i, $one := .CommonLabels.SortedPairs }}{{ if $i }}, {{ end }}{{ $one.Name }}={{ $one.Value }}{{ end }}",
    "{{ range $name, $value := .CommonLabels }}{{ $name }}: {{ $value }}\n{{ end }}",
    "{{ .CommonAnnotations }} {{ .GroupLabels }} {{ .CommonLabels.nothing }}|",
    "{{ (index .Alerts 0).StartsAt.Format \"Mon Jan _2 15:04:05.000 MST 2006 -0700 03PM 1/2/06 Z07:00\" }}",
    "{{ ((index .Alerts 1).EndsAt.Sub (index .Alerts 1).StartsAt).Minutes }} {{ (index .Alerts 1).EndsAt.Sub (index .Alerts 1).StartsAt }}",
    "{{ (index .Alerts 0).StartsAt.Unix }} {{ (index .Alerts 0).EndsAt.IsZero }} {{ (index .Alerts 1).EndsAt.After (index .Alerts 1).StartsAt }}",
    "{{ (index .Alerts 0).StartsAt.Year }} {{ (index .Alerts 0).StartsAt.Weekday }} {{ (index .Alerts 0).StartsAt.Month }}",
    "{{ reReplaceAll \"(.*)://\" \"$1 \" .ExternalURL }} {{ match \"^fir\" .Status }} {{ title \"aa bB-cC it's\" }}",
    "{{ if eq .Status \"firing\" }}:fire:{{ else }}:ok:{{ end }} {{ if gt (len .Alerts.Firing) 0 }}{{ len .Alerts.Firing }} firing{{ end }}",
    "{{ define \"one\" }}<{{ .Labels.tenant }}>{{ end }}{{ range .Alerts }}{{ template \"one\" . }}{{ end }}",
    "{{ index .Alerts 0 }}",
    "{{ .Alerts }}",
    "{{ printf \"%s %d %v\" .Status (len .Alerts) .GroupLabels }}",
    "{{ with $x := .Alerts.Resolved }}{{ range $x }}{{ .Labels.tenant }}{{ end }}{{ end }}",
    "{{ template \"mine\" . }}",
    "{{ template \"mine.tmpl\" . }}|",
    # What fails, fails in both.
    "{{ .Nope }}",
    "{{ .Alerts.Nope }}",
    "{{ .GroupLabels | toUpper }}",
    "{{ template \"there is none\" . }}",
    "{{ nope }}",
    "{{ range .Status }}{{ end }}",
]  # fmt: skip
HTML = [
    '<a href="{{ (index .Alerts 0).GeneratorURL }}" title="{{ .Status }}+">{{ (index .Alerts 0).Labels.instance }}</a>',
    '<p>{{ (index .Alerts 0).Annotations.summary }} {{ "a+b\'" }} {{ "<i>" | safeHtml }}</p>',
    '<a href="{{ "javascript:x" }}">x</a>',
    '<a href="{{ .ExternalURL }}/alerts?x={{ .Status }}">x</a>',
]
NAMED = [
    "slack.default.title", "slack.default.fallback", "pagerduty.default.description", "opsgenie.default.description",
    "victorops.default.state_message", "pushover.default.title", "pushover.default.message", "sns.default.message",
    "email.default.subject", "wechat.default.message", "webex.default.message", "slack.default.text",
]  # fmt: skip
MINE = '{{ define "mine" }}{{ .Status }}: {{ template "mine.list" .Alerts }}{{ end }}{{ define "mine.list" }}{{ range . }}{{ .Labels.tenant }} {{ end }}{{ end }}top'

needs_amtool = pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("templates")
    (made / "mine.tmpl").write_text(MINE)
    (made / "data.json").write_text(json.dumps(payload(TOLD)))
    return made


def amtool(folder: Path, text: str, kind: str = "text", glob: str = "*.tmpl") -> tuple[str, bool]:
    """What it prints, and whether it could."""
    command = ["amtool", "template", "render", f"--template.glob={folder / glob}", f"--template.text={text}"]
    command += [f"--template.data={folder}/data.json", f"--template.type={kind}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return ran.stdout.removesuffix("\n"), ran.returncode == 0


def ours(templates: Templates, text: str, is_html: bool = False) -> tuple[str, bool]:
    try:
        return templates.expand(text, TOLD, "team", is_html), True
    except TemplateError:
        return "", False


@needs_amtool
@pytest.mark.parametrize("text", TEMPLATES)
def test_text_is_alertmanagers(folder: Path, text: str) -> None:
    theirs = amtool(folder, text)
    mine = ours(Templates.of_files([folder / "mine.tmpl"]), text)

    assert mine[1] == theirs[1]
    if theirs[1]:
        assert mine[0].rstrip("\n") == theirs[0].rstrip("\n")


@needs_amtool
@pytest.mark.parametrize("text", HTML)
def test_html_is_alertmanagers(folder: Path, text: str) -> None:
    assert ours(Templates(), text, is_html=True) == amtool(folder, text, "html")


@needs_amtool
@pytest.mark.skipif(not SHARED.exists(), reason="the default templates are not installed")
@pytest.mark.parametrize("name", NAMED)
def test_named_templates_say_what_alertmanagers_say(folder: Path, name: str) -> None:
    def words(text: str) -> list[str]:
        return re.sub(r"http://t\.example\S*", "LINK", text).split()

    theirs, is_good = _default(folder, name)
    assert is_good
    assert words(ours(Templates(), f'{{{{ template "{name}" . }}}}')[0]) == words(theirs)


def _default(folder: Path, name: str) -> tuple[str, bool]:
    command = [
        "amtool",
        "template",
        "render",
        f"--template.glob={SHARED}/*.tmpl",
        f"--template.data={folder}/data.json",
    ]
    ran = subprocess.run(
        [*command, f'--template.text={{{{ template "{name}" . }}}}'], capture_output=True, text=True, check=False
    )
    return ran.stdout, ran.returncode == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [  # functions that Debian's Alertmanager does not have yet
        ('{{ trimSpace "  a " }}', "a"),
        ('{{ (index .Alerts 0).StartsAt | tz "Europe/Berlin" | date "15:04 MST -07:00" }}', "13:00 CET +01:00"),
        ("{{ humanizeDuration 93784 }} {{ (index .Alerts 1).EndsAt.Sub (index .Alerts 1).StartsAt | humanizeDuration }}", "1d 2h 3m 4s 1h 30m 0s"),
        ("{{ toJson .GroupLabels }}", '{"alertname":"HighErrors"}'),
        ('{{ join "," (append (list "a") "b") }} {{ (dict "k" 3).k }}', "a,b 3"),
        ('{{ urlUnescape "a%20b" }}', "a b"),
        ('{{ if gt (since (index .Alerts 0).StartsAt).Hours 0.0 }}ago{{ end }}', "ago"),
        ('{{ template "email.default.html" . }}', "<!doctype html>"),
    ],
)  # fmt: skip
def test_newer_functions(text: str, told: str) -> None:
    assert ours(Templates(), text)[0].startswith(told)


def test_file_that_cannot_be_read_as_a_template_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.tmpl"
    broken.write_text('{{ define "x" }}')
    with pytest.raises(TemplateError, match=r"broken\.tmpl': .* is not closed"):
        Templates.of_files([broken])


def test_template_that_never_ends_is_ended() -> None:
    text: Any = '{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}'
    assert ours(Templates(), text) == ("", False)
