"""Query text in, an expression out: log queries and what is counted of them.

A Pratt parser of bounded depth. Errors name the place and, where a reader can be helped, what to write instead.
"""

from __future__ import annotations

from dataclasses import replace

from tocsin.query.logql.errors import ParseError
from tocsin.query.logql.expressions import (
    Binary,
    Expression,
    Grouping,
    LabelReplace,
    LogQuery,
    Metric,
    Number,
    RangeAggregation,
    Unwrap,
    Vector,
    VectorAggregation,
    is_scalar,
)
from tocsin.query.logql.lexer import END, Token
from tocsin.query.logql.literals import duration_ms
from tocsin.query.logql.parse_selector import matcher, selector
from tocsin.query.logql.parse_stages import LINE_OPERATORS, pipeline
from tocsin.query.logql.reader import MAX_DEPTH, TokenReader
from tocsin.query.promql.expressions import COMPARISONS, SET_OPERATORS, Matching
from tocsin.query.promql.literals import parse_number

BINDING = {
    "or": 1,
    **dict.fromkeys(("and", "unless"), 2),
    **dict.fromkeys(("==", "!=", "<=", "<", ">=", ">"), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "%"), 5),
    "^": 6,
}
OF_LINES = frozenset(("rate", "count_over_time", "bytes_rate", "bytes_over_time", "absent_over_time"))
OF_VALUES = frozenset(
    (
        "rate", "rate_counter", "sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "stddev_over_time",
        "stdvar_over_time", "quantile_over_time", "first_over_time", "last_over_time", "absent_over_time",
    )
)  # fmt: skip
GROUPED = frozenset(
    (
        "avg_over_time", "min_over_time", "max_over_time", "stddev_over_time", "stdvar_over_time",
        "quantile_over_time", "first_over_time", "last_over_time",
    )
)  # fmt: skip
AGGREGATORS = frozenset(("sum", "avg", "min", "max", "count", "stddev", "stdvar", "topk", "bottomk"))
SORTERS = frozenset(("sort", "sort_desc"))
RANGES = OF_LINES | OF_VALUES
_SELECT = 'write a selector such as {service_name="shop"}'
_ELSEWHERE = {
    "increase": "write count_over_time({…}[5m])",
    "irate": "write rate({…}[5m])",
    "histogram_quantile": "write quantile_over_time(0.95, {…} | json | unwrap duration [5m])",
    "quantile": "write quantile_over_time(0.95, {…} | json | unwrap duration [5m])",
    "approx_topk": "write topk(…)",
    "label_join": "write | label_format name=`{{.one}}-{{.other}}` in the pipeline",
    "variants": "ask each query by itself",
    "absent": "write absent_over_time({…}[5m])",
}


def parse(text: str, max_depth: int = MAX_DEPTH) -> Expression:
    """The expression of a query. Raises ParseError."""
    reader = TokenReader(text, max_depth)
    if reader.token.kind == END:
        raise reader.error("the query is empty", reader.token.position, _SELECT)
    found = _Parser(reader).expression(0)
    if reader.token.kind != END:
        raise _leftover(reader)
    return found


def parse_log_query(text: str, max_depth: int = MAX_DEPTH) -> LogQuery:
    """A selector with its pipeline, as `tail`, `series` and `index/stats` take it. Raises ParseError."""
    found = parse(text, max_depth)
    if not isinstance(found, LogQuery):
        raise ParseError("this is a metric query", found.position, text, _SELECT)
    return found


def _leftover(reader: TokenReader) -> ParseError:
    if reader.token.kind == "[":
        hint = "a range belongs to a function, as count_over_time({…}[5m])"
        return reader.unexpected("", hint)
    if reader.token.kind in ("string", "identifier"):
        return reader.unexpected("", 'lines are filtered by |= "text", fields by | name = "text"')
    return reader.unexpected()


