"""The shipped critical rules over a short made-up history with labels: `bench.false_alarms` does it over weeks."""

from __future__ import annotations

import pytest
from bench.false_alarms import ABOUT, Judged, fires_of, judged, rules_of
from bench.happenings import HOUR, MINUTE, SUBJECTS, Happening
from bench.history import START_MS, history

from tocsin.model.threshold_profiles import DEFAULT_PROFILE

SPIKE = Happening("error spike", 4 * HOUR, 4 * HOUR + 15 * MINUTE, "shop", strength=0.5)
CALM = [
    Happening("deploy", HOUR, HOUR + 4 * MINUTE, "shop"),
    Happening("blip", 90 * MINUTE, 90 * MINUTE + 2, "billing", strength=0.9),
    Happening("database hiccup", 2 * HOUR, 2 * HOUR + 2),
    Happening("network hiccup", 150 * MINUTE, 150 * MINUTE + 3),
    Happening("a client retries", 3 * HOUR, 3 * HOUR + 8, "exports"),
    Happening("one in three fails", 0, 5 * HOUR, "shop", "tiny"),
]


@pytest.fixture(scope="module")
def found() -> dict[str, Judged]:
    """Five hours of a Monday morning, the first of them warm-up."""
    made = history([*CALM, SPIKE], 5 * HOUR, seed=7, start_ms=START_MS + 8 * 3_600_000)
    start_ms = made.ms(HOUR)
    each = [
        judged(rule, fires_of(group, rule, records, made, start_ms), made, start_ms)
        for group, rule, records in rules_of(DEFAULT_PROFILE)
    ]
    return {one.rule.name: one for one in each}


def test_error_spike_is_told_within_five_minutes(found: dict[str, Judged]) -> None:
    at_ms = found["High Error Rate"].right[SPIKE]

    assert at_ms - (START_MS + (8 + 4) * 3_600_000) <= 5 * 60_000
    assert SPIKE in found["Error Rate Emergency"].right


def test_no_critical_rule_rings_while_nothing_is_wrong(found: dict[str, Judged]) -> None:
    assert {name: len(one.false) for name, one in found.items() if one.false} == {}


def test_every_critical_rule_has_incidents_to_ring_for(found: dict[str, Judged]) -> None:
    subjects = set().union(*SUBJECTS.values())

    assert [name for name in found if not ABOUT.get(name, set()) & subjects] == []
