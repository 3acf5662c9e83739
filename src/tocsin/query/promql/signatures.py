"""The functions of PromQL 3: their arguments, their result, and how many more arguments they take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Type = Literal["scalar", "vector", "matrix", "string", "none"]

TYPE_NAMES: dict[Type, str] = {
    "scalar": "scalar",
    "vector": "instant vector",
    "matrix": "range vector",
    "string": "string",
    "none": "none",
}


@dataclass(frozen=True, slots=True)
class Signature:
    """variadic: how many of the last argument may be missing or more: 0 none, n up to n, -1 any number."""

    name: str
    arguments: tuple[Type, ...]
    returns: Type = "vector"
    variadic: int = 0


_VECTOR = [
    "abs",
    "absent",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "deg",
    "exp",
    "floor",
    "histogram_avg",
    "histogram_count",
    "histogram_stddev",
    "histogram_stdvar",
    "histogram_sum",
    "ln",
    "log10",
    "log2",
    "rad",
    "sgn",
    "sin",
    "sinh",
    "sort",
    "sort_desc",
    "sqrt",
    "tan",
    "tanh",
    "timestamp",
]
_MATRIX = [
    "absent_over_time",
    "avg_over_time",
    "changes",
    "count_over_time",
    "delta",
    "deriv",
    "first_over_time",
    "idelta",
    "increase",
    "irate",
    "last_over_time",
    "mad_over_time",
    "max_over_time",
    "min_over_time",
    "present_over_time",
    "rate",
    "resets",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
]
_DATE = ["day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"]
_SCALAR = ["end", "pi", "range", "start", "step", "time"]

FUNCTIONS: dict[str, Signature] = {
    **{name: Signature(name, ("vector",)) for name in _VECTOR},
    **{name: Signature(name, ("matrix",)) for name in _MATRIX},
    **{name: Signature(name, ("vector",), variadic=1) for name in _DATE},
    **{name: Signature(name, (), "scalar") for name in _SCALAR},
    **{
        signature.name: signature
        for signature in (
            Signature("clamp", ("vector", "scalar", "scalar")),
            Signature("clamp_max", ("vector", "scalar")),
            Signature("clamp_min", ("vector", "scalar")),
            Signature("double_exponential_smoothing", ("matrix", "scalar", "scalar")),
            Signature("histogram_fraction", ("scalar", "scalar", "vector")),
            Signature("histogram_quantile", ("scalar", "vector")),
            Signature("histogram_quantiles", ("vector", "string", "scalar", "scalar"), variadic=9),
            Signature("holt_winters", ("matrix", "scalar", "scalar")),
            Signature("info", ("vector", "vector"), variadic=1),
            Signature("label_join", ("vector", "string", "string", "string"), variadic=-1),
            Signature("label_replace", ("vector", "string", "string", "string", "string")),
            Signature("max_of", ("scalar", "scalar"), "scalar"),
            Signature("min_of", ("scalar", "scalar"), "scalar"),
            Signature("predict_linear", ("matrix", "scalar")),
            Signature("quantile_over_time", ("scalar", "matrix")),
            Signature("round", ("vector", "scalar"), variadic=1),
            Signature("scalar", ("vector",), "scalar"),
            Signature("sort_by_label", ("vector", "string"), variadic=-1),
            Signature("sort_by_label_desc", ("vector", "string"), variadic=-1),
            Signature("vector", ("scalar",)),
        )
    },
}
