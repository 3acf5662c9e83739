"""The templates that are there without a file, under the names that configurations of Alertmanager use.

They say what Alertmanager's say, as words of our own; `email.default.html` is our mail, and links lead to our pages.
"""

from __future__ import annotations

_SUBJECTS = (
    "slack.default.title", "pagerduty.default.description", "opsgenie.default.message", "pushover.default.title",
    "victorops.default.entity_display_name", "sns.default.subject", "discord.default.title", "msteams.default.title",
    "msteamsv2.default.title", "msteams.default.summary", "email.default.subject", "jira.default.summary",
    "rocketchat.default.title", "mattermost.default.title", "incidentio.default.title",
)  # fmt: skip
_TOLD_IN_FULL = (
    "pushover.default.message", "sns.default.message", "telegram.default.message", "discord.default.message",
    "webex.default.message", "opsgenie.default.description", "victorops.default.state_message",
    "msteams.default.text", "msteamsv2.default.text", "jira.default.description", "mattermost.default.text",
)  # fmt: skip
_LINKS = (
    "__alertmanagerURL", "slack.default.titlelink", "pagerduty.default.clientURL", "opsgenie.default.source",
    "pushover.default.url", "rocketchat.default.titlelink", "mattermost.default.titlelink",
)  # fmt: skip
_OURSELVES = (
    "__alertmanager", "slack.default.username", "pagerduty.default.client", "victorops.default.monitoring_tool",
    "rocketchat.default.alias", "mattermost.default.username",
)  # fmt: skip
_EMPTY = (
    "__description", "slack.default.callbackid", "slack.default.pretext", "slack.default.iconemoji",
    "slack.default.iconurl", "slack.default.text", "slack.default.footer", "discord.default.content",
    "wechat.default.to_user", "wechat.default.to_party", "wechat.default.to_tag", "wechat.default.agent_id",
    "rocketchat.default.text", "rocketchat.default.emoji", "rocketchat.default.iconurl",
)  # fmt: skip

_WORDS = """
{{- define "__subject" -}}
[{{ .Status | toUpper }}{{ with .Alerts.Firing }}:{{ len . }}{{ end }}] {{ join " " .GroupLabels.SortedPairs.Values }}
{{- with .CommonLabels.Remove .GroupLabels.Names }} ({{ join " " .Values }}){{ end }}
{{- end -}}

{{- define "tocsin.pairs" }}
{{- range . }} - {{ .Name }} = {{ .Value }}
{{ end }}{{ end -}}

{{- define "__text_alert_list" }}{{ range . }}Labels:
{{ template "tocsin.pairs" .Labels.SortedPairs }}Annotations:
{{ template "tocsin.pairs" .Annotations.SortedPairs }}Source: {{ .GeneratorURL }}
{{ end }}{{ end -}}

{{- define "tocsin.marked" }}
{{- range . }}  - {{ .Name }} = {{ .Value }}
{{ end }}{{ end -}}

{{- define "__text_alert_list_markdown" }}{{ range . }}
Labels:
{{ template "tocsin.marked" .Labels.SortedPairs }}
Annotations:
{{ template "tocsin.marked" .Annotations.SortedPairs }}
Source: {{ .GeneratorURL }}
{{ end }}{{ end -}}

{{- define "tocsin.alerts" }}
{{- with .Alerts.Firing }}
Alerts Firing:
{{ template "__text_alert_list" . }}{{ end }}
{{- with .Alerts.Resolved }}
Alerts Resolved:
{{ template "__text_alert_list" . }}{{ end }}
{{- end -}}

{{- define "tocsin.in_full" }}{{ join " " .CommonAnnotations.SortedPairs.Values }}
{{ template "tocsin.alerts" . }}{{ end -}}

{{- define "pagerduty.default.instances" }}{{ template "__text_alert_list" . }}{{ end -}}
{{- define "slack.default.fallback" }}{{ template "__subject" . }} | {{ template "__alertmanagerURL" . }}{{ end -}}
{{- define "rocketchat.default.fallback" }}{{ template "slack.default.fallback" . }}{{ end -}}
{{- define "mattermost.default.fallback" }}{{ template "slack.default.fallback" . }}{{ end -}}
{{- define "jira.default.priority" }}{{ if eq .CommonLabels.severity "critical" }}High
{{- else if eq .CommonLabels.severity "warning" }}Medium
{{- else if eq .CommonLabels.severity "info" }}Low{{ end }}{{ end -}}
{{- define "wechat.default.message" }}{{ template "__subject" . }}
{{ template "tocsin.in_full" . }}
AlertmanagerUrl:
{{ template "__alertmanagerURL" . }}{{ end -}}
"""


def _all(names: tuple[str, ...], body: str) -> str:
    return "".join(f'{{{{- define "{name}" }}}}{body}{{{{ end -}}}}' for name in names)


DEFAULT_TEMPLATES = (
    _WORDS
    + _all(_SUBJECTS, '{{ template "__subject" . }}')
    + _all(_TOLD_IN_FULL, '{{ template "tocsin.in_full" . }}')
    + _all(_LINKS, "{{ .ExternalURL }}/alerts")
    + _all(_OURSELVES, "Tocsin")
    + _all(_EMPTY, "")
)
