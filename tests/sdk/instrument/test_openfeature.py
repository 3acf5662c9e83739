"""Flags: counted, timed, on the request's span, and a change told once and told from mere variety."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from starlette.testclient import TestClient

import tocsin
from sdk.told import told
from tocsin.sdk.agent import agent_for
from tocsin.sdk.agents import current_agent
from tocsin.sdk.flag_requests import DURATION, FlagRequests
from tocsin.sdk.increases import Increases
from tocsin.sdk.instrument._flips import FIRST_NEEDED, Flips
from tocsin.testing import capture_spans


class Switched:
    """A provider whose flag `fast-lists` gives what the test says, by tenant."""

    def __init__(self) -> None:
        self.on: set[str] = set()
        self.provider = InMemoryProvider(
            {"fast-lists": InMemoryFlag("off", {"on": True, "off": False}, context_evaluator=self._evaluate)}
        )
        api.set_provider(self.provider)

    def _evaluate(self, flag: Any, context: EvaluationContext) -> FlagResolutionDetails[bool]:
        variant = "on" if context.targeting_key in self.on else "off"
        return FlagResolutionDetails(flag.variants[variant], reason=Reason.TARGETING_MATCH, variant=variant)


@pytest.fixture
def flags() -> Iterator[Switched]:
    yield Switched()
    api.clear_providers()


class Asking:
    """A request as far as counting flags goes."""

    started_ns, ended_ns = 10**9, 15 * 10**8

    def __init__(self, flags: dict[str, str], key: tuple[Any, ...] = ("", "", 0, "", "")) -> None:
        self.flags, self.key = flags, key


def lists(**settings: Any) -> TestClient:
    app = FastAPI()
    tocsin.instrument(app, tenant="header:X-Tenant-ID", **settings)

    @app.get("/lists")
    async def read() -> bool:
        client = api.get_client()
        context = EvaluationContext(targeting_key=tocsin.current_tenant())
        for _ in range(3):
            await client.get_boolean_value_async("fast-lists", False, context)
        return client.get_boolean_value("fast-lists", False, context)

    return TestClient(app)


def numbers() -> dict[tuple[str, ...], int]:
    agent = current_agent()
    assert agent is not None
    return {
        (key.name, *(value for _, value in key.labels), key.tenant): n
        for key, n in agent.increases.collect().sums.numbers.items()
    }


def test_evaluations_are_counted_and_stand_once_on_the_request(flags: Switched) -> None:
    client = lists()
    flags.on = {"acme"}
    with capture_spans() as captured:
        client.get("/lists", headers={"X-Tenant-ID": "acme"})
        client.get("/lists", headers={"X-Tenant-ID": "globex"})
        assert numbers() == {
            ("feature_flag_evaluations_total", "fast-lists", "targeting_match", "on", "acme"): 4,
            ("feature_flag_evaluations_total", "fast-lists", "targeting_match", "off", "globex"): 4,
        }
        first, second = captured.spans
    assert first.attributes["tocsin.flag.fast-lists"] == "on"
    assert second.attributes["tocsin.flag.fast-lists"] == "off"
    (event,) = first.events
    assert (event.name, event.attributes) == (
        "feature_flag.evaluation",
        {
            "feature_flag.key": "fast-lists",
            "feature_flag.result.variant": "on",
            "feature_flag.result.reason": "targeting_match",
        },
    )


def test_a_change_is_told_once_for_its_tenant(flags: Switched) -> None:
    client = lists()
    with capture_spans() as captured:
        for tenant in ("acme", "globex"):
            client.get("/lists", headers={"X-Tenant-ID": tenant})
        flags.on = {"acme"}
        for _ in range(5):
            for tenant in ("acme", "globex"):
                client.get("/lists", headers={"X-Tenant-ID": tenant})
        (record,) = told(captured)
    assert (record.event, record.tenant, record.body) == (
        "tocsin.flag.flip", "acme", "flag fast-lists for acme: off → on",
    )  # fmt: skip
    assert record.attributes["tocsin.flag.before"] == "off"
    assert record.attributes["feature_flag.provider.name"] == "In-Memory Provider"


def test_what_a_provider_says_of_its_configuration_is_told(flags: Switched) -> None:
    agent_for(tocsin.Settings.load())
    with capture_spans() as captured:
        flags.provider.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=["fast-lists"]))
        (record,) = told(captured)
    assert record.body == "flag fast-lists was changed in In-Memory Provider"
    assert record.tenant is None


def test_a_missing_flag_is_an_error_and_no_change(flags: Switched) -> None:
    agent_for(tocsin.Settings.load())
    with capture_spans() as captured:
        for _ in range(5):
            assert api.get_client().get_string_value("nowhere", "plain") == "plain"
        assert numbers() == {("feature_flag_evaluations_total", "nowhere", "error", "plain", ""): 5}
        assert told(captured) == []


def test_answers_drawn_anew_each_time_are_no_change() -> None:
    generator, flips = random.Random(3), Flips()
    told = [flips.see("f", "acme", "acme", generator.choice(("a", "b"))) for _ in range(20_000)]
    assert sum(one is not None for one in told) <= 2


def test_a_rollout_by_percentage_is_none_and_raising_it_is_one() -> None:
    now = [0.0]
    flips = Flips(clock=lambda: now[0])
    people = [f"person {number}" for number in range(200)]

    def round_of(share: int) -> list[str]:
        seen = []
        for number, person in enumerate(people):
            before = flips.see("f", "acme", person, "on" if number % 100 < share else "off")
            seen += [before] if before is not None else []
        return seen

    assert [round_of(10) for _ in range(10)] == [[]] * 10
    told = [before for _ in range(10) for before in round_of(30)]
    assert told == ["off"]
    now[0] = 3600.0
    assert [before for _ in range(10) for before in round_of(10)] == ["on"]


def test_a_change_takes_some_answers_in_a_row() -> None:
    flips = Flips()
    flips.see("f", "acme", "acme", "off")
    assert [flips.see("f", "acme", "acme", "on") for _ in range(FIRST_NEEDED)] == [None, None, "off"]


def test_evaluation_is_what_it_was_without_us(flags: Switched) -> None:
    plain = api.get_client().get_boolean_details("fast-lists", False)
    agent_for(tocsin.Settings.load())
    assert api.get_client().get_boolean_details("fast-lists", False) == plain
    assert asyncio.run(api.get_client().get_boolean_details_async("fast-lists", False)) == plain


def durations() -> dict[tuple[str, str], float]:
    """How many requests were counted by (variant, tenant)."""
    agent = current_agent()
    assert agent is not None
    agent.digest()
    timings = agent.collect_increase().sums.timings.items()
    return {
        (dict(key.labels)["variant"], key.tenant): float(sum(timing.buckets.values()))
        for key, timing in timings
        if key.name == DURATION
    }


def test_requests_are_counted_by_variant_once_there_are_two(flags: Switched) -> None:
    client = lists()
    with capture_spans():
        for _ in range(3):
            client.get("/lists", headers={"X-Tenant-ID": "globex"})
        assert durations() == {}
        flags.on = {"acme"}
        for tenant in ("acme", "acme", "globex"):
            client.get("/lists", headers={"X-Tenant-ID": tenant})
        assert durations() == {("on", "acme"): 2, ("off", "globex"): 1}
        assert durations() == {}


def test_a_request_that_goes_on_is_counted_when_it_has_ended() -> None:
    increases = Increases()
    requests = FlagRequests(increases)
    request = Asking(flags={"fast-lists": "on"})
    requests.add(Asking(flags={"fast-lists": "off"}, key=("GET", "/lists", 500, "acme", "Broken")))  # type: ignore[arg-type]
    requests.add(request)  # type: ignore[arg-type]
    requests.count_ended()
    assert not increases.waiting().timings
    request.key = ("GET", "/lists", 500, "acme", "Broken")
    requests.count_ended()
    sums = increases.waiting()
    [(key, timing)] = sums.timings.items()
    assert (dict(key.labels), key.tenant, timing.seconds) == (
        {"flag": "fast-lists", "variant": "on", "method": "GET", "route": "/lists"}, "acme", 0.5,
    )  # fmt: skip
    assert [key.name for key in sums.numbers] == ["feature_flag_request_errors_total"]
