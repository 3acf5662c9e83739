"""Thresholds under the name of whoever set them: one profile is in force, never a mixture.

`fossawork-002` has the figures of that product's alert manager, `template-003` those of the Prometheus template,
`runbook-004` those of the runbook, and `slo` is what fits a service with an objective. A figure that a profile does
not speak of is that of `runbook-004`, and where this has none, of `slo`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Figures = Mapping[str, float]

_RUNBOOK = {
    "api_p95_target_seconds": 2, "api_p95_warn_seconds": 3, "api_p95_seconds": 10,
    "api_p99_target_seconds": 5, "api_p99_warn_seconds": 7, "api_p99_seconds": 15,
    "api_avg_target_seconds": 1, "api_avg_warn_seconds": 2, "api_avg_seconds": 5,
    "error_ratio_warn": 0.01, "error_ratio": 0.05, "error_ratio_emergency": 0.10,
    "client_error_ratio": 0.02, "server_error_ratio": 0.005,
    "automation_success_warn": 0.95, "automation_success": 0.90,
    "sync_success_warn": 0.98, "sync_success": 0.95, "sign_in_success_warn": 0.99, "sign_in_success": 0.95,
    "cpu_warn": 0.70, "cpu": 0.85, "memory_warn": 0.80, "memory": 0.90, "disk_warn": 0.80, "disk": 0.90,
    "pool_warn": 0.80, "pool": 0.90, "query_warn_seconds": 0.1, "query_seconds": 0.5,
    "performance_drop_low": 0.10, "performance_drop_medium": 0.20, "performance_drop_high": 0.50,
    "automation_failure_warn": 0.05, "automation_failure": 0.10,
}  # fmt: skip

_SLO = {
    "slow_seconds": 1.0, "very_slow_seconds": 3.0, "security_events_per_hour": 100, "auth_failures_per_hour": 50,
    "rate_limited_per_hour": 100, "restart_seconds": 300, "cache_hit_ratio": 0.70, "min_requests": 100,
    "min_failures": 10, "pressure": 0.40, "throttled_ratio": 0.25, "objective": 0.999, "fast_burn": 14.4,
    "slow_burn": 6.0, "quota_warn": 0.8, "quota": 1.0, "neighbour_share": 0.3, "cooldown_minutes": 15,
    "brute_force_per_minute": 20, "cpu_warn": 0.80, "cpu": 0.90, "error_ratio_warn": 0.05, "error_ratio": 0.10,
}  # fmt: skip

_FOSSAWORK = {
    "cpu_warn": 0.90, "cpu": 0.90, "memory_warn": 0.90, "memory": 0.90, "error_ratio": 0.10, "pool": 0.90,
    "security_events_per_hour": 100, "auth_failures_per_hour": 50, "rate_limited_per_hour": 100,
    "slow_seconds": 1.0, "disk": 0.90, "restart_seconds": 300,
}  # fmt: skip

_TEMPLATE = {
    "very_slow_seconds": 3.0, "slow_seconds": 1.0, "error_ratio_warn": 0.05, "query_seconds": 0.5,
    "cache_hit_ratio": 0.70,
}  # fmt: skip

PROFILES: Mapping[str, Figures] = {
    "fossawork-002": {**_SLO, **_RUNBOOK, **_FOSSAWORK},
    "template-003": {**_SLO, **_RUNBOOK, **_TEMPLATE},
    "runbook-004": {**_SLO, **_RUNBOOK},
    "slo": {**_RUNBOOK, **_SLO},
}
"""Every figure by its name; ratios are 0-1, times are seconds."""

PROFILE_NAMES = tuple(PROFILES)
DEFAULT_PROFILE = "slo"

_PLACE = re.compile(r"\$\{(\w+)\}")


class UnknownFigure(KeyError):
    """A text names a figure that no profile has."""


def with_figures(text: str, profile: str) -> str:
    """The text with `${cpu_warn}` and the like replaced by the profile's figures."""
    figures = PROFILES[profile]

    def figure(match: re.Match[str]) -> str:
        if match[1] not in figures:
            raise UnknownFigure(f"cannot fill '{match[0]}': no profile has this figure; known are {', '.join(figures)}")
        return f"{figures[match[1]]:g}"

    return _PLACE.sub(figure, text)
