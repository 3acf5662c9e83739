"""What is PromQL, what is not, and how that is said."""

from __future__ import annotations

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.query.promql import Matcher, ParseError, parse, parse_selector
from tocsin.query.promql.expressions import Binary, Unary, VectorSelector, selectors
from tocsin.query.promql.printer import pretty

VALID = """
up
up{job="api",instance!~"a|b",}
{__name__=~"a.+",x!=""}
{"request.count","service.name"="shop"}
sum by (job, "service.name") (rate(http_requests_total{code=~"5.."}[5m]))
sum(rate(x[5m])) without (a)
a / on (b) group_left (c, d) e
a * ignoring (b) group_right () c
a and on () b unless ignoring (x) c or d
-a ^ 2
- - -1
1 + 2 * 3 ^ 4 ^ 5 atan2 6
a > bool 1
a == b
histogram_quantile(0.9, sum by (le) (rate(x_bucket[1h30m])))
x[5m:1m] @ start() offset -5m
x offset 5m @ 1609746000.123
x[5m] @ end()
max_over_time(rate(x[5m])[1h:])
topk(5, x)
count_values("v", x)
label_replace(x, "a", "$1", "b", "(.*)")
time()
'single \\' quoted'
`raw \\ string`
"tab \\t newline \\n \\u00e9 \\xc3\\xa9"
Inf
0x1F
1_000_000
1e-7
5m
sum{a="b"}
start + end
offset
{a="b"} # a comment
"""

# Of Prometheus 3 and beyond what promql-parser knows.
NEWER = """
x[step() + 5m]
x[-5m + 10m:(2 * 30s)]
x offset (1m + step())
x offset min(step(), 5m)
x[5m] anchored
x smoothed
a + fill (0) b
a + on (x) group_left () fill_left (-1) fill_right (2) b
h </ 5
h >/ -1
017
"""


@pytest.mark.parametrize("text", VALID.strip().splitlines())
def test_what_is_printed_parses_back(text: str) -> None:
    expression = parse(text)
    printed = str(expression)
    assert str(parse(printed)) == printed
    assert str(parse(pretty(expression))) == printed


@pytest.mark.parametrize("text", NEWER.strip().splitlines())
def test_newer_syntax_is_printed_and_parses_back(text: str) -> None:
    printed = str(parse(text))
    assert str(parse(printed)) == printed


# promql-parser reads escapes in raw strings, bytes as characters, and no underscores in numbers.
MISREAD = ("`", "\\x", "_000")


@pytest.mark.parametrize("text", [text for text in VALID.strip().splitlines() if not any(m in text for m in MISREAD)])
def test_another_parser_reads_what_we_print_as_the_same(text: str) -> None:
    ours = promql_parser.parse(str(parse(text)))
    assert ours.prettify() == promql_parser.parse(text).prettify()


