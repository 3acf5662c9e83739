"""What delivery counts about itself."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

notifications = Counter(
    "tocsin_notifications_total", "Attempts to tell a receiver by how they ended.", ["channel", "outcome"]
)
duration = Histogram(
    "tocsin_notification_duration_seconds",
    "Time an attempt took.",
    ["channel"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
waiting = Gauge("tocsin_notifications_waiting", "Messages to channels that are not told yet.")
path_seconds = Gauge("tocsin_paging_path_seconds", "Time the last synthetic alert took from its start to its receipt.")
path_checks = Counter("tocsin_paging_path_checks_total", "Synthetic alerts by whether they arrived.", ["outcome"])
templates_failed = Counter(
    "tocsin_notify_templates_failed_total", "Templates of receivers that could not be filled.", ["channel"]
)
