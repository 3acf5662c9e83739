"""Settings of alerting."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tocsin.model.settings import setting
from tocsin.query.promql.literals import parse_duration_ms


@dataclass(frozen=True)
class AlertSettings:
    """From an alert to who is told: the routing file, storm control, cooldowns and history."""

    config_file: str = setting(
        "", help="An alertmanager.yml with routes, receivers, inhibition and time intervals; '' uses a small default."
    )
    external_url: str = setting("", help="The same as notify.external_url; one of the two suffices.")
    history_hours: int = setting(
        168, unit="hours", help="How long the history of alerts and their notifications is kept."
    )
    most_alerts: int = setting(
        20_000, help="Alerts kept at a time; more are refused, so that a faulty sender cannot fill the memory."
    )
    cooldowns: tuple[str, ...] = setting(
        (),
        help="Cooldowns by alert, such as HighCpu=15m: who was told is not told again within that time when it comes "
        "back, unless it is worse. A rule's own annotation or label `cooldown` wins.",
    )
    storm_same_count: int = setting(
        5,
        help="Notifications of one alert to one receiver within storm_same_seconds; more wait for a digest; 0: none.",
    )
    storm_same_seconds: float = setting(300.0, unit="seconds", help="The time storm_same_count counts in.")
    storm_total_count: int = setting(
        20, help="Notifications of all alerts to one receiver within storm_total_seconds; 0: no limit. P0 always goes."
    )
    storm_total_seconds: float = setting(600.0, unit="seconds", help="The time storm_total_count counts in.")
    storm_digest_seconds: float = setting(
        60.0, unit="seconds", help="Time between two digests of what a storm holds back."
    )

    webhook_secret: str = setting(
        "",
        help="Secret by which webhooks to /api/v1/webhooks/alerts are signed (Standard Webhooks); without one they "
        "need an ingest key or a token.",
        secret=True,
    )
    webhook_firing_hours: int = setting(
        24,
        unit="hours",
        help="How long an alert from a webhook fires unless it is told again or over; longer than its sender repeats.",
    )
    lease_seconds: float = setting(
        10.0,
        unit="seconds",
        help="Of servers that share a PostgreSQL one evaluates and tells; when it dies, another does after this time.",
    )

    def __post_init__(self) -> None:
        self.cooldown_seconds()

    @property
    def webhook_firing(self) -> timedelta:
        return timedelta(hours=self.webhook_firing_hours)

    def cooldown_seconds(self) -> dict[str, float]:
        """By the alert's name."""
        found = {}
        for text in self.cooldowns:
            name, _, duration = text.partition("=")
            try:
                found[name.strip()] = parse_duration_ms(duration.strip()) / 1000
            except ValueError as error:
                raise ValueError(f"cooldowns has {text!r}: {error}; write it as HighCpu=15m") from error
        return found
