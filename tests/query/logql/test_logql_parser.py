"""LogQL text to an expression and back, and what is said of text that is none."""

from __future__ import annotations

import pytest

from tocsin.query.logql.errors import ParseError
from tocsin.query.logql.expressions import (
    Both,
    Either,
    LabelFilter,
    LineFilter,
    LogQuery,
    NumberCondition,
    RangeAggregation,
    TextCondition,
)
from tocsin.query.logql.parser import parse
from tocsin.query.logql.printer import printed


@pytest.mark.parametrize(
    "text",
    [
        '{service_name="shop"}',
        '{service_name="shop", level=~"warn|error", tenant!="globex"}',
        '{service_name="shop"} |= "error" != "timeout" |~ "a.b" !~ "c+"',
        '{service_name="shop"} |= "a" or "b"',
        '{service_name="shop"} |> "<_> took <_> ms"',
        '{service_name="shop"} |= ip("10.0.0.0/8")',
        '{service_name="shop"} | json',
        '{service_name="shop"} | json first="servers[0]", agent="headers[\\"User-Agent\\"]"',
        '{service_name="shop"} | logfmt --strict --keep-empty',
        '{service_name="shop"} | logfmt took="duration"',
        '{service_name="shop"} | pattern "<ip> - <_> \\"<method> <path> <_>\\" <status>"',
        '{service_name="shop"} | regexp "took (?P<took>\\\\d+)"',
        '{service_name="shop"} | unpack',
        '{service_name="shop"} | status >= 500 and took > 1.5s and size < 20MB',
        '{service_name="shop"} | a="x" or b!="y" and c=~"z.*"',
        '{service_name="shop"} | (a="x" or b="y") and c="z"',
        '{service_name="shop"} | address = ip("192.168.4.5-192.168.4.20")',
        '{service_name="shop"} | line_format "{{.method}} {{.path | upper}}"',
        '{service_name="shop"} | label_format took=duration, who="{{.user}}@{{.host}}"',
        '{service_name="shop"} | drop a, b="x"',
        '{service_name="shop"} | keep a, level',
        '{service_name="shop"} | decolorize',
        'rate({service_name="shop"} |= "error" [5m])',
        'sum by (level) (count_over_time({service_name="shop"} [1m]))',
        'sum without (level) (bytes_rate({service_name="shop"} [1h30m] offset 1d))',
        'topk(5, sum by (route) (rate({service_name="shop"} [5m])))',
        'quantile_over_time(0.95, {service_name="shop"} | json | unwrap duration(took) [5m]) by (route)',
        'avg_over_time({service_name="shop"} | logfmt | unwrap bytes(size) | __error__="" [5m])',
        'sum(rate({a="b"} [5m])) / on (level) group_left (x) sum(rate({a="b"} [5m]))',
        '(sum(rate({a="b"} [5m])) > bool 3) or vector(0)',
        'label_replace(sum by (a) (rate({a="b"} [5m])), "c", "$1", "a", "(.*)")',
        'sort_desc(sum by (a) (rate({a="b"} [5m])))',
        'absent_over_time({a="b"} [5m])',
    ],
)
def test_canonical_text_reads_back_as_itself(text: str) -> None:
    assert printed(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('count_over_time({a="b"}[5m] |= "x")', 'count_over_time({a="b"} |= "x" [5m])'),
        ('count_over_time(({a="b"} |= "x")[5m])', 'count_over_time({a="b"} |= "x" [5m])'),
        ('count_over_time(({a="b"} |= "x" [5m]))', 'count_over_time({a="b"} |= "x" [5m])'),
        ('sum(rate({a="b"}[5m])) by (level)', 'sum by (level) (rate({a="b"} [5m]))'),
        ('{a="b"} | x==5 , y=`z`', '{a="b"} | x == 5 and y="z"'),
        ('{a="b"} | x=5 y=6', '{a="b"} | x == 5 and y == 6'),
        ('{a="b"} # all of it\n |= `x` ', '{a="b"} |= "x"'),
        ("1 + 2 * 3 ^ 2", "1 + (2 * (3 ^ 2))"),
        ("vector(1)+vector(1)", "vector(1) + vector(1)"),
    ],
)
def test_other_ways_to_write_it_mean_the_same(text: str, same: str) -> None:
    assert printed(parse(text)) == same


def test_conditions_bind_and_before_or() -> None:
    found = parse('{a="b"} | x > 1 or y = "2" and z < 3ms')
    assert isinstance(found, LogQuery)
    [stage] = found.stages
    assert isinstance(stage, LabelFilter)
    assert isinstance(stage.condition, Either)
    assert isinstance(stage.condition.left, NumberCondition)
    assert isinstance(stage.condition.right, Both)
    assert isinstance(stage.condition.right.left, TextCondition)
    assert isinstance(stage.condition.right.right, NumberCondition)
    assert stage.condition.right.right.value == 0.003


def test_line_filter_is_told_from_a_comparison() -> None:
    found = parse('{a="b"} | x != "y" != "z"')
    assert isinstance(found, LogQuery)
    assert [type(stage) for stage in found.stages] == [LabelFilter, LineFilter]


