"""Receivers out of an alertmanager.yml as it is, and out of our own settings and the old names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tocsin.app.settings import SECTIONS
from tocsin.config import Config, ConfigError, load
from tocsin.notify.receivers import Receivers, alertmanager_receivers, own_receivers
from tocsin.notify.settings import NotifySettings

DOCUMENT = """
global:
  smtp_smarthost: mail.acme.example:587
  smtp_from: tocsin@acme.example
  smtp_auth_username: tocsin
  smtp_auth_password_file: password
  slack_api_url: https://hooks.slack.com/services/T/B/global
  pagerduty_url: https://events.eu.pagerduty.com/v2/enqueue
  resolve_timeout: 5m
receivers:
  - name: "null"
  - name: exports
    email_configs:
      - to: ops@acme.example, oncall@acme.example
        send_resolved: true
        headers: {Subject: "Acme", X-Team: exports}
        tls_config: {insecure_skip_verify: true}
    slack_configs:
      - channel: "#oncall"
        title: '{{ template "slack.default.title" . }}'
        fields: [{title: a, value: b, short: true}]
        image_url: http://p
        actions:
          - {type: button, text: Wiki, url: 'https://w/{{ .Status }}', style: danger}
          - {type: button, text: Page, name: p}
        link_names: true
      - channel: "#other"
        api_url: https://hooks.slack.com/services/T/B/own
        send_resolved: true
    pagerduty_configs:
      - routing_key: 0123456789abcdef0123456789abcdef
        details: {team: exports}
    webhook_configs:
      - url: http://127.0.0.1:9/hook
        max_alerts: 5
        timeout: 3s
        http_config:
          authorization: {credentials: acme-secret}
          proxy_url: http://proxy:3128
    telegram_configs:
      - bot_token: "1:x"
        chat_id: -100200
  - name: phones
    pushover_configs:
      - user_key: u
        token: t
        priority: '{{ if eq .Status "firing" }}2{{ else }}0{{ end }}'
        retry: 1m
        expire: 1h
    opsgenie_configs:
      - api_key: k
        responders: [{name: ops, type: team}]
    smoke_configs:
      - color: white
    sns_configs:
      - topic_arn: arn:aws:sns:eu-central-1:1:x
        sigv4: {role_arn: r}
    pagerduty_configs:
      - {}
    msteamsv2_configs:
      - webhook_url_file: missing
    victorops_configs:
      - api_key: k
        routing_key: r
        entity_display_name: [1]
        state_message: '{{ nope }}'
