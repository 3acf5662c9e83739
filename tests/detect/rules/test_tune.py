"""Rules that ring for nothing get a proposal that was tried, and nothing that was real is given up for it."""

from __future__ import annotations

import pytest

from tocsin.detect.rules.evaluation import Surroundings
from tocsin.detect.rules.precision import Mark
from tocsin.detect.rules.replay import Replayed, grid_for, replay
from tocsin.detect.rules.rule import Group, Rule
from tocsin.detect.rules.tune import Proposal, proposal
from tocsin.query.promql.source import MemorySource

MINUTE_MS = 60_000


def given(values: dict[int, float], rule: Rule, minutes: int = 600) -> tuple[Group, Replayed]:
    """The rule over a gauge `load` that is 0 but for these minutes."""
    source = MemorySource()
    source.add({"__name__": "load", "job": "a"}, [(at * MINUTE_MS, values.get(at, 0.0)) for at in range(minutes + 1)])
    group = Group("g", (rule,))
    return group, replay(group, rule, Surroundings(source), grid_for(0, minutes * MINUTE_MS, 60))


def spikes(value: float, lasting: int, *starts: int) -> dict[int, float]:
    return {start + more: value for start in starts for more in range(lasting)}


def proposed(values: dict[int, float], rule: Rule, *marks: Mark) -> Proposal | None:
    group, found = given(values, rule)
    return proposal(group, found, marks)


HIGH = Rule(alert="High", expr="load > 5", labels={"severity": "critical"})
EVERY_HOUR = range(30, 600, 60)


def test_short_spikes_ask_for_a_longer_for_and_the_long_breach_still_fires() -> None:
    made = proposed(spikes(9, 2, *EVERY_HOUR) | spikes(9, 30, 400), HIGH)
    assert made is not None
    assert (made.change.words, len(made.change.replayed.fires)) == ("for 0s → 2m", 1)
    assert "+        for: 2m" in made.diff or "+    for: 2m" in made.diff


def test_flapping_asks_for_longer_firing() -> None:
    made = proposed(spikes(9, 1, *range(100, 140, 3)), HIGH)
    assert made is not None
    assert made.change.words == "keep_firing_for 0s → 5m"


def test_harmless_height_asks_for_a_higher_threshold_where_the_real_ones_are_higher() -> None:
    values = spikes(6, 20, *EVERY_HOUR) | spikes(50, 3, 5)
    real = Mark("acted", 5 * MINUTE_MS, 5 * MINUTE_MS, "High")
    false = [Mark("noise", at * MINUTE_MS, at * MINUTE_MS, "High") for at in EVERY_HOUR]
    made = proposed(values, HIGH, real, *false)
    assert made is None  # each lasts long: who wants fewer has to say so in the rule

    made = proposed(spikes(6, 10, *EVERY_HOUR) | spikes(50, 3, 5), HIGH, real, *false)
    assert made is not None
    assert made.change.words == "threshold 5 → 6.25"
    assert (made.before.real, made.after.real, made.before.noise, made.after.noise) == (1, 1, 10, 0)
    assert made.change.rule.expr == "load > 6.25"


def test_real_fires_are_never_given_up() -> None:
    real = [Mark("acted", at * MINUTE_MS, at * MINUTE_MS, "High") for at in EVERY_HOUR]
    assert proposed(spikes(6, 2, *EVERY_HOUR), HIGH, *real) is None


def test_quiet_rule_is_left_alone() -> None:
    assert proposed(spikes(9, 2, 30), HIGH) is None


@pytest.mark.parametrize(
    ("expr", "changed"),
    [
        ("load > 5 and load > 1", "load > 6.25 and load > 1"),
        ("load >= 5", "load >= 6.25"),
        ("load > 5 and load > 5", None),
        ("load / 10 > 0.5", "load / 10 > 0.625"),
        ("5 < load", None),
        ("load > bool 5 == 1", None),
    ],
)
def test_only_the_threshold_is_rewritten(expr: str, changed: str | None) -> None:
    values = spikes(6, 10, *EVERY_HOUR) | spikes(50, 3, 5)
    real = Mark("acted", 5 * MINUTE_MS, 5 * MINUTE_MS, "High")
    made = proposed(values, Rule(alert="High", expr=expr), real)
    assert (made.change.rule.expr if made and made.change.rule.expr != expr else None) == changed


def test_diff_is_of_the_rules_own_yaml() -> None:
    group, found = given(spikes(9, 2, *EVERY_HOUR) | spikes(9, 30, 400), HIGH)
    made = proposal(group, found, ())
    assert made is not None
    signs = [line for line in made.diff.splitlines()[2:] if line[0] in "+-"]
    assert [line.replace(" ", "") for line in signs] == ["+for:2m"]
    whole = "\n".join(line[1:] for line in made.diff.splitlines()[3:] if line[0] in " +")
    assert "alert: High" in whole


def test_what_was_always_false_may_fall_silent_and_what_nobody_judged_may_not() -> None:
    values = spikes(9, 1, *EVERY_HOUR)
    false = [Mark("noise", at * MINUTE_MS, at * MINUTE_MS, "High") for at in EVERY_HOUR]
    made = proposed(values, HIGH, *false)
    assert made is not None
    assert made.change.replayed.fires == []
    assert proposed(values, HIGH) is None
