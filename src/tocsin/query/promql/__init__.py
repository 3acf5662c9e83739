"""PromQL 3 as Prometheus evaluates it.

In: the text of a query, a `Source` of series, and the times asked about. Out: a `Result` (vector, matrix, scalar or
string) with its warnings, infos and statistics; or a `PromQLError` in Prometheus' words. Who calls it: the query API,
recording and alerting rules, and panels. It knows nothing of tenants: whoever builds the source does.

    >>> source = MemorySource()
    >>> source.add({"__name__": "up", "job": "api"}, [(0, 1.0)])
    >>> instant(source, "sum(up)", 0).series[0].points[0].value
    1.0
"""

from tocsin.query.promql.engine import Point, Result, ResultSeries, format_float, instant, range_query
from tocsin.query.promql.errors import (
    EvaluationError,
    LimitError,
    ParseError,
    PromQLError,
    QueryCanceledError,
    QueryTimeoutError,
)
from tocsin.query.promql.parser import parse, parse_selector
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.promql.source import Grid, Hints, Matcher, MemorySource, Series, Source

__all__ = [
    "EvaluationError",
    "Grid",
    "Hints",
    "LimitError",
    "Matcher",
    "MemorySource",
    "ParseError",
    "Point",
    "PromQLError",
    "QueryCanceledError",
    "QuerySettings",
    "QueryTimeoutError",
    "Result",
    "ResultSeries",
    "Series",
    "Source",
    "format_float",
    "instant",
    "parse",
    "parse_selector",
    "range_query",
]
