"""What the SDKs say of their instruments."""

from __future__ import annotations

import time
from typing import Any

from otlp import gauge, metric_request, number
from tocsin.model.tenant import PLATFORM
from tocsin.query.instruments import instruments
from tocsin.storage.telemetry.store import TelemetryStore
from tocsin.web.api.doctor import State, _instruments

RESOURCE = {"service.name": "shop", "telemetry.sdk.name": "tocsin"}


def told(name: str, state: str, reason: str = "", seconds_ago: float = 10) -> Any:
    attrs = {"instrument": name, "state": state, **({"reason": reason} if reason else {})}
    return number(float(state == "on"), time_ns=time.time_ns() - round(seconds_ago * 1e9), attrs=attrs)


def test_newest_word_of_each_service_counts(store: TelemetryStore, put: Any) -> None:
    points = [
        told("sqlalchemy", "off", "the app has not imported sqlalchemy", 60),
        told("sqlalchemy", "on"),
        told("redis", "off", "redis is not installed"),
        told("httpx", "off", "httpx 0.1 is older than 0.20"),
    ]
    put(metric_request([gauge("tocsin_sdk_instrument", points)], RESOURCE))
    (found,) = instruments(store, PLATFORM)
    assert (found.service, found.on) == ("shop", ["sqlalchemy"])
    assert set(found.off) == {"redis", "httpx"}
    assert found.broken == {"httpx": "httpx 0.1 is older than 0.20"}
    check = _instruments([found])
    assert check.state is State.WARNING
    assert check.detail == (
        "shop cannot watch httpx: httpx 0.1 is older than 0.20; "
        "shop watches sqlalchemy (off: redis: redis is not installed)"
    )


def test_nothing_told_is_no_fault(store: TelemetryStore) -> None:
    assert instruments(store, PLATFORM) == []
    assert _instruments([]).state is State.OK
