"""Variables of boards: what they may be and how they stand in queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tocsin.model.dashboard import Dashboard, Variable
from tocsin.model.window import Window
from tocsin.query.promql.parser import parse
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.promql.source import MemorySource
from tocsin.query.variables import ALL, choose, substituted

WINDOW = Window(0, 3600 * 10**9)
EVIL = 'x"} or secret{a="'


class Reader(MemorySource):
    """The series in memory with the look-ups that variables need."""

    def label_values(self, name: str, selectors: Sequence[Any], start_ms: int, end_ms: int) -> list[str]:
        kept = [
            one.labels
            for one in self.series
            if not selectors or any(all(m.matches(one.labels.get(m.name, "")) for m in each) for each in selectors)
        ]
        return sorted({labels[name] for labels in kept if name in labels})

    def label_names(self, selectors: Sequence[Any], start_ms: int, end_ms: int) -> list[str]:
        return sorted({name for one in self.series for name in one.labels})


@pytest.fixture
def reader() -> Any:
    made = Reader()
    for name, job, host in (("up", "api", "h1"), ("up", "web", "h2"), ("load", "api", "h1")):
        made.add({"__name__": name, "job": job, "host": host}, [(3_500_000, 1.0)])
    return made


def values(reader: Any, *variables: Variable, **asked: list[str]) -> Any:
    return choose(Dashboard("a", "A", variables=variables), asked, reader, WINDOW, QuerySettings())


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("label_values(job)", ("api", "web")),
        ("label_values(load, host)", ("h1",)),
        ('label_values(up{job="web"}, host)', ("h2",)),
        ("metrics(lo)", ("load",)),
        ("label_names()", ("__name__", "host", "job")),
        ("query_result(count(up))", ("2",)),
    ],
)
def test_query_finds_its_values(reader: Any, query: str, found: tuple[str, ...]) -> None:
    chosen = values(reader, Variable("v", "query", query=query))["v"]
    assert tuple(one.strip() for one in chosen.options) == found
    assert len(chosen.values) == 1


def test_pattern_picks_and_cuts(reader: Any) -> None:
    chosen = values(reader, Variable("v", "query", query="label_values(host)", regex="/h([2-9])/"))["v"]
    assert chosen.options == ("2",)


def test_variable_refers_to_one_above_it(reader: Any) -> None:
    job = Variable("job", "query", query="label_values(job)")
    host = Variable("host", "query", query='label_values(up{job="$job"}, host)')
    assert values(reader, job, host, job=["web"])["host"].options == ("h2",)


def test_broken_query_is_told_and_leaves_nothing_to_choose(reader: Any) -> None:
    chosen = values(reader, Variable("v", "query", query="label_values(up{, x)"))["v"]
    assert chosen.options == ()
    assert "parse error" in chosen.problem


def test_default_comes_before_all_and_the_first(reader: Any) -> None:
    job = "label_values(job)"
    assert values(reader, Variable("v", "query", query=job, default="web"))["v"].values == ("web",)
    assert values(reader, Variable("v", "query", query=job, has_all=True))["v"].values == (ALL,)
    assert values(reader, Variable("v", "custom", query="One : 1, 2"))["v"].values == ("1",)


def test_values_stand_in_queries_as_matchers_need_them(reader: Any) -> None:
    several = Variable("job", "query", query="label_values(job)", is_multi=True, has_all=True, all_value=".*")
    chosen = values(reader, several, job=["a.b", "c"])
    assert substituted('x{job=~"$job"}', chosen, WINDOW, 15_000) == 'x{job=~"(a\\\\.b|c)"}'
    assert substituted("${job:csv} ${job:pipe} [[job:raw]]", chosen, WINDOW, 15_000) == "a.b,c a.b|c a.b,c"
    assert substituted('x{job=~"$job"}', values(reader, several), WINDOW, 15_000) == 'x{job=~".*"}'


def test_times_and_steps_are_put_in(reader: Any) -> None:
    text = "$__interval $__interval_ms $__rate_interval $__range $__range_s ${__from} $unknown $__auto"
    put = "1m 60000 1m15s 1h 3600 0 $unknown $__auto"
    assert substituted(text, {}, WINDOW, 60_000) == put


@pytest.mark.parametrize("is_multi", [True, False])
def test_value_of_the_address_cannot_leave_its_string(reader: Any, is_multi: bool) -> None:
    chosen = values(reader, Variable("v", "custom", query="a", is_multi=is_multi), v=[EVIL])
    expression = parse(substituted('x{a=~"$v"}', chosen, WINDOW, 15_000))
    assert type(expression).__name__ == "VectorSelector"
