"""`tocsin notify` against a running server, and without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running import Run
from tests.notify.providers import Told, provider
from typer.testing import CliRunner

from tocsin.cli.commands import app

pytestmark = pytest.mark.xdist_group("commands")


def test_message_prints_its_receipt(run: Run) -> None:
    answer = run("notify", "send", "log", "--message", "CRITICAL: System down", "--urgent")
    assert answer.exit_code == 0, answer.output
    assert "log by log[0]: sent" in answer.output
    assert "P0 Message: CRITICAL: System down" in answer.output
    assert "attempt 1  sent in 0." in answer.output


def test_channel_that_is_not_configured_fails_and_says_what_to_set(run: Run) -> None:
    assert run("notify", "log", "--message", "the same in short").exit_code == 0
    answer = run("notify", "test", "email")
    assert answer.exit_code == 1
    assert "[notify_email] is not configured; set to, sender, smarthost" in answer.output
    deliveries = json.loads(run("notify", "deliveries", "--json").output)
    failed = next(one for one in deliveries if one["channel"] == "email")
    assert run("notify", "replay", str(failed["id"])).exit_code == 0
    assert run("notify", "test", "nobody").exit_code == 2


def test_list_and_path(run: Run) -> None:
    listed = run("notify", "list")
    assert "not configured: alertmanager" in listed.output
    assert "[notify_webhook]" not in listed.output
    path = run("notify", "path")
    assert path.exit_code == 0, path.output
    assert "receipt of log" in path.output
    assert path.output.endswith("well\n")
    tested = run("alerts", "test")
    assert tested.exit_code == 0, tested.output
    assert "receipt of log" in tested.output


def test_summary_is_printed_or_sent(run: Run) -> None:
    seen = run("notify", "summary", "--preview")
    assert seen.exit_code == 0, seen.output
    assert seen.output.startswith("Health summary, ")
    assert "\nAlerts: " in seen.output or "\nAlerts:\n" in seen.output
    assert json.loads(run("notify", "summary", "--preview", "--json").output)["receiver"] == ""
    sent = run("notify", "summary", "log")
    assert sent.exit_code == 0, sent.output
    assert "log by log[0]: sent" in sent.output
    assert json.loads(run("notify", "summary", "log", "--json").output)[0]["delivery"]["outcome"] == "sent"
    nobody = run("notify", "summary")
    assert nobody.exit_code == 2
    assert "notify.summary_receiver is not set" in nobody.stderr


def test_viewers_may_look_but_not_send(run: Run) -> None:
    assert run("notify", "list", token="").exit_code == 2


def test_message_without_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with provider(Told(503), Told(204, b"")) as there:
        (tmp_path / "tocsin.toml").write_text(
            f'[notify_webhook]\nurl = "{there.url}"\n[notify]\nfirst_wait_seconds = 0.01\n'
        )
        answer = CliRunner().invoke(app, ["notify", "send", "webhook", "--message", "the server is gone", "--here"])
        assert answer.exit_code == 0, answer.output
        assert there.asked[1].json["alerts"][0]["annotations"] == {"summary": "the server is gone"}
    assert "attempt 1  retrying" in answer.output
    assert not (tmp_path / "tocsin-data").exists()


def test_desktop_without_one_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    answer = CliRunner().invoke(app, ["notify", "desktop", "--message", "CRITICAL: System down", "--urgent"])
    assert answer.exit_code == 2
    assert "install libnotify-bin" in answer.stderr
