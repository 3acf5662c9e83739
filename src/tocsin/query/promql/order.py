"""Quantiles and order with Prometheus' rule for NaN: smaller than every number."""

from __future__ import annotations

import numpy as np

from tocsin.query.promql.matrix import Mask
from tocsin.query.promql.source import Values


def quantiles(values: Values, there: Mask, asked: Values) -> Values:
    """For each row, the asked quantile of its values that are there; NaN where none is.

    values and there: (n, most), asked: (n,). Below 0 it is -Inf, above 1 +Inf.
    """
    is_number = there & ~np.isnan(values)
    ordered = np.sort(np.where(is_number, values, np.nan), axis=1)  # NaN last
    count = there.sum(axis=1)
    nans = count - is_number.sum(axis=1)
    q = np.where((asked >= 0) & (asked <= 1), asked, 0.0)
    rank = q * (count - 1)
    lower = np.maximum(0, np.floor(rank)).astype(np.int64)
    upper = np.minimum(count - 1, lower + 1)
    weight = rank - np.floor(rank)
    result = _at(ordered, lower, nans) * (1 - weight) + _at(ordered, upper, nans) * weight
    result = np.where(asked < 0, -np.inf, np.where(asked > 1, np.inf, result))
    return np.where((count == 0) | np.isnan(asked), np.nan, result)


def _at(ordered: Values, place: np.ndarray, nans: np.ndarray) -> Values:
    index = np.clip(place - nans, 0, max(ordered.shape[1] - 1, 0))
    return np.where(place < nans, np.nan, ordered[np.arange(len(ordered)), index])
