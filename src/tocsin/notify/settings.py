"""Settings of delivery ([notify]): which channels tell what no route says otherwise, and how hard they try."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.settings import setting


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
        help="Where people reach this server, such as https://tocsin.acme.example; links in messages lead there.",
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