class _Parser:
    def __init__(self, reader: TokenReader) -> None:
        self.reader = reader

    def expression(self, least: int) -> Expression:
        """An expression whose operators bind at least as strongly as `least`."""
        with self.reader.deeper():
            left = self._prefix()
            while (power := BINDING.get(self.reader.token.text, 0)) > 0 and power >= least:
                left = self._binary(left, power)
            return left

    def _prefix(self) -> Expression:
        token = self.reader.token
        match token.kind:
            case "{":
                return self._log_query()
            case "(":
                return self._parenthesized()
            case "number":
                self.reader.take()
                return Number(parse_number(token.text), token.position)
            case "+" | "-":
                return self._signed()
            case "identifier":
                return self._named(self.reader.take())
        hint = ""
        if token.kind in (*LINE_OPERATORS, "|"):
            hint = f"a pipeline begins with a selector; {_SELECT}"
        raise self.reader.unexpected("a selector or a function", hint)

    def _log_query(self) -> LogQuery:
        start = self.reader.token.position
        matchers = selector(self.reader)
        stages, unwrap = pipeline(self.reader)
        if unwrap is not None:
            self._refuse_unwrap(unwrap)
        return LogQuery(matchers, stages, start.to(self.reader.last.position))

    def _refuse_unwrap(self, unwrap: Unwrap) -> None:
        hint = f"write avg_over_time({{…}} | unwrap {unwrap.label} [5m])"
        raise self.reader.error("unwrap makes samples, which a log query has none of", unwrap.position, hint)

    def _parenthesized(self) -> Expression:
        self.reader.take()
        inner = self.expression(0)
        self.reader.expect(")")
        return inner

    def _signed(self) -> Expression:
        sign = self.reader.take()
        token = self.reader.expect("number", "write 0 - (…) to negate a query")
        value = parse_number(token.text)
        return Number(-value if sign.kind == "-" else value, sign.position.to(token.position))

    def _binary(self, left: Expression, power: int) -> Expression:
        operator = self.reader.take()
        returns_bool = self.reader.accept_word("bool") is not None
        matching: Matching | None = self._matching(is_set=operator.text in SET_OPERATORS)
        right = self.expression(power if operator.text == "^" else power + 1)
        one, other = self._metric(left), self._metric(right)
        if operator.text in SET_OPERATORS and (is_scalar(one) or is_scalar(other)):
            raise self.reader.error(f'"{operator.text}" is for two vectors, not for numbers', operator.position)
        if returns_bool and operator.text not in COMPARISONS:
            raise self.reader.error("bool is for comparisons", operator.position)
        if operator.text in COMPARISONS and is_scalar(one) and is_scalar(other):
            returns_bool = True  # two numbers compared are 0 or 1, whatever is said
        if is_scalar(one) or is_scalar(other):
            matching = None
        made = Binary(operator.text, one, other, returns_bool, matching, one.position.to(other.position))
        return self.reader.measured(made, left, right)

    def _metric(self, node: Expression) -> Metric:
        if isinstance(node, LogQuery):
            hint = "count it first, as count_over_time({…}[5m])"
            raise self.reader.error("operators are for numbers, and a log query gives lines", node.position, hint)
        return node

    def _matching(self, is_set: bool) -> Matching:
        found = Matching("many-to-many" if is_set else "one-to-one")
        word = self.reader.token.text
        if self.reader.accept_word("on") or self.reader.accept_word("ignoring"):
            found = replace(found, labels=self._labels(), on=word == "on")
        side = self.reader.token.text
        if self.reader.accept_word("group_left") or self.reader.accept_word("group_right"):
            if is_set:
                raise self.reader.error(f"{side} is not for and, or and unless", self.reader.last.position)
            include = self._labels() if self.reader.token.kind == "(" else ()
            found = replace(
                found, include=include, cardinality="many-to-one" if side == "group_left" else "one-to-many"
            )
        return found

    def _labels(self) -> tuple[str, ...]:
        self.reader.expect("(")
        found: list[str] = []
        while self.reader.token.kind != ")":
            found.append(self.reader.expect("identifier").text)
            if not self.reader.accept(","):
                break
        self.reader.expect(")")
        return tuple(dict.fromkeys(found))

    def _grouping(self) -> Grouping | None:
        word = self.reader.token.text
        if self.reader.accept_word("by") or self.reader.accept_word("without"):
            return Grouping(self._labels(), word == "without")
        return None

    def _named(self, name: Token) -> Expression:
        if name.text in RANGES:
            return self._range_aggregation(name)
        if name.text in AGGREGATORS or name.text in SORTERS:
            return self._vector_aggregation(name)
        if name.text == "vector":
            self.reader.expect("(")
            number = self._number()
            return Vector(number, name.position.to(self.reader.expect(")").position))
        if name.text == "label_replace":
            return self._label_replace(name)
        hint = _ELSEWHERE.get(name.text, "")
        if not hint and self.reader.token.kind != "(":
            hint = f'select lines with {{service_name="{name.text}"}}'
        raise self.reader.error(f"unknown function {name.text}", name.position, hint)

    def _number(self) -> float:
        sign = self.reader.accept("-") or self.reader.accept("+")
        value = parse_number(self.reader.expect("number").text)
        return -value if sign is not None and sign.kind == "-" else value

    def _vector_aggregation(self, name: Token) -> VectorAggregation:
        grouping = None if name.text in SORTERS else self._grouping()
        self.reader.expect("(")
        parameter = None
        if name.text in ("topk", "bottomk"):
            parameter = self._number()
            if parameter < 1 or parameter != int(parameter):
                raise self.reader.error(f"{name.text} takes a whole number from 1", self.reader.last.position)
            self.reader.expect(",", f"write {name.text}(10, …)")
        inner = self._metric(self.expression(0))
        if is_scalar(inner):
            raise self.reader.error(f"{name.text} is for vectors, not for numbers", inner.position)
        self.reader.expect(")")
        if grouping is None and name.text not in SORTERS:
            grouping = self._grouping()
        position = name.position.to(self.reader.last.position)
        made = VectorAggregation(name.text, inner, grouping or Grouping(()), parameter, position)
        return self.reader.measured(made, inner)

    def _label_replace(self, name: Token) -> LabelReplace:
        self.reader.expect("(")
        inner = self._metric(self.expression(0))
        texts: list[str] = []
        for _ in range(4):
            self.reader.expect(",", 'write label_replace(…, "new", "$1", "old", "(.*)")')
            texts.append(self.reader.string())
        target, replacement, source, pattern = texts
        matcher(self.reader, source, "=~", pattern)  # that it is a pattern
        position = name.position.to(self.reader.expect(")").position)
        return self.reader.measured(LabelReplace(inner, target, replacement, source, pattern, position), inner)

    def _range_aggregation(self, name: Token) -> RangeAggregation:
        grouping = self._grouping()
        self.reader.expect("(")
        parameter = None
        if name.text == "quantile_over_time":
            parameter = self._number()
            self.reader.expect(",", "write quantile_over_time(0.95, …)")
        ranged = self._ranged_lines()
        self.reader.expect(")")
        if grouping is None:
            grouping = self._grouping()
        position = name.position.to(self.reader.last.position)
        made = replace(ranged, operator=name.text, grouping=grouping, parameter=parameter, position=position)
        self._check(made)
        return made

    def _check(self, made: RangeAggregation) -> None:
        name = made.operator
        if made.unwrap is None and name not in OF_LINES:
            hint = f"write {name}({{…}} | unwrap duration [5m])"
            raise self.reader.error(f"{name} is for values, and the lines have none", made.position, hint)
        if made.unwrap is not None and name not in OF_VALUES:
            raise self.reader.error(f"{name} counts lines", made.unwrap.position, "leave | unwrap out")
        if made.grouping is not None and (made.unwrap is None or name not in GROUPED):
            by = f"{'without' if made.grouping.without else 'by'} ({', '.join(made.grouping.labels)})"
            raise self.reader.error(f"{name} takes no grouping", made.position, f"write sum {by} ({name}(…))")

    def _ranged_lines(self) -> RangeAggregation:
        """A selector, its pipeline and its range, in any of the orders that LogQL has."""
        with self.reader.deeper():
            start = self.reader.token.position
            if self.reader.accept("("):
                inner = self._ranged_lines_open()
                self.reader.expect(")")
            else:
                inner = self._selected()
            inner = self._with_range(inner)
            inner = self._with_stages(inner)
            if not inner.range_ms:
                inner = self._with_range(inner)
            if not inner.range_ms:
                raise self.reader.unexpected("a range", "write the time to look back over, as [5m]")
            query = replace(inner.query, position=start.to(self.reader.last.position))
            return replace(inner, query=query)

    def _ranged_lines_open(self) -> RangeAggregation:
        """Within parentheses the range may still come behind them."""
        with self.reader.deeper():
            if self.reader.accept("("):
                inner = self._ranged_lines_open()
                self.reader.expect(")")
            else:
                inner = self._selected()
            inner = self._with_stages(self._with_range(inner))
            return inner if inner.range_ms else self._with_range(inner)

    def _selected(self) -> RangeAggregation:
        start = self.reader.token.position
        if self.reader.token.kind != "{":
            hint = 'lines are selected by {service_name="shop"}'
            if self.reader.token.kind == "identifier":
                hint = "subqueries are not supported; a function here takes lines, as rate({…}[5m])"
            raise self.reader.unexpected("a selector", hint)
        matchers = selector(self.reader)
        return RangeAggregation("", LogQuery(matchers, (), start), 0)

    def _with_stages(self, inner: RangeAggregation) -> RangeAggregation:
        if self.reader.token.kind not in LINE_OPERATORS and self.reader.token.kind != "|":
            return inner
        at = self.reader.token.position
        stages, unwrap = pipeline(self.reader)
        if inner.unwrap is not None:
            raise self.reader.error("nothing comes behind unwrap but label filters", at)
        return replace(inner, query=replace(inner.query, stages=inner.query.stages + stages), unwrap=unwrap)

    def _with_range(self, inner: RangeAggregation) -> RangeAggregation:
        if self.reader.token.kind != "[" or inner.range_ms:
            return inner
        self.reader.take()
        range_ms = self._duration()
        self.reader.expect("]", "a range is one duration, as [5m]")
        if range_ms <= 0:
            raise self.reader.error("the range is not longer than 0", self.reader.last.position)
        offset_ms = 0
        if self.reader.accept_word("offset"):
            sign = self.reader.accept("-")
            offset_ms = -self._duration() if sign else self._duration()
        if self.reader.token.kind == "@":
            raise self.reader.unexpected()
        return replace(inner, range_ms=range_ms, offset_ms=offset_ms)

    def _duration(self) -> int:
        token = self.reader.token
        if token.kind == "identifier" and token.text.startswith("__"):
            raise self.reader.unexpected("a duration", f"Grafana fills ${token.text} in; here write 5m")
        self.reader.expect("duration", "write it as 5m or 1h30m")
        try:
            return duration_ms(token.text)
        except ValueError as error:
            raise self.reader.error(str(error), token.position) from error
