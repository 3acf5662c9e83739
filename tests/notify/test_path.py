"""A synthetic alert proves the path; when one is lost another channel is told, once, and when it is well again."""

from __future__ import annotations

from prometheus_client import REGISTRY
from tests.notify.conftest import Deliver
from tests.notify.providers import Told, provider

from tocsin.model.alert import Alert
from tocsin.model.path_check import CHECK_LABEL
from tocsin.notify.channels import log, webhook
from tocsin.notify.path import PathWatch
from tocsin.notify.receivers import Integration
from waiting import eventually


def hook(url: str) -> Integration:
    return Integration("webhook[0]", "webhook", webhook.Settings(url=url))


def logged() -> Integration:
    return Integration("log[0]", "log", log.Settings())


def test_alert_that_arrives_names_its_hops_and_asks_the_switch(deliverer: Deliver) -> None:
    with provider() as switch:
        sender = deliverer({"log": [logged()]}, dead_mans_url=f"{switch.url}/ping/acme")
        result = PathWatch(sender).check()
    assert result.is_well
    names = {"raised", "accepted", "notification made", "delivery begun", "receipt of log", "dead man's switch"}
    assert {hop.name for hop in result.hops} == names
    assert [result.hops[0].name, result.hops[-1].name] == ["raised", "dead man's switch"]
    assert result.hops[-1].seconds >= result.hops[-2].seconds >= 0
    assert [asked.path for asked in switch.asked] == ["/ping/acme"]
    assert REGISTRY.get_sample_value("tocsin_paging_path_seconds") is not None


def test_lost_alert_is_told_by_another_channel_once_and_asks_no_switch(deliverer: Deliver) -> None:
    with provider() as switch, provider() as other:
        sender = deliverer(
            {"log": [logged()], "other": [hook(other.url)]},
            fallback="other", dead_mans_url=switch.url, test_seconds=0.1,
        )  # fmt: skip
        lost: list[Alert] = []
        watch = PathWatch(sender, lost.append)
        assert [watch.check().is_well, watch.check().is_well] == [False, False]
        assert "no receipt within 0.1 s" in watch.results[-1].reason
        told = other.wait(1)[0].json
        watch.enter = watch._straight
        assert watch.check().is_well
        over = other.wait(2)[1].json
    assert (told["status"], told["alerts"][0]["labels"]["alertname"]) == ("firing", "TocsinPagingPathBroken")
    assert over["status"] == "resolved"
    assert len(other.asked) == 2
    assert len(switch.asked) == 1
    assert all(CHECK_LABEL in alert.labels for alert in lost)


def test_receiver_that_refuses_is_a_broken_path(deliverer: Deliver) -> None:
    with provider(Told(404)) as gone:
        sender = deliverer({"pager": [hook(gone.url)]}, test_receiver="pager")
        result = PathWatch(sender).check()
    assert not result.is_well
    assert "pager could not be told: it answered 404" in result.reason


def test_pipeline_that_fails_is_a_broken_path(deliverer: Deliver) -> None:
    def fails(alert: Alert) -> None:
        raise RuntimeError("the store is gone")

    watch = PathWatch(deliverer({"log": [logged()]}), fails)
    assert "the store is gone" in watch.check().reason


def test_switch_that_does_not_answer_is_said(deliverer: Deliver) -> None:
    sender = deliverer({"log": [logged()]}, dead_mans_url="http://127.0.0.1:1/secret-check-id")
    result = PathWatch(sender).check()
    assert result.is_well
    assert "dead man's switch: cannot reach http://127.0.0.1:1" in result.reason
    assert "secret-check-id" not in result.reason


def test_loop_checks_again_and_again_until_it_is_closed(deliverer: Deliver) -> None:
    watch = PathWatch(deliverer({"log": [logged()]}, test_interval_seconds=0.02))
    watch.start()
    eventually(lambda: len(watch.results) >= 3, "three results", pause_seconds=0.02)
    watch.close()
    assert all(result.is_well for result in watch.results)
