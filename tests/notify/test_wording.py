"""Templates in a receiver's fields are filled for each message; one that fails costs neither it nor the others."""

from __future__ import annotations

from tests.notify.conftest import Deliver
from tests.notify.providers import alert, notification, provider
from tests.notify.wired import WIRED

from tocsin.model.notification import Outcome
from tocsin.notify.channels import pushover, slack
from tocsin.notify.receivers import Integration

TITLE = '{{ template "slack.default.title" . }}'
EACH = "{{ range .Alerts.Firing }}{{ .Labels.tenant }} {{ end }}"


def integration(url: str, **more: object) -> Integration:
    return Integration("slack[0]", "slack", slack.Settings(api_url=url, **more))  # type: ignore[arg-type]  # texts


def texts(body: object) -> list[str]:
    """Every text in a message, in order."""
    if isinstance(body, dict):
        return [text for value in body.values() for text in texts(value)]
    if isinstance(body, list):
        return [text for value in body for text in texts(value)]
    return [body] if isinstance(body, str) else []


def test_fields_are_filled_from_the_notification(deliverer: Deliver) -> None:
    color = '{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}'
    with provider() as there:
        own = integration(there.url, title=TITLE, text=EACH, color=color, fields=("Who={{ .Receiver }}",))
        receipt = deliverer({"default": [own]}).deliver(notification(alert(tenant="acme"), receiver="default"))
        [asked] = there.wait(1)

    assert receipt.outcome == Outcome.SENT
    told = texts(asked.json)
    assert any(text.startswith("[FIRING:1] ") for text in told)
    assert "acme " in told
    assert "*Who*\ndefault" in told
    assert asked.json["attachments"][0]["color"] == slack.COLORS["danger"]


def test_template_that_fails_leaves_our_words_and_is_a_fault_until_it_works(deliverer: Deliver) -> None:
    with provider() as there:
        made = deliverer({"default": [integration(there.url, title="{{ .Nope }}", text=EACH)]})
        assert made.deliver(notification(alert(tenant="acme"))).outcome == Outcome.SENT
        [asked] = there.wait(1)

    assert "acme " in texts(asked.json)
    assert any("HighErrorRate" in text for text in texts(asked.json))
    [fault] = [note for note in made.notes() if "cannot fill" in note]
    assert fault.startswith("cannot fill title of receiver 'default', slack[0]: can't evaluate field Nope")


def test_words_of_an_alert_are_no_template(deliverer: Deliver) -> None:
    with provider() as there:
        made = deliverer({"default": [integration(there.url, text="{{ .CommonLabels.summary }}")]})
        made.deliver(notification(alert(summary="{{ .ExternalURL }} {{ end }}")))
        [asked] = there.wait(1)

    assert "{{ .ExternalURL }} {{ end }}" in texts(asked.json)
    assert made.template_faults == {}


def test_priority_may_be_a_template(deliverer: Deliver) -> None:
    settings = pushover.Settings(token="t", user_key="u", priority='{{ if eq .Status "firing" }}1{{ else }}0{{ end }}')
    with provider(WIRED["pushover"].good) as there:
        filled = Integration("pushover[0]", "pushover", pushover.Settings(**{**_plain(settings), "api_url": there.url}))
        deliverer({"default": [filled]}).submit(notification())
        [asked] = there.wait(1)

    assert asked.form["priority"] == "1"


def _plain(settings: pushover.Settings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}
