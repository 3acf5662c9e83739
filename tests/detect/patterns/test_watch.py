"""The server keeps patterns of what is stored: mined from the store, told once when new or exploding, and restored."""

from __future__ import annotations

from typing import Any

import pytest

from otlp import NOW_NS, SECOND_NS, SHOP, log_record, log_request
from tocsin.detect.patterns.news import EXPLODING, NEW, News
from tocsin.detect.patterns.settings import PatternSettings
from tocsin.detect.patterns.watch import PatternWatch
from tocsin.ingest.log_bodies import write_out
from tocsin.model.tenant import PLATFORM
from tocsin.storage.telemetry.store import TelemetryStore

SETTINGS = PatternSettings(learning_seconds=600, exploding_lines=20)
MAPPED = """
SELECT arraySort(groupUniqArray(body)) FROM logs
INNER JOIN (SELECT service, shape, pattern FROM log_shape_patterns FINAL) AS m USING (service, shape)
GROUP BY m.pattern ORDER BY 1
"""


class Clock:
    def __init__(self) -> None:
        self.seconds = NOW_NS / 1e9

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[News]:
    return []


@pytest.fixture
def watch(store: TelemetryStore, clock: Clock, told: list[News]) -> PatternWatch:
    return PatternWatch(store, told.append, SETTINGS, clock)


def lines(*bodies: Any, seconds: float = 0, tenant: str = "acme", release: str = "", **more: Any) -> Any:
    resource = SHOP | ({"service.version": release} if release else {})
    attrs = {"tocsin.tenant": tenant}
    at_ns = NOW_NS + round(seconds * SECOND_NS)
    return log_request([log_record(body, time_ns=at_ns, attrs=attrs, **more) for body in bodies], resource)


def test_every_stored_line_has_its_pattern(watch: PatternWatch, store: TelemetryStore, put: Any) -> None:
    put(lines("order 1 placed", "order 2 placed", "user 'ann' left", "user 'bob' left"))
    watch.look()
    put(lines("order 31 placed", "user 'cid' left"))
    watch.look()
    found = [row[0] for row in store.read(PLATFORM, MAPPED).rows]
    assert found == [
        ["order 1 placed", "order 2 placed", "order 31 placed"],
        ["user 'ann' left", "user 'bob' left", "user 'cid' left"],
    ]


def test_patterns_that_become_one_are_one_in_the_store(watch: PatternWatch, store: TelemetryStore, put: Any) -> None:
    for name in ("berta", "carla", "doris", "erika"):
        put(lines(f"{name} opened the door"))
        watch.look()
    rows = store.read(PLATFORM, "SELECT template, into, id FROM log_patterns FINAL ORDER BY template").rows
    [*absorbed, (template, into, id)] = rows
    assert template == "<*> opened the door"
    assert into == 0
    assert [row[:2] for row in absorbed] == [["", id]] * 2


def test_new_pattern_is_told_once_the_service_is_known(
    watch: PatternWatch, clock: Clock, told: list[News], put: Any
) -> None:
    put(lines("order 1 placed"))
    watch.look()
    clock.seconds += 601
    put(lines("cannot charge card 17", seconds=600, release="2.0", severity_number=17))
    watch.look()
    put(lines("cannot charge card 18", "order 2 placed", seconds=601, tenant="globex", release="2.0"))
    watch.look()
    [news] = told
    assert news.name == NEW
    assert news.body == "New in the logs of shop since release 2.0 for acme: cannot charge card <*>"
    assert (news.service, news.release, news.tenant, news.level) == ("shop", "2.0", "acme", "error")
    assert news.attributes["tocsin.log.template"] == "cannot charge card <*>"


def test_imported_history_is_no_news(watch: PatternWatch, clock: Clock, told: list[News], put: Any) -> None:
    put(lines("order 1 placed"))
    watch.look()
    clock.seconds += 700
    put(lines("something of old", seconds=-86_400))
    watch.look()
    assert told == []


def test_after_a_restart_nothing_is_new_and_ids_stay(
    watch: PatternWatch, store: TelemetryStore, clock: Clock, told: list[News], put: Any
) -> None:
    put(lines("order 1 placed", "user 'ann' left"))
    watch.look()
    ids = store.read(PLATFORM, "SELECT id FROM log_patterns FINAL ORDER BY id").rows
    clock.seconds += 3600
    again = PatternWatch(store, told.append, SETTINGS, clock)
    put(lines("order #2 placed", "user 'eve' left", seconds=3600))
    again.look()
    assert told == []
    assert store.read(PLATFORM, "SELECT id FROM log_patterns FINAL ORDER BY id").rows == ids
    put(lines("now this", seconds=3600))
    again.look()
    assert [news.name for news in told] == [NEW]


def test_exploding_pattern_is_told_with_whom_it_hits_and_not_again_at_once(
    watch: PatternWatch, clock: Clock, told: list[News], put: Any
) -> None:
    put(lines("timeout of db 1", "order 1 placed"))
    watch.look()
    clock.seconds += 7200
    for minute in range(60, 115):
        put(lines("order 7 placed", "order 8 placed", seconds=minute * 60))
    put(lines("timeout of db 2", seconds=70 * 60))
    watch.look_for_bursts()
    assert told == []
    put(lines(*(f"timeout of db {number}" for number in range(30)), seconds=117 * 60, tenant="globex"))
    watch.look()
    watch.look_for_bursts()
    clock.seconds += 60
    watch.look_for_bursts()
    [news] = told
    assert news.name == EXPLODING
    assert news.body == (
        "30 lines in five minutes in the logs of shop, 360 times as often as in the hour before: timeout of db <*>"
    )
    assert (news.tenant, news.attributes["tocsin.log.lines"]) == ("globex", "30")


def test_a_flood_of_shapes_is_looked_through(
    watch: PatternWatch, store: TelemetryStore, put: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("tocsin.query.log_pattern_state", "tocsin.detect.patterns.watch"):
        monkeypatch.setattr(f"{module}.MOST_SHAPES", 10)
    put(lines(*(f"{'x' * length} happened to be" for length in range(1, 36))))
    while watch.look():
        pass
    assert store.read(PLATFORM, "SELECT uniqExact(shape) FROM log_shape_patterns").rows == [[35]]


def patterns_of(watch: PatternWatch, store: TelemetryStore, put: Any, bodies: list[Any]) -> Any:
    """Templates and the number of shapes."""
    request = lines(*bodies)
    assert write_out(request, None)
    put(request)
    watch.look()
    sql = "SELECT template, (SELECT uniqExact(shape) FROM logs WHERE shape != 0) FROM log_patterns FINAL"
    return store.read(PLATFORM, sql).rows


def test_structured_bodies_have_patterns_of_their_fields(watch: PatternWatch, store: TelemetryStore, put: Any) -> None:
    bodies = [{"order": f"{number} paid", "ms": number / 8, "by": {"id": number}} for number in range(1, 9)]
    assert patterns_of(watch, store, put, bodies) == [['{"order": "<*> paid", "ms": <*>, "by": {"id": <*>}}', 1]]


def test_structured_bodies_with_a_message_have_its_pattern(
    watch: PatternWatch, store: TelemetryStore, put: Any
) -> None:
    bodies = [{"msg": f"order {number} paid", "ms": number / 8, "by": {"id": number}} for number in range(1, 9)]
    assert patterns_of(watch, store, put, bodies) == [["order <*> paid", 1]]
