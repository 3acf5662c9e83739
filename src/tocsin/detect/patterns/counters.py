"""What the mining of patterns says of itself."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

shapes = Counter("tocsin_log_shapes_total", "Shapes of log lines whose pattern was looked for.")
patterns = Gauge("tocsin_log_patterns", "Patterns of log lines in memory.")
told = Counter("tocsin_log_pattern_events_total", "Events about patterns.", ("event",))
not_told = Counter("tocsin_log_pattern_events_not_told_total", "Events about patterns that were too many at once.")
lag_seconds = Gauge(
    "tocsin_log_patterns_lag_seconds", "Age of the newest line whose pattern is known, when it was looked for."
)