def test_range_and_offset_are_milliseconds() -> None:
    found = parse('rate({a="b"}[1m30s] offset -1500ms)')
    assert isinstance(found, RangeAggregation)
    assert (found.range_ms, found.offset_ms) == (90_000, -1500)


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("", "line 1, col 1", 'write a selector such as {service_name="shop"}'),
        ("{", "line 1, col 2", 'unexpected end of query, expected "," or "}"|a label'),
        ("{a=b}", "line 1, col 4", 'write it as "text" or `text`'),
        ('{a="b"', "line 1, col 7", 'expected "," or "}"'),
        ("{a='b'}", "line 1, col 4", 'write strings as "text" or `text`'),
        ('{a>"b"}', "line 1, col 3", "numbers are compared behind the selector"),
        ('{a="b"} "x"', "line 1, col 9", 'lines are filtered by |= "text"'),
        ('{a="b"} |= x', "line 1, col 12", 'write it as "text"'),
        ('{a="b"}\n|~ "("', "line 2, col 4", "regular expressions are RE2's"),
        ('{a="b"} |~ "(?=x)"', "line 1, col 12", "RE2"),
        ('{a="b"} |~ "\\d"', "line 1, col 13", "in a regular expression use backticks: `\\d`"),
        ('{a="b"} | duration > "1"', "line 1, col 22", "write | duration > 1"),
        ('{a="b"} | level = error', "line 1, col 19", "texts are quoted"),
        ('{a="b"} | where x > 1', "line 1, col 11", "write the condition by itself"),
        ('{a="b"} | unwrap x', "line 1, col 9", "write avg_over_time({…} | unwrap x [5m])"),
        ('{a="b"}[5m]', "line 1, col 8", "a range belongs to a function"),
        ('rate({a="b"})', "line 1, col 13", "write the time to look back over, as [5m]"),
        ('rate({a="b"}[$__interval])', "line 1, col 14", "Grafana fills $__interval"),
        ('rate({a="b"}[5])', "line 1, col 14", "write it as 5m"),
        ('sum_over_time({a="b"}[5m])', "line 1, col 1", "write sum_over_time({…} | unwrap duration [5m])"),
        ('count_over_time({a="b"} | unwrap x [5m])', "line 1, col 25", "leave | unwrap out"),
        ('count_over_time({a="b"}[5m]) by (x)', "line 1, col 1", "write sum by (x) (count_over_time(…))"),
        ('increase({a="b"}[5m])', "line 1, col 1", "write count_over_time({…}[5m])"),
        ("shop", "line 1, col 1", 'select lines with {service_name="shop"}'),
        ('sum({a="b"})', "line 1, col 5", "count it first, as count_over_time({…}[5m])"),
        ('topk(0, rate({a="b"}[5m]))', "line 1, col 6", "a whole number from 1"),
        ('rate(sum(rate({a="b"}[5m])))', "line 1, col 6", "subqueries are not supported"),
        ('{a="b"} | pattern "<_> <_>"', "line 1, col 19", "it captures nothing"),
        ('{a="b"} | pattern "<a><b>"', "line 1, col 19", "two captures touch"),
        ('{a="b"} | regexp "x(.)"', "line 1, col 18", "no named group"),
        ('{a="b"} | json x="a..b"', "line 1, col 18", "cannot read the path"),
        ('{a="b"} | line_format "{{.x"', "line 1, col 23", "unclosed action"),
        ('{a="b"} | line_format "{{nope .x}}"', "line 1, col 23", 'function "nope" not defined'),
        ('{a="b"} | x = ip("nowhere")', "line 1, col 18", "cannot read 'nowhere' as addresses"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_a_way_out(text: str, place: str, said: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(text)
    message = str(caught.value)
    assert message.startswith(f"parse error at {place}: "), message
    assert any(one in message for one in said.split("|") if one) or said in message, message


def test_second_query_of_the_requirements_is_answered_with_a_hint() -> None:
    with pytest.raises(ParseError, match=r"write \| json \| duration > 1\.0$"):
        parse('{service="enterprise-auth-backend"} |> "duration" > 1.0')
    assert isinstance(parse('{service="enterprise-auth-backend"} | json | duration > 1.0'), LogQuery)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "1" + ")" * 10_000,
        "+".join(["1"] * 5_000),
        "1" + "^1" * 5_000,
        '{a="b"} | ' + "(" * 5_000 + 'x="y"' + ")" * 5_000,
        '{a="b"} | ' + " or ".join(['x="y"'] * 5_000),
        "sum(" * 500 + 'rate({a="b"}[5m])' + ")" * 500,
        '{a="b"}' + ' |= "x"' * 5_000,
        '{a="b"} |= "' + "x" * 100_000 + '"',
        '{a="b"} |~ "' + "(a|b)" * 2_000 + '"',
        "count_over_time(" + "(" * 5_000,
    ],
)
def test_monstrous_queries_are_refused_at_once(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)
