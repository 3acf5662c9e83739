"""How much one LogQL query may take."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.settings import setting


@dataclass(frozen=True, slots=True)
class LogQuerySettings:
    """Bounds of one question about logs; a query beyond one is refused with an error that names it."""

    max_lines: int = setting(5_000, help="Lines that one query may answer. Raise it for exports through the API.")
    max_scanned_lines: int = setting(
        500_000,
        help="Lines that one query may take through the stages the engine does not know (json, unwrap and their kin). "
        "Raise it for reports over long ranges, at some 10 µs a line.",
    )
    max_series: int = setting(2_000, help="Series that one query may make. Lower it where labels hold ids.")
    max_points: int = setting(11_000, help="Points per series of a range query. What no screen can show is refused.")
    max_days: float = setting(
        400.0,
        unit="days",
        help="The longest time range of a query. Lower it to keep people from asking for everything.",
    )
    timeout_seconds: float = setting(60.0, help="How long a query may run. Raise it for reports over long ranges.")
    max_tails: int = setting(20, help="Live tails at a time. Each asks for what is new once a second.")
