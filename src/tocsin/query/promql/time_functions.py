"""Parts of the date, in UTC, of a vector of unix seconds or of the time of evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tocsin.query.promql.calls import Function, FunctionCall
from tocsin.query.promql.matrix import Matrix, nameless, single
from tocsin.query.promql.source import Values

_DAY = 86_400
# Beyond these, the proleptic calendar of datetime64 overflows; Go's does not, but nobody asks for such years.
_FURTHEST_SECONDS = 2**53


def _seconds(values: Values) -> NDArray[Any]:
    readable = np.where(np.isfinite(values), np.clip(np.trunc(values), -_FURTHEST_SECONDS, _FURTHEST_SECONDS), 0)
    return np.asarray(readable, dtype=np.int64)


def _days(seconds: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.floor_divide(seconds, _DAY).astype("datetime64[D]"))


def _minute(seconds: NDArray[Any]) -> NDArray[Any]:
    return seconds // 60 % 60


def _hour(seconds: NDArray[Any]) -> NDArray[Any]:
    return seconds // 3600 % 24


def _day_of_week(seconds: NDArray[Any]) -> NDArray[Any]:
    return (seconds // _DAY + 4) % 7  # 1970 began on a Thursday


def _day_of_month(seconds: NDArray[Any]) -> NDArray[Any]:
    days = _days(seconds)
    return np.asarray((days - days.astype("datetime64[M]")).astype(np.int64) + 1)


def _day_of_year(seconds: NDArray[Any]) -> NDArray[Any]:
    days = _days(seconds)
    return np.asarray((days - days.astype("datetime64[Y]")).astype(np.int64) + 1)


def _days_in_month(seconds: NDArray[Any]) -> NDArray[Any]:
    month = _days(seconds).astype("datetime64[M]")
    return np.asarray(((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.int64))


def _month(seconds: NDArray[Any]) -> NDArray[Any]:
    return _days(seconds).astype("datetime64[M]").astype(np.int64) % 12 + 1


def _year(seconds: NDArray[Any]) -> NDArray[Any]:
    return _days(seconds).astype("datetime64[Y]").astype(np.int64) + 1970


def _of_date(part: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[FunctionCall], Matrix]:
    def function(call: FunctionCall) -> Matrix:
        if len(call) == 0:
            return single(part(call.grid.times // 1000).astype(np.float64))
        value = call.vector(0)
        made = value.with_floats(part(_seconds(value.values)).astype(np.float64))
        return nameless(made, delayed=call.query.delayed)

    return function


FUNCTIONS: dict[str, Function] = {
    "day_of_month": _of_date(_day_of_month),
    "day_of_week": _of_date(_day_of_week),
    "day_of_year": _of_date(_day_of_year),
    "days_in_month": _of_date(_days_in_month),
    "hour": _of_date(_hour),
    "minute": _of_date(_minute),
    "month": _of_date(_month),
    "year": _of_date(_year),
}