"""


@pytest.fixture
def receivers(tmp_path: Path) -> Receivers:
    (tmp_path / "password").write_text("letters\n")
    return alertmanager_receivers(yaml.safe_load(DOCUMENT), tmp_path)


def settings(receivers: Receivers, name: str, id: str) -> Any:
    return next(one for one in receivers.by_name[name].integrations if one.id == id)


def test_globals_and_files_fill_what_an_entry_leaves_out(receivers: Receivers) -> None:
    mail = settings(receivers, "exports", "email[0]").settings
    assert (mail.smarthost, mail.sender, mail.auth_password) == (
        "mail.acme.example:587",
        "tocsin@acme.example",
        "letters",
    )
    assert mail.to == ("ops@acme.example", "oncall@acme.example")
    assert mail.headers == ("Subject=Acme", "X-Team=exports")
    assert settings(receivers, "exports", "slack[0]").settings.api_url.endswith("/global")
    assert settings(receivers, "exports", "slack[1]").settings.api_url.endswith("/own")
    assert settings(receivers, "exports", "pagerduty[0]").settings.url == "https://events.eu.pagerduty.com/v2/enqueue"


def test_end_is_told_where_alertmanager_tells_it(receivers: Receivers) -> None:
    told = {one.id: one.send_resolved for one in receivers.by_name["exports"].integrations}
    assert told == {
        "email[0]": True,
        "slack[0]": False,
        "slack[1]": True,
        "pagerduty[0]": True,
        "webhook[0]": True,
        "telegram[0]": True,
    }


def test_lists_of_maps_are_taken(receivers: Receivers) -> None:
    slack = settings(receivers, "exports", "slack[0]").settings
    assert (slack.fields, slack.actions, slack.image_url) == (("a=b",), ("Wiki=https://w/{{ .Status }}",), "http://p")
    assert settings(receivers, "phones", "opsgenie[0]").settings.responders == ("team.name=ops",)


def test_http_config_is_how_it_gets_in(receivers: Receivers) -> None:
    hook = settings(receivers, "exports", "webhook[0]")
    assert (hook.access.authorization, hook.access.credentials) == ("Bearer", "acme-secret")
    assert (hook.settings.max_alerts, hook.settings.timeout) == (5, 3.0)
    assert settings(receivers, "exports", "email[0]").access.tls == {"insecure_skip_verify": True}


def test_what_is_not_carried_out_is_said(receivers: Receivers) -> None:
    notes = "\n".join(receivers.notes)
    assert "receiver 'exports', webhook[0]: http_config.proxy_url is not carried out" in notes
    assert "receiver 'exports', slack[0]: link_names is not carried out" in notes
    assert "receiver 'exports', slack[0]: actions[0].style is not carried out" in notes
    assert "slack[0]: actions[1] is not carried out: it has no text with url" in notes
    assert "image_url" not in notes
    assert "responders" not in notes
    assert "receiver 'phones', smoke[0]: smoke_configs is not supported here" in notes
    assert "sns[0]" not in notes  # its role is asked for keys when something is to be told
    assert 'cannot fill phones.victorops_configs[0].state_message: function "nope" not defined; our own words' in notes
    assert "slack_configs[0].title" not in notes
    assert "letters" not in notes + repr(receivers)
    assert "acme-secret" not in notes + repr(receivers)


def test_fault_in_one_leaves_the_others(receivers: Receivers) -> None:
    problems = {one.id: one.problem for one in receivers.by_name["phones"].integrations}
    assert problems["pushover[0]"] == problems["opsgenie[0]"] == ""
    assert problems["pagerduty[0]"] == "it lacks routing_key"
    assert "No such file" in problems["msteamsv2[0]"]
    assert "entity_display_name has to be a text" in problems["victorops[0]"]
    assert receivers.by_name["null"].integrations == ()


def test_an_address_that_is_none_is_said_before_somebody_has_to_be_told(tmp_path: Path) -> None:
    entries = [{"api_url": "PASTE_HERE", "channel": "#x"}, {"api_url": "http://h/x", "channel": "#x"}]
    hooks = [{"url": "receiver:9000/hook"}, {"url": "https://h/{{ .GroupLabels.team }}"}]
    document = {"receivers": [{"name": "team", "slack_configs": entries, "webhook_configs": hooks}]}

    found = {one.id: one.problem for one in alertmanager_receivers(document, tmp_path).by_name["team"].integrations}

    assert found["slack[0]"] == "its api_url is no address; write one that begins with https://"
    assert found["webhook[0]"] == "its url is no address; write one that begins with https://"
    assert (found["slack[1]"], found["webhook[1]"]) == ("", "")


def test_numbers_and_durations_are_read(receivers: Receivers) -> None:
    pushover = settings(receivers, "phones", "pushover[0]").settings
    assert (pushover.retry, pushover.expire) == (60.0, 3600.0)
    assert settings(receivers, "exports", "telegram[0]").settings.chat_id == "-100200"


def config(toml: str = "", tmp_path: Path | None = None, **environ: str) -> Config:
    path = None
    if tmp_path is not None:
        path = tmp_path / "tocsin.toml"
        path.write_text(toml)
    return load(SECTIONS, path, environ, {})


def own(filled: Config) -> Receivers:
    return own_receivers(filled[NotifySettings], filled.__getitem__)


def test_default_has_every_channel_that_is_configured(tmp_path: Path) -> None:
    filled = config('[notify_ntfy]\ntopic = "acme"\n[notify_slack]\napi_url = "https://hooks.slack.com/x"\n', tmp_path)
    assert [one.channel for one in own(filled).by_name["default"].integrations] == ["log", "ntfy", "slack"]
    assert own(filled).by_name["slack"].integrations[0].problem == ""
    assert "set url" in own(filled).by_name["webhook"].integrations[0].problem


def test_old_names_are_understood() -> None:
    environ = {
        "ALERT_CHANNELS": "email,pushover,log",
        "ALERT_PUSHOVER_ENABLED": "false",
        "ALERT_RECIPIENTS": '{"critical": ["oncall@acme.example"]}',
        "TOCSIN_NOTIFY_EMAIL_SMARTHOST": "mail.acme.example:25",
        "TOCSIN_NOTIFY_EMAIL_SENDER": "tocsin@acme.example",
    }
    default = own(config(**environ)).by_name["default"]
    assert [(one.channel, one.problem) for one in default.integrations] == [("email", ""), ("log", "")]


def test_email_enabled_without_a_server_says_what_is_missing() -> None:
    default = own(config(ALERT_EMAIL_ENABLED="true", ALERT_CHANNELS="log")).by_name["default"]
    assert [one.channel for one in default.integrations] == ["log", "email"]
    assert default.integrations[1].problem == "[notify_email] is not configured; set to, sender, smarthost"


def test_unknown_channel_is_a_note() -> None:
    notes = own(config(ALERT_CHANNELS="emial")).notes
    assert notes[0].startswith("notify.channels names 'emial', which is none; use some of alertmanager, apprise")


def test_recipients_of_an_unknown_severity_stop_the_start() -> None:
    with pytest.raises(ConfigError, match="severity 'grave'"):
        config(ALERT_RECIPIENTS='{"grave": ["a@acme.example"]}')


def test_alertmanagers_receivers_win_over_ours(receivers: Receivers) -> None:
    both = receivers.with_others(own(config()))
    assert {"null", "exports", "phones", "default", "log"} <= set(both.by_name)
