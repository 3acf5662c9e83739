"""Lines are grouped into patterns as they come: right on the logs of known systems, steady, and in bounded memory."""

from __future__ import annotations

import pytest
from log_samples import HEADERS, SYSTEMS, grouping_accuracy, lines_of

from tocsin.detect.patterns.tree import PatternTree

# Grouping accuracy that Drain reaches on the real samples of these systems (Zhu et al., ICSE-SEIP 2019, table 2).
DRAIN = {
    "HDFS": 0.998, "Hadoop": 0.948, "Spark": 0.920, "Zookeeper": 0.967, "BGL": 0.963, "Linux": 0.690,
    "OpenSSH": 0.788, "Apache": 1.000, "OpenStack": 0.733, "Proxifier": 0.527, "HealthApp": 0.780, "Product": 0.9,
}  # fmt: skip


def accuracy(system: str, *, whole: bool = False, seed: int = 7) -> float:
    lines, tree = lines_of(system, whole=whole, seed=seed), PatternTree()
    found = [tree.add(line) for line, _ in lines]
    return grouping_accuracy([event for _, event in lines], [tree.now(pattern).id for pattern in found])


@pytest.mark.parametrize("seed", [7, 8])
@pytest.mark.parametrize("system", SYSTEMS)
def test_lines_of_known_systems_are_grouped_as_well_as_drain_does(system: str, seed: int) -> None:
    assert accuracy(system, seed=seed) >= max(DRAIN[system], 0.95)


@pytest.mark.parametrize("system", HEADERS)
def test_whole_lines_with_their_headers_are_grouped_alike(system: str) -> None:
    assert accuracy(system, whole=True) >= max(DRAIN[system], 0.95)


def test_the_measure_sees_a_wrong_group() -> None:
    assert grouping_accuracy([0, 0, 1, 1], [5, 5, 6, 6]) == 1
    assert grouping_accuracy([0, 0, 1, 1], [5, 5, 6, 7]) == 0.5
    assert grouping_accuracy([0, 0, 1, 1], [5, 5, 5, 5]) == 0


def test_numbers_ids_addresses_and_paths_are_values() -> None:
    tree = PatternTree()
    one = tree.add("user 17 (a@acme.io) got /reports/7?x=1 from 10.0.0.7:4411 in 31.5ms id=9f8e7d6c5b4a trace 0xff")
    two = tree.add("user 9 (b@globex.com) got /orders from 10.9.0.7:80 in 1.5ms id=1a2b3c4d5e6f trace 0x1")
    assert one is two
    assert one.template == "user <*> (<*>) got <*> from <*> in <*> id=<*> trace <*>"


def test_names_become_a_value_once_there_are_several_and_states_do_not() -> None:
    tree = PatternTree()
    names = ["berta", "carla", "doris", "erika", "frida"]
    found = [tree.add(f"{name} opened the door") for name in names]
    assert {tree.now(one).id for one in found} == {found[0].id}
    assert tree.now(found[0]).template == "<*> opened the door"
    said = ("started", "stopped", "paused", "resumed", "destroyed")
    states = [tree.add(f"machine {state} at once") for state in said]
    assert len({tree.now(one).id for one in states}) == 5


def test_lines_of_json_are_grouped_by_what_they_say() -> None:
    tree = PatternTree()
    placed = [tree.add(f'{{"level":"info","message":"order {number} placed","ms":{number}}}') for number in range(3)]
    spaced = tree.add('{"level": "info", "msg": "cannot charge card 17", "ms": 3}')
    assert [one.template for one in (*placed, spaced)] == ["order <*> placed"] * 3 + ["cannot charge card <*>"]


def test_what_became_one_is_told() -> None:
    tree = PatternTree()
    first, *others = [tree.add(f"{name} opened the door") for name in ("berta", "carla", "doris")]
    tree.add("erika opened the door")
    assert tree.merged == [(one.id, first.id) for one in others]
    assert first.lines == 4


def test_a_known_pattern_is_found_again_after_a_restart() -> None:
    before = PatternTree()
    id = next(before.add(f"order {number} of {name} placed") for number, name in enumerate(("a-1", "b-2"))).id
    after = PatternTree()
    after.restore(id, before.patterns[0].template)
    assert after.add("order 99 of zed-3 placed").id == id
    assert after.changed == {}
    assert after.add("something else happened").id != id


def test_memory_is_bounded() -> None:
    tree = PatternTree(most_patterns=50, most_shapes=100)
    for number in range(2_000):
        tree.add(f"{'x' * (number % 60 + 2)} {'y' * (number // 60 + 2)} happened")
    assert len(tree) <= 50
    assert tree.add("xx yy happened") is tree.add("xx yy happened")


@pytest.mark.parametrize("line", ["", " ", "\x00\x01", "#", "=", "1" * 100_000, "a=" * 5_000, "((((", "<*> <*>", "{}"])
def test_odd_lines_have_a_pattern_too(line: str) -> None:
    tree = PatternTree()
    assert tree.add(line) is tree.add(line)
