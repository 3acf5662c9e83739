"""What each provider is sent, against the rules it publishes, and the lies of those that answer 200."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from tests.notify.providers import NOW, Asked, Told, alert, ended, notification, provider
from tests.notify.wired import SECRET, WIRED, message_of, settings_of

from tocsin.model.alert import Alert
from tocsin.model.notification import Notification, Receipt
from tocsin.model.severity import VOCABULARIES
from tocsin.notify.channels import alertmanager, desktop, pagerduty, pushover, webhook
from tocsin.notify.contract import DeliveryError, channels
from tocsin.notify.render import text_of

FIRING = notification()
OVER = notification(resolved=(ended(alert()),), key="end")
STRANGE = Alert(
    {"alertname": "A" * 5000, "severity": "page"},
    {"summary": "ü" * 9000, "description": "d" * 90_000},
    starts_at=NOW,
)
HUGE = notification(*(Alert({**STRANGE.labels, "n": str(n)}, STRANGE.annotations, starts_at=NOW) for n in range(40)))


def sent(name: str, told: Notification = FIRING, good: Told | None = None, **settings: Any) -> tuple[Asked, Receipt]:
    """The last request of one message, and its receipt."""
    reference = settings.pop("reference", "")
    with provider(good or WIRED[name].good) as there:
        made = settings_of(name, there.url, **settings)
        receipt = channels()[name].send(made, message_of(told, reference=reference))
        return there.asked[-1], receipt


def refusal(name: str, answer: Told, **settings: Any) -> DeliveryError:
    with provider(answer) as there, pytest.raises(DeliveryError) as refused:
        channels()[name].send(settings_of(name, there.url, **settings), message_of(FIRING))
    return refused.value


def test_webhook_is_alertmanagers_document() -> None:
    asked, _ = sent("webhook")
    assert list(asked.json) == [
        "receiver", "status", "alerts", "groupLabels", "commonLabels", "commonAnnotations", "externalURL", "version",
        "groupKey", "truncatedAlerts",
    ]  # fmt: skip
    one = asked.json["alerts"][0]
    assert list(one) == ["status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"]
    assert (one["startsAt"], one["endsAt"]) == ("2026-03-01T11:48:00Z", "0001-01-01T00:00:00Z")
    assert asked.json["version"] == "4"
    over, _ = sent("webhook", OVER)
    assert (over.json["status"], over.json["alerts"][0]["endsAt"]) == ("resolved", "2026-03-01T12:00:30Z")


def test_webhook_signature_can_be_checked_by_the_standard() -> None:
    raw = b"thirty-two bytes of acme's secret"
    for secret in ("whsec_" + base64.b64encode(raw).decode(), "plain words"):
        asked, _ = sent("webhook", secret=secret)
        key = raw if secret.startswith("whsec_") else secret.encode()
        signed = f"{asked.headers['webhook-id']}.{asked.headers['webhook-timestamp']}.".encode() + asked.body
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert asked.headers["webhook-signature"] == f"v1,{expected}"
        assert abs(int(asked.headers["webhook-timestamp"]) - NOW.timestamp()) < 1


def test_webhook_with_a_limit_counts_what_it_left_out() -> None:
    asked, _ = sent("webhook", notification(alert(), alert(tenant="globex"), held_back=5), max_alerts=1)
    assert (len(asked.json["alerts"]), asked.json["truncatedAlerts"]) == (1, 6)


def test_times_are_printed_as_go_does() -> None:
    assert webhook.go_time(NOW.replace(microsecond=120_000)) == "2026-03-01T12:00:30.12Z"


@pytest.mark.parametrize("told", [FIRING, OVER, HUGE])
def test_slack_blocks_keep_slacks_limits(told: Notification) -> None:
    asked, _ = sent("slack", told)
    blocks = asked.json["attachments"][0]["blocks"]
    assert len(blocks) <= 50
    header, section = blocks[0], blocks[1]
    assert header["text"]["type"] == "plain_text"
    assert 0 < len(header["text"]["text"]) <= 150
    assert 0 < len(section["text"]["text"]) <= 3000
    for block in blocks[2:]:
        assert len(block.get("fields", [])) <= 10
        assert all(0 < len(field["text"]) <= 2000 for field in block.get("fields", []))
        assert len(block.get("elements", [])) <= 25
        for button in block.get("elements", []):
            assert len(button["text"]["text"]) <= 75
            assert len(button["url"]) <= 3000


def test_slack_has_buttons_to_acknowledge_silence_and_open() -> None:
    asked, _ = sent("slack")
    buttons = {one["text"]["text"]: one["url"] for one in asked.json["attachments"][0]["blocks"][-1]["elements"]}
    assert {"Open", "Acknowledge", "Silence", "Runbook"} <= set(buttons)
    assert buttons["Silence"].startswith("https://tocsin.acme.example/silences?filter=")


def test_slack_has_the_buttons_and_pictures_of_its_configuration() -> None:
    with provider(WIRED["slack"].good) as there:
        pictures = {"image_url": "https://x/i.png", "thumb_url": "https://x/t.png"}
        made = settings_of("slack", there.url, actions=("Wiki=https://w/a?b=c", "Broken=none"), **pictures)
        channels()["slack"].send(made, message_of(FIRING))
        blocks = there.asked[0].json["attachments"][0]["blocks"]
    buttons = {one["text"]["text"]: one["url"] for one in blocks[-1]["elements"]}
    assert buttons["Wiki"] == "https://w/a?b=c"
    assert {"Open", "Silence"} <= buttons.keys()
    assert "Broken" not in buttons
    assert len({one["action_id"] for one in blocks[-1]["elements"]}) == len(blocks[-1]["elements"])
    assert [one["image_url"] for one in blocks if one["type"] == "image"] == ["https://x/i.png"]
    assert blocks[1]["accessory"]["image_url"] == "https://x/t.png"


def test_opsgenie_calls_the_responders_of_its_configuration() -> None:
    with provider(WIRED["opsgenie"].good) as there:
        called = ("team.name=exports", "user.username=ada@acme.example", "team=ops", "nonsense")
        made = settings_of("opsgenie", there.url, responders=called, details=("site=berlin",), entity="db", note="look")
        channels()["opsgenie"].send(made, message_of(FIRING))
        asked = there.asked[0].json
    assert asked["responders"] == [
        {"type": "team", "name": "exports"}, {"type": "user", "username": "ada@acme.example"},
        {"type": "team", "name": "ops"},
    ]  # fmt: skip
    said = asked["details"]["site"], asked["entity"], asked["note"], asked["source"]
    assert said == ("berlin", "db", "look", "Tocsin")


def test_slack_reads_no_mention_out_of_an_alert() -> None:
    asked, _ = sent("slack", notification(alert(tenant="<!channel>")))
    assert "<!channel>" not in asked.body.decode()


@pytest.mark.parametrize(("answer", "again"), [(b"invalid_payload", False), (b"rate_limited", True)])
def test_slack_webhook_that_answers_200_with_an_error(answer: bytes, again: bool) -> None:
    error = refusal("slack", Told(200, answer))
    assert error.retryable is again
    assert answer.decode() in error.reason


def test_slack_bot_goes_on_in_the_thread() -> None:
    good = Told(200, {"ok": True, "channel": "C1", "ts": "17.5"})
    bot = {"app_token": "xoxb-1", "channel": "#oncall", "api_url": ""}
    with provider(good) as there:
        made = settings_of("slack", there.url, **bot, app_url=there.url)
        first = channels()["slack"].send(made, message_of(FIRING))
        second = channels()["slack"].send(made, message_of(OVER, reference=first.reference))
        opened, over = there.asked
    assert opened.headers["authorization"] == "Bearer xoxb-1"
    assert "thread_ts" not in opened.json
    assert (over.json["channel"], over.json["thread_ts"], over.json["reply_broadcast"]) == ("C1", "17.5", True)
    assert first.reference == second.reference == "C1:17.5"


@pytest.mark.parametrize(("word", "again"), [("invalid_auth", False), ("ratelimited", True), ("fatal_error", True)])
def test_slack_api_that_answers_200_with_an_error(word: str, again: bool) -> None:
    with provider(Told(200, {"ok": False, "error": word})) as there:
        made = settings_of("slack", there.url, api_url="", app_token="x", channel="#a", app_url=there.url)
        with pytest.raises(DeliveryError, match=word) as refused:
            channels()["slack"].send(made, message_of(FIRING))
    assert refused.value.retryable is again


@pytest.mark.parametrize("told", [FIRING, OVER, HUGE])
def test_teams_card_is_an_adaptive_card_within_28_kb(told: Notification) -> None:
    asked, _ = sent("msteams", told)
    assert len(asked.body) <= 28 * 1024
    assert asked.json["type"] == "message"
    attachment = asked.json["attachments"][0]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert {block["type"] for block in card["body"]} <= {"TextBlock", "FactSet"}
    assert all(action["type"] == "Action.OpenUrl" and action["title"] for action in card["actions"])


def test_teams_connector_that_answers_200_with_an_error() -> None:
    words = b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429"
    assert refusal("msteams", Told(200, words)).retryable


@pytest.mark.parametrize("told", [FIRING, OVER, HUGE])
def test_pagerduty_event_keeps_the_schema(told: Notification) -> None:
    asked, _ = sent("pagerduty", told)
    event = asked.json
    assert event["event_action"] == ("resolve" if told is OVER else "trigger")
    assert len(event["dedup_key"]) <= 255
    assert len(asked.body) <= 512_000
    payload = event["payload"]
    assert 0 < len(payload["summary"]) <= 1024
    assert payload["source"]
    assert payload["severity"] in ("critical", "error", "warning", "info")
    assert all(set(link) == {"href", "text"} for link in event["links"])


def test_pagerduty_end_and_acknowledgement_name_the_same_incident() -> None:
    opened, receipt = sent("pagerduty", good=Told(202, {"status": "success", "message": "Event processed"}))
    over, _ = sent("pagerduty", OVER)
    with provider(WIRED["pagerduty"].good) as there:
        pagerduty.acknowledge(settings_of("pagerduty", there.url), message_of(FIRING))
        seen = there.asked[0].json
    assert opened.json["dedup_key"] == over.json["dedup_key"] == seen["dedup_key"] == receipt.reference
    assert seen["event_action"] == "acknowledge"


def test_pagerduty_that_answers_202_with_an_error() -> None:
    error = refusal("pagerduty", Told(202, {"status": "invalid event", "message": "Event object is invalid"}))
    assert "Event object is invalid" in error.reason


@pytest.mark.parametrize("name", ["opsgenie", "jsm"])
def test_genie_alert_keeps_the_limits_and_is_closed_by_its_alias(name: str) -> None:
    for told in (FIRING, HUGE):
        asked, receipt = sent(name, told)
        assert asked.path == "/v2/alerts"
        assert asked.headers["authorization"] == f"GenieKey {SECRET}"
        assert 0 < len(asked.json["message"]) <= 130
        assert len(asked.json["alias"]) <= 512
        assert len(asked.json["description"]) <= 15_000
        assert sum(len(key) + len(value) for key, value in asked.json["details"].items()) <= 9000
    over, _ = sent(name, OVER)
    assert over.path == f"/v2/alerts/{receipt.reference}/close?identifierType=alias"
    with provider(WIRED[name].good) as there:
        channels()[name].acknowledge(settings_of(name, there.url), message_of(FIRING))  # type: ignore[attr-defined]
        assert there.asked[0].path.endswith("/acknowledge?identifierType=alias")


@pytest.mark.parametrize(
    ("severity", "priority"), list(zip(VOCABULARIES["priority"], ("2", "2", "1", "0", "-1"), strict=True))
)
def test_pushover_priority_by_severity(severity: str, priority: str) -> None:
    asked, _ = sent("pushover", notification(alert(severity=severity)))
    form = asked.form
    assert form["priority"] == priority
    assert (form.get("retry"), form.get("expire")) == (("30", "3600") if priority == "2" else (None, None))


@pytest.mark.parametrize("told", [FIRING, OVER, HUGE])
def test_pushover_form_keeps_the_limits(told: Notification) -> None:
    form = sent("pushover", told)[0].form
    assert {"token", "user", "message", "title"} <= set(form)
    assert len(form["message"]) <= 1024
    assert len(form["title"]) <= 250
    assert len(form.get("url", "")) <= 512
    assert len(form.get("url_title", "")) <= 100


def test_pushover_that_answers_200_with_an_error() -> None:
    error = refusal("pushover", Told(200, {"status": 0, "errors": ["user identifier is not a valid user"]}))
    assert not error.retryable
    assert "not a valid user" in error.reason


def test_pushover_emergency_that_is_over_is_cancelled() -> None:
    with provider(WIRED["pushover"].good) as there:
        made = settings_of("pushover", there.url)
        channels()["pushover"].send(made, message_of(OVER, reference="rcpt30"))
        cancelled, told = there.asked
    assert cancelled.path == "/1/receipts/rcpt30/cancel.json"
    assert told.form["priority"] == "0"


def test_pushover_tells_who_acknowledged() -> None:
    seen = {"status": 1, "acknowledged": 1, "acknowledged_at": 1772366430, "acknowledged_by_device": "phone"}
    with provider(Told(200, {"status": 1, "acknowledged": 0}), Told(200, seen)) as there:
        made = settings_of("pushover", there.url)
        assert pushover.acknowledged(made, "rcpt30", message_of(FIRING)) is None
        found = pushover.acknowledged(made, "rcpt30", message_of(FIRING))
    assert found == pushover.Acknowledged("phone", NOW)
    assert there.asked[0].path == f"/1/receipts/rcpt30.json?token={SECRET}"


@pytest.mark.parametrize("bounds", [{"retry": 29.0}, {"expire": 10_801.0}, {"expire": 0.0}])
def test_pushover_out_of_bounds_is_refused_at_the_start(bounds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="out of bounds"):
        pushover.Settings(**bounds)  # type: ignore[arg-type]


def test_alertmanager_gets_alerts_that_end_by_themselves() -> None:
    asked, _ = sent("alertmanager", notification(alert(), resolved=(ended(alert(tenant="globex")),)))
    assert asked.path == "/api/v2/alerts"
    firing, over = asked.json
    assert set(firing) == {"labels", "annotations", "startsAt", "endsAt", "generatorURL"}
    assert (firing["endsAt"], over["endsAt"]) == ("2026-03-01T13:00:30Z", "2026-03-01T12:00:30Z")


def test_one_of_two_alertmanagers_suffices() -> None:
    with provider(Told(500)) as down, provider() as up:
        receipt = alertmanager.send(alertmanager.Settings(urls=(down.url, up.url)), message_of(FIRING))
    assert receipt.reason.startswith("1 of 2 took 1 alerts; 1 did not take it")


def test_ntfy_message_keeps_the_limits() -> None:
    for told in (FIRING, OVER, HUGE):
        asked, _ = sent("ntfy", told)
        assert asked.path == "/"
        assert asked.headers["authorization"] == f"Bearer {SECRET}"
        assert asked.json["topic"] == "alerts"
        assert asked.json["priority"] in range(1, 6)
        assert len(asked.json["message"].encode()) <= 4096
        assert len(asked.json.get("actions", [])) <= 3


def test_gotify_message_has_key_and_priority() -> None:
    asked, _ = sent("gotify")
    assert (asked.path, asked.headers["x-gotify-key"]) == ("/message", SECRET)
    assert asked.json["priority"] in range(11)


def test_telegram_text_keeps_the_limit_and_escapes() -> None:
    for told in (notification(alert(tenant="<b>")), HUGE):
        asked, _ = sent("telegram", told)
        assert asked.path == f"/bot{SECRET}/sendMessage"
        assert len(asked.json["text"]) <= 4096
        assert asked.json["parse_mode"] == "HTML"
    assert "&lt;b&gt;" in sent("telegram", notification(alert(tenant="<b>")))[0].json["text"]


def test_discord_embed_keeps_the_limits_and_rings_nobody() -> None:
    for told in (FIRING, HUGE):
        asked, _ = sent("discord", told)
        assert asked.path.endswith("?wait=true")
        embed = asked.json["embeds"][0]
        assert len(embed["title"]) <= 256
        assert len(embed["description"]) <= 4096
        assert len(embed["fields"]) <= 25
        assert all(len(field["value"]) <= 1024 for field in embed["fields"])
        assert len(json.dumps(embed, ensure_ascii=False)) <= 6000
        assert asked.json["allowed_mentions"] == {"parse": []}


def test_victorops_recovers_the_same_entity() -> None:
    opened, over = sent("victorops")[0], sent("victorops", OVER)[0]
    assert opened.path == f"/alert/{SECRET}/exports"
    assert (opened.json["message_type"], over.json["message_type"]) == ("CRITICAL", "RECOVERY")
    assert opened.json["entity_id"] == over.json["entity_id"]


def test_webex_and_rocketchat_are_signed_in() -> None:
    assert sent("webex")[0].headers["authorization"] == f"Bearer {SECRET}"
    assert len(sent("webex", HUGE)[0].json["markdown"].encode()) <= 7439
    asked, _ = sent("rocketchat")
    assert (asked.headers["x-auth-token"], asked.headers["x-user-id"]) == (SECRET, "id")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("telegram", {"ok": False, "description": "chat not found"}),
        ("rocketchat", {"success": False, "error": "unauthorised"}),
        ("victorops", {"result": "failure"}),
    ],
)
def test_provider_that_answers_200_and_refuses_is_believed(name: str, answer: dict[str, Any]) -> None:
    assert not refusal(name, Told(200, answer)).retryable


def test_text_message_is_short_and_for_each_number() -> None:
    with provider(WIRED["sms"].good) as there:
        receipt = channels()["sms"].send(settings_of("sms", there.url, to=("+1", "+2")), message_of(HUGE))
        assert [asked.form["To"] for asked in there.asked] == ["+1", "+2"]
        assert all(len(asked.form["Body"]) <= 1600 for asked in there.asked)
        assert there.asked[0].path == "/2010-04-01/Accounts/AC1/Messages.json"
    assert receipt.reference == "SM1,SM1"


def test_answer_that_drips_is_cut_off() -> None:
    error = refusal("gotify", Told(200, b"{" + b" " * 400_000))
    assert "without JSON" in error.reason


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what Apprise imports
def test_apprise_reaches_what_its_addresses_name() -> None:
    pytest.importorskip("apprise")
    with provider() as there:
        made = channels()["apprise"].Settings(urls=(there.url.replace("http", "json"),))
        channels()["apprise"].send(made, message_of(FIRING))
        assert there.asked[0].json["title"] == "P1 HighErrorRate: reports, acme"
    with provider(Told(500)) as there:
        made = channels()["apprise"].Settings(urls=(there.url.replace("http", "json"),))
        with pytest.raises(DeliveryError, match="not every address") as refused:
            channels()["apprise"].send(made, message_of(FIRING))
    assert refused.value.retryable


@pytest.mark.parametrize("url", ["syslog://", "dbus://", "file:///etc/passwd", "nothing"])
def test_apprise_addresses_that_reach_nobody_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="an address of the kind"):
        channels()["apprise"].Settings(urls=(url,))


def test_desktop_without_a_desktop_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DeliveryError, match="no notify-send; install libnotify-bin") as refused:
        desktop.send(desktop.Settings(enabled=True), message_of(FIRING))
    assert not refused.value.retryable


def test_desktop_shows_by_notify_send(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    program = tmp_path / "notify-send"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/shown\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    desktop.send(desktop.Settings(enabled=True), message_of(notification(alert(name="--help"))))
    shown = (tmp_path / "shown").read_text().splitlines()
    assert shown[:3] == ["--app-name=Tocsin", "--urgency=critical", "--"]
    assert shown[3].startswith("P1 --help")


@pytest.mark.parametrize(
    ("said", "link"),
    [("docs/runbooks/low-disk.md", "https://tocsin.acme.example/runbooks/low-disk"), ("http://r/x", "http://r/x")],
)
def test_runbook_of_a_shipped_rule_is_read_on_the_server(said: str, link: str) -> None:
    told = notification(replace(alert(), annotations={"runbook_url": said}))
    links = {one.label: one.url for one in text_of(told).links}
    assert links["Runbook"] == link
    assert text_of(told).alerts[0].runbook_url == link
