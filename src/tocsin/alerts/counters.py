"""What the pipeline counts about itself."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

received = Counter("tocsin_alerts_received_total", "Alerts kept, repetitions included.")
refused = Counter("tocsin_alerts_refused_total", "Alerts that could not be kept; the sender was told why.")
firing = Gauge("tocsin_alerts_firing", "Alerts that fire now.")
notifications = Counter(
    "tocsin_alerts_notifications_total", "Notifications by what became of them.", ["receiver", "outcome"]
)
config_is_good = Gauge(
    "tocsin_alerts_config_last_reload_successful", "Whether the alertmanager.yml could be used when it was read last."
)
config_loaded_at = Gauge(
    "tocsin_alerts_config_last_reload_success_timestamp_seconds", "When the configuration in force was read."
)
config_hash = Gauge("tocsin_alerts_config_hash", "Stands for the text of the configuration in force.")
leads = Gauge("tocsin_alerts_is_leader", "Whether this server evaluates and tells, of those on one control store.")
