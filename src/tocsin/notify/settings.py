"""Settings of delivery ([notify]): which channels tell what no route says otherwise, and how hard they try."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.settings import setting
from tocsin.model.time_interval import IntervalError, TimeInterval, time_interval_of


@dataclass(frozen=True)
class NotifySettings:
    """Our own receiver, retries, and the proof that the path works. Each channel has a section of its own beside."""

    channels: tuple[str, ...] = setting(
        (),
        help="Channels of the receiver `default`, each configured in its section [notify_<channel>]; empty: every one "
        "that is configured, and the log.",
        env=("ALERT_CHANNELS",),
    )
    email_enabled: bool | None = setting(
        None, help="Tell `default` by e-mail, too, or not; unset, `channels` decides.", env=("ALERT_EMAIL_ENABLED",)
    )
    pushover_enabled: bool | None = setting(
        None,
        help="Tell `default` by Pushover, or not; unset, `channels` decides.",
        env=("ALERT_PUSHOVER_ENABLED",),
    )
    fallback: str = setting(
        "", help="Receiver that is told what another could not be told; name one that shares no provider with it."
    )
    external_url: str = setting(
        "",
        help="Where people reach this server, such as https://tocsin.acme.example; links in messages, and the sources "
        "of alerts, lead there.",
    )
    timeout_seconds: float = setting(10.0, unit="seconds", help="Time a provider may take for one request.")
    give_up_seconds: float = setting(
        600.0, unit="seconds", help="How long a message is tried before it has failed and the fallback is told."
    )
    urgent_give_up_seconds: float = setting(
        60.0, unit="seconds", help="The same for P0 and P1, where another channel soon is better than this one late."
    )
    first_wait_seconds: float = setting(1.0, unit="seconds", help="Wait after the first failure; each one doubles it.")
    longest_wait_seconds: float = setting(60.0, unit="seconds", help="The longest wait between two tries.")
    test_interval_seconds: float = setting(
        0.0,
        unit="seconds",
        help="Time between two synthetic alerts that prove the path from alert to receipt, such as 5m; 0 turns it off.",
    )
    test_receiver: str = setting("log", help="Receiver of the synthetic alerts; one that wakes nobody.")
    test_seconds: float = setting(
        30.0, unit="seconds", help="Time a synthetic alert may take until its receipt before the path counts as broken."
    )
    dead_mans_url: str = setting(
        "",
        help="An address outside (healthchecks.io and kin) that is asked after each synthetic alert that arrived; it "
        "raises the alarm when Tocsin itself is gone.",
        secret=True,
    )
    summary_receiver: str = setting(
        "",
        help="Receiver that is told regularly how the product is, such as email; one that people read, not one that "
        "opens incidents. Empty: nobody is.",
    )
    summary_at: str = setting("08:00", help="Time of the day at which the health summary goes out.")
    summary_days: tuple[str, ...] = setting(
        (),
        help="Its weekdays as time intervals name them, such as monday:friday; each summary then covers the time since "
        "the one before. Empty: every day.",
    )
    summary_location: str = setting(
        "UTC", help="Time zone of both, such as Europe/Berlin; Local for that of the server's machine."
    )

    def __post_init__(self) -> None:
        try:
            _ = self.summary_times
        except IntervalError as error:
            name = {"times": "summary_at", "weekdays": "summary_days"}.get(str(error.path[0]), "summary_location")
            raise ValueError(f"cannot use notify.{name} {getattr(self, name)!r}: {error}") from error

    @property
    def summary_times(self) -> TimeInterval:
        """From summary_at to the end of each day that has a summary."""
        times = [{"start_time": self.summary_at, "end_time": "24:00"}]
        days = list(self.summary_days)
        return time_interval_of({"times": times, "weekdays": days, "location": self.summary_location})
