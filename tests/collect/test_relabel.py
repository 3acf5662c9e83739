"""Relabelling does what Prometheus' does."""

from __future__ import annotations

from typing import Any

import pytest

from tocsin.collect.relabel import RelabelError, Rule, relabelled

LABELS = {"a": "foo", "b": "bar", "c": "baz"}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (
            {"source_labels": ["a"], "regex": "f(.*)", "target_label": "d", "replacement": "ch${1}-ch${1}"},
            {**LABELS, "d": "choo-choo"},
        ),
        ({"source_labels": ["a"], "regex": "o", "target_label": "d"}, LABELS),  # anchored
        ({"source_labels": ["a", "b"], "regex": "foo;bar", "action": "drop"}, None),
        ({"source_labels": ["a"], "regex": "no", "action": "keep"}, None),
        ({"source_labels": ["a"], "regex": "fo+", "action": "keep"}, LABELS),
        ({"regex": "(b|c)", "action": "labeldrop"}, {"a": "foo"}),
        ({"regex": "(b|c)", "action": "labelkeep"}, {"b": "bar", "c": "baz"}),
        ({"regex": "(a)", "replacement": "x_$1", "action": "labelmap"}, {**LABELS, "x_a": "foo"}),
        ({"source_labels": ["c"], "target_label": "d", "action": "hashmod", "modulus": 1000}, {**LABELS, "d": "976"}),
        ({"source_labels": ["a"], "target_label": "a", "action": "uppercase"}, {**LABELS, "a": "FOO"}),
        ({"target_label": "b", "replacement": ""}, {"a": "foo", "c": "baz"}),
        ({"source_labels": ["a"], "regex": "(f)(.*)", "target_label": "${1}x", "replacement": "$2$$"},
         {**LABELS, "fx": "oo$"}),
        ({"source_labels": ["a"], "target_label": "b", "action": "keepequal"}, None),
        ({"source_labels": ["a"], "target_label": "b", "action": "dropequal"}, LABELS),
    ],
)  # fmt: skip
def test_each_action(rule: dict[str, Any], expected: dict[str, str] | None) -> None:
    assert relabelled(LABELS, [Rule.of(rule)]) == expected


@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        ({"action": "explode"}, "action 'explode'"),
        ({"source_labels": ["a"]}, "needs a target_label"),
        ({"action": "hashmod", "target_label": "x"}, "needs a modulus"),
        ({"regex": "(", "action": "labeldrop"}, r"cannot use regex '\('"),
        ({"regex": "a", "action": "labeldrop", "sources": []}, "cannot use 'sources'"),
    ],
)
def test_rules_that_cannot_be_used(rule: dict[str, Any], cause: str) -> None:
    with pytest.raises(RelabelError, match=cause):
        Rule.of(rule)
