"""The health summary goes out once a day, over restarts and servers, late rather than never, in anybody's words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from tests.notify.conftest import Deliver
from tests.notify.mail_server import MailServer, mail_server
from tests.notify.providers import NOW, Provider, Told, notification, provider
from tests.notify.wired import WIRED, message_of, settings_of

from tocsin.model.notification import Notification, Report
from tocsin.model.notification_plain import notification_of, plain_notification
from tocsin.model.window import Window
from tocsin.notify.channels import email, log, webhook, webpush
from tocsin.notify.contract import channels
from tocsin.notify.deliver import Deliverer
from tocsin.notify.receivers import Integration
from tocsin.notify.render import html_of, text_of
from tocsin.notify.settings import NotifySettings
from tocsin.notify.summary import Summaries
from tocsin.storage.control import ControlStore
from tocsin.storage.telemetry.engine import EngineError

SUNDAY = datetime(2026, 11, 22, 8, 0, 20, tzinfo=UTC)
REPORT = Report(
    "Health summary, Sun 22 Nov: One of 14 tenants is hurt.",
    "Sat 08:00 to Sun 08:00 UTC: 1,284 requests from 14 tenants, 2 % failed, p95 210 ms.",
    "bad",
    (("Requests", "1,284, +3 % vs the 24 hours before"), ("Worst tenants", "acme: 40 % of <9> failed\nglobex: 1 %")),
    (("Overview", "/?start=1&end=2"),),
)


class World:
    """The same store and receiver for Deliverers that come one after another; a clock that is turned."""

    def __init__(self, deliverer: Deliver, url: str, **settings: Any) -> None:
        self._deliverer = deliverer
        self._receivers = {"team": [Integration("webhook[0]", "webhook", webhook.Settings(url=url))]}
        self._settings: dict[str, Any] = {"summary_receiver": "team", **settings}
        self.now = SUNDAY
        self.asked: list[Window] = []
        self.fault: Exception | None = None

    def server(self) -> Summaries:
        """A server that just started."""
        made = self._deliverer(self._receivers, **self._settings)
        return Summaries(made, self._compose, lambda: self.now)

    def _compose(self, window: Window) -> Report:
        self.asked.append(window)
        if self.fault is not None:
            raise self.fault
        return REPORT


@pytest.fixture
def there() -> Iterator[Provider]:
    with provider(Told(204, b"")) as running:
        yield running


def test_summary_is_off_unless_a_receiver_is_named(deliverer: Deliver, there: Provider) -> None:
    assert NotifySettings().summary_receiver == ""
    world = World(deliverer, there.url, summary_receiver="")
    assert world.server().tick() is None
    assert world.asked == []


def test_summary_goes_out_once_a_day_over_restarts_and_servers(
    deliverer: Deliver, there: Provider, control: ControlStore
) -> None:
    world = World(deliverer, there.url)
    first, second = world.server(), world.server()
    assert first.tick() is not None
    assert [first.tick(), second.tick(), world.server().tick()] == [None, None, None]
    there.wait(1)
    world.now += timedelta(days=1)
    assert second.tick() is not None
    assert first.tick() is None
    told = there.wait(2)
    assert [one.key for one in reversed(control.deliveries.newest())] == ["summary/2026-11-22", "summary/2026-11-23"]
    assert told[0].json["alerts"][0]["annotations"]["summary"].startswith("Health summary, Sun 22 Nov: One of 14")
    assert len(world.asked) == 2, "what was told is not computed again"


def test_server_that_does_not_lead_sends_none(deliverer: Deliver, there: Provider) -> None:
    world = World(deliverer, there.url)
    follower = world.server()
    follower.is_here = lambda: False
    assert follower.tick() is None
    follower.is_here = lambda: True
    assert follower.tick() is not None


@pytest.mark.parametrize(("late", "is_sent"), [(-0.1, False), (0, True), (5.5, True), (6.5, False)])
def test_missed_summary_is_sent_some_hours_late_but_no_later(
    deliverer: Deliver, there: Provider, late: float, is_sent: bool
) -> None:
    world = World(deliverer, there.url)
    world.now = SUNDAY + timedelta(hours=late)
    assert (world.server().tick() is not None) is is_sent


def test_store_that_does_not_answer_delays_the_summary(deliverer: Deliver, there: Provider) -> None:
    world = World(deliverer, there.url)
    server, world.fault = world.server(), EngineError("the store is busy")
    with pytest.raises(EngineError):
        server.tick()
    world.fault = None
    assert server.tick() is not None


def test_monday_covers_the_weekend_where_it_has_no_summary(deliverer: Deliver, there: Provider) -> None:
    world = World(deliverer, there.url, summary_days=("monday:friday",), summary_location="Europe/Berlin")
    server = world.server()
    assert server.tick() is None, "Sunday"
    assert server.next_at() == datetime(2026, 11, 23, 7, tzinfo=UTC)
    world.now = datetime(2026, 11, 23, 7, 1, tzinfo=UTC)
    assert server.tick() is not None
    assert world.asked[0].seconds == 3 * 86_400
    assert [one.key for one in server.last()] == ["summary/2026-11-23"]


def test_summary_keeps_its_hour_when_clocks_change(deliverer: Deliver, there: Provider) -> None:
    world = World(deliverer, there.url, summary_location="Europe/Berlin")
    world.now = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert world.server().next_at() == datetime(2026, 10, 25, 7, tzinfo=UTC)
    world.now = datetime(2026, 10, 25, 7, tzinfo=UTC)
    assert world.server().tick() is not None
    assert world.asked[0].seconds == 25 * 3600


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"summary_at": "8 o'clock"}, "notify.summary_at"),
        ({"summary_days": ("mon",)}, "notify.summary_days"),
        ({"summary_location": "Acme/Town"}, "notify.summary_location"),
    ],
)
def test_settings_that_name_no_time_are_refused(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        NotifySettings(**given)


def test_receiver_that_is_none_is_noted(deliverer: Deliver) -> None:
    made = deliverer({"team": []}, summary_receiver="nobody", test_receiver="team")
    assert made.notes() == ["notify.summary_receiver names 'nobody', which is no receiver"]


def test_summary_by_hand_is_another_each_time(deliverer: Deliver, there: Provider) -> None:
    world = World(deliverer, there.url)
    server = world.server()
    first, second = server.by_hand("team"), server.by_hand("team")
    assert first.key != second.key
    assert world.asked[0].seconds == 86_400
    assert server.tick() is not None, "the day's own goes out all the same"


def summary() -> Notification:
    return replace(notification(), report=REPORT, cause="")


def test_summary_is_kept_whole_until_it_is_told(control: ControlStore) -> None:
    kept = control.deliveries.begin(summary(), "team", "webhook[0]", "webhook", "title")
    assert notification_of(control.deliveries.get(kept.id).notification).report == REPORT
    assert "report" not in plain_notification(notification())


def test_words_of_a_summary_are_a_list_under_its_heading_and_lead_to_the_overview() -> None:
    text = text_of(summary())
    assert text.plain == (
        "Sat 08:00 to Sun 08:00 UTC: 1,284 requests from 14 tenants, 2 % failed, p95 210 ms.\n\n"
        "Requests: 1,284, +3 % vs the 24 hours before\n"
        "Worst tenants:\n- acme: 40 % of <9> failed\n- globex: 1 %\n\n"
        "Overview: https://tocsin.acme.example/?start=1&end=2\n"
    )
    page = html_of(text)
    assert "acme: 40 % of &lt;9&gt; failed<br>globex: 1 %" in page
    assert (text.is_firing, text.color) == (True, "#b3261e")
    well = text_of(replace(summary(), report=replace(REPORT, state="ok")))
    assert (well.is_firing, well.color) == (False, "#2e7d4f")
    assert text_of(replace(summary(), cause="fallback of team")).facts[-1] == ("Why", "fallback of team")
    assert text_of(replace(summary(), external_url="")).links == ()


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[MailServer]:
    with mail_server(tmp_path) as running:
        yield running


def test_summary_arrives_by_mail_as_text_and_html(deliverer: Deliver, mail: MailServer) -> None:
    settings = email.Settings(
        to=("team@acme.example",), sender="tocsin@acme.example", smarthost=mail.smarthost, tls_ca_file=mail.ca_file
    )
    made: Deliverer = deliverer({"team": [Integration("email[0]", "email", settings)]}, summary_receiver="team")
    server = Summaries(made, lambda window: REPORT, lambda: SUNDAY)
    told = server.by_hand("team")
    assert made.deliver(told).outcome == "sent"
    (got,) = mail.mails
    assert got["Subject"] == REPORT.title
    text, rich = got.get_body(("plain",)), got.get_body(("html",))
    assert text is not None
    assert rich is not None
    assert "- acme: 40 % of <9> failed" in text.get_content()
    assert "<td>1,284, +3 % vs the 24 hours before</td>" in rich.get_content()


@pytest.mark.parametrize("name", sorted(WIRED))
def test_summary_goes_out_by_every_provider(name: str) -> None:
    with provider(WIRED[name].good) as there:
        receipt = channels()[name].send(settings_of(name, there.url), message_of(summary()))
    assert receipt.outcome == "sent"
    assert there.asked


def test_summary_in_a_browser_opens_the_overview() -> None:
    told = summary()
    assert webpush.payload(told, text_of(told), may_acknowledge=False)["path"] == "./"


def test_summary_in_the_log_has_its_facts() -> None:
    with structlog.testing.capture_logs() as written:
        log.send(log.Settings(), message_of(summary(), now=NOW))
    assert written[0]["event"] == "health.summary"
    assert written[0]["facts"]["Worst tenants"] == ["acme: 40 % of <9> failed", "globex: 1 %"]
