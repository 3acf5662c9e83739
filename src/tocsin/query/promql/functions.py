"""Every function of PromQL by its name."""

from __future__ import annotations

from tocsin.query.promql import (
    classic_histograms,
    info,
    label_functions,
    native_functions,
    range_functions,
    time_functions,
    vector_functions,
)
from tocsin.query.promql.calls import Function

FUNCTIONS: dict[str, Function] = {
    **classic_histograms.FUNCTIONS,
    **info.FUNCTIONS,
    **label_functions.FUNCTIONS,
    **native_functions.FUNCTIONS,
    **range_functions.FUNCTIONS,
    **time_functions.FUNCTIONS,
    **vector_functions.FUNCTIONS,
}