REFUSED = {
    "": "unknown position: parse error: no expression found in input",
    "1 +": "1:4: parse error: unexpected end of input",
    "a b": '1:3: parse error: unexpected identifier "b"',
    "*1": "1:1: parse error: unexpected <op:*>",
    "(1": "1:3: parse error: unclosed left parenthesis",
    "1)": "1:2: parse error: unexpected right parenthesis ')'",
    "a[5m": "1:5: parse error: unexpected end of input in duration expression",
    "a{b=}": '1:5: parse error: unexpected "}" in label matching, expected string',
    "a{b}": '1:4: parse error: unexpected "}" in label matching, expected label matching operator',
    'a{b="c" d="e"}': '1:9: parse error: unexpected identifier "d" in label matching, expected "," or "}"',
    "a{": "1:3: parse error: unexpected end of input inside braces",
    'a{b="c}': "1:5: parse error: unterminated quoted string",
    "{}": "1:1: parse error: vector selector must contain at least one non-empty matcher",
    '{a=~".*"}': "1:1: parse error: vector selector must contain at least one non-empty matcher",
    'a{__name__="b"}': '1:1: parse error: metric name must not be set twice: "a" or "b"',
    "rate(a)": '1:6: parse error: expected type range vector in call to function "rate", got instant vector',
    "abs(a[5m])": '1:5: parse error: expected type instant vector in call to function "abs", got range vector',
    "rate(a[5m], 1)": '1:1: parse error: expected 1 argument(s) in call to "rate", got 2',
    "round(a, 1, 2)": '1:1: parse error: expected at most 2 argument(s) in call to "round", got 3',
    "label_join(a)": '1:1: parse error: expected at least 3 argument(s) in call to "label_join", got 1',
    "sum(1)": "1:5: parse error: expected type instant vector in aggregation expression, got scalar",
    "topk(a, a)": "1:6: parse error: expected type scalar in aggregation parameter, got instant vector",
    "sum()": "1:1: parse error: no arguments for aggregate expression provided",
    "sum(a, b)": "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 1, got 2",
    "sum by a (b)": '1:8: parse error: unexpected identifier "a" in grouping opts, expected "("',
    "nope(a)": '1:1: parse error: unknown function with name "nope"',
    "abs(a,)": "1:6: parse error: trailing commas not allowed in function call args",
    "1 == 1": "1:3: parse error: comparisons between scalars must use BOOL modifier",
    "a + bool b": "1:3: parse error: bool modifier can only be used on comparison operators",
    "a and 1": '1:1: parse error: set operator "and" not allowed in binary scalar expression',
    "a and on(x) group_left b": '1:1: parse error: no grouping allowed for "and" operation',
    "a + on(x) group_left(x) b": '1:3: parse error: label "x" must not occur in ON and GROUP clause at once',
    "a + on(x) 1": "1:1: parse error: vector matching only allowed between instant vectors",
    '"a" + 1': "1:1: parse error: binary expression must contain only scalar and instant vector types",
    '-"a"': "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, "
    'got "string"',
    "a offset 5m offset 5m": "1:1: parse error: offset may not be set multiple times",
    "a @ 1 @ 2": "1:1: parse error: @ <timestamp> may not be set multiple times",
    "a @ Inf": "1:1: parse error: timestamp out of bounds for @ modifier: +Inf",
    "1 offset 5m": "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector "
    "selector or a subquery",
    "a offset 5m[5m]": "1:12: parse error: no offset modifiers allowed before range",
    "(a)[5m]": "1:4: parse error: ranges only allowed for vector selectors",
    "a[0s]": "1:3: parse error: duration must be greater than 0",
    "a[1h / 0]": "1:6: parse error: division by zero",
    "a[5m5h]": '1:3: parse error: not a valid duration string: "5m5h"',
    "1[5m:1m]": "1:1: parse error: subquery is only allowed on instant vector, got scalar instead",
    "1.2.3": '1:1: parse error: bad number or duration syntax: "1.2.3"',
    "a =~ b": "1:3: parse error: unexpected character after '=': '~'",
    "a ! b": "1:3: parse error: unexpected character after '!': ' '",
    "a $ b": "1:3: parse error: unexpected character: '$'",
    '"\\q"': "1:1: parse error: unknown escape sequence U+0071 'q'",
    '"\\xzz"': "1:1: parse error: illegal character U+007A 'z' in escape sequence",
    "a\n  + 'é' )": "2:10: parse error: unexpected right parenthesis ')'",
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=list(REFUSED))
def test_what_is_no_promql_is_refused_in_prometheus_words(text: str, message: str) -> None:
    with pytest.raises(ParseError) as refused:
        parse(text)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "text", [*"({[-+", "-(", "a+", "sum(", "a[1m:1s] or ", "abs(-", "1^", "a[(", "a{b='", "@", "\\"]
)
def test_ten_kilobytes_of_anything_are_refused_at_once(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text * (10_000 // len(text)))


def test_a_long_chain_of_operators_is_as_deep_as_parentheses() -> None:
    with pytest.raises(ParseError, match="nests deeper than 100 levels"):
        parse("+".join(["a"] * 200))
    assert isinstance(parse("+".join(["a"] * 90)), Binary)


def test_bytes_that_are_no_utf_8_are_refused_in_strings() -> None:
    with pytest.raises(ParseError, match="invalid UTF-8 rune"):
        parse('up{a="' + b"\xff".decode("utf-8", "surrogateescape") + '"}')


@given(st.text(alphabet="abm15_ .,:+-*/^=!~<>()[]{}@\"'`\\\n#sumbyoffset\u00e9\ud800", max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        printed = str(parse(text))
    except ParseError:
        return
    assert str(parse(printed)) == printed


# U+FFFD stands for broken UTF-8, here as in Prometheus.
READABLE = st.characters(exclude_characters="\ufffd", exclude_categories=("Cs",))


@given(st.text(READABLE, max_size=40))
def test_a_label_value_never_becomes_syntax(value: str) -> None:
    selector = VectorSelector("up", (Matcher("job", "=", value), Matcher("__name__", "=", "up")))
    back = parse(str(selector))
    assert isinstance(back, VectorSelector)
    assert set(back.matchers) == set(selector.matchers)


def test_precedence_is_that_of_prometheus() -> None:
    minus = parse("-a ^ 2")
    assert isinstance(minus, Unary)
    assert isinstance(minus.expression, Binary)
    chain = parse("a or b and c > d + e * f")
    assert isinstance(chain, Binary)
    assert chain.operator == "or"
    power = parse("1 ^ 2 ^ 3")
    assert isinstance(power, Binary)
    assert str(power.right) == "2 ^ 3"


def test_every_selector_of_a_query_is_found() -> None:
    found = selectors(parse("sum(rate(a[5m])) / on (x) max_over_time(b[1h:]) or c"))
    assert [selector.name for selector in found] == ["a", "b", "c"]


def test_matchers_of_a_series_selector_are_parsed() -> None:
    assert [str(matcher) for matcher in parse_selector('up{job=~"a|b"}')] == ['job=~"a|b"', '__name__="up"']
    with pytest.raises(ParseError):
        parse_selector("rate(up[5m])")


def test_a_long_query_is_laid_out_over_lines() -> None:
    query = 'sum by (job, instance) (rate(http_requests_total{environment="production", status=~"5.."}[5m])) / 2'
    query += ' + max(rate(http_requests_total{environment="production"}[5m]))'
    lines = pretty(parse(query)).splitlines()
    assert lines == [
        '  sum by (job, instance) (rate(http_requests_total{environment="production",status=~"5.."}[5m])) / 2',
        "+",
        '  max(rate(http_requests_total{environment="production"}[5m]))',
    ]


def test_arguments_stand_on_lines_of_their_own_where_they_are_long() -> None:
    name = "a" * 100
    assert pretty(parse(f"sum by (x) (clamp({name}, 1, 2))")).splitlines() == [
        "sum by (x) (",
        "  clamp(",
        f"    {name},",
        "    1,",
        "    2",
        "  )",
        ")",
    ]


def test_query_that_was_read_before_is_not_read_again_unless_it_is_long() -> None:
    short, long = "sum(up) by (job)", f"up + {'u' * 2000}"
    assert parse(short) is parse(short)
    assert parse(long) == parse(long)
    assert parse(long) is not parse(long)
