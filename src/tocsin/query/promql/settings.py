"""How the engine answers, and how much one query may take."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.settings import setting


@dataclass(frozen=True, slots=True)
class QuerySettings:
    """Bounds hold for one query; a query beyond one is refused with an error that names it."""

    lookback_seconds: float = setting(
        300.0, help="How old a sample may be to still count as a series' present value. Raise it for slower scrapes."
    )
    subquery_step_seconds: float = setting(
        60.0, help="The step of a subquery that names none. Set it to the interval of your recording rules."
    )
    timeout_seconds: float = setting(60.0, help="How long a query may run. Raise it for reports over long ranges.")
    max_samples: int = setting(
        15_000_000,
        help="Samples that a query may read or make at a time: 1,000 series of 60 hours at 15 s; 32 bytes each.",
    )
    max_series: int = setting(
        100_000, help="Series that one selector may match. Lower it where labels hold ids, to be told early."
    )
    max_points: int = setting(11_000, help="Points per series of a range query. What no screen can show is refused.")
    max_depth: int = setting(100, help="Levels that an expression may nest. Only generated queries go deeper.")
    delayed_name_removal: bool = setting(
        False, help="Remove metric names at the end of a query, not at each step; Prometheus' feature of that name."
    )
