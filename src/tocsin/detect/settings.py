"""How rules are found and evaluated."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.settings import setting
from tocsin.model.threshold_profiles import DEFAULT_PROFILE, PROFILE_NAMES


@dataclass(frozen=True)
class RuleSettings:
    """Rules: where they are, how often they are evaluated, and by which thresholds the shipped ones judge."""

    folder: str = setting(
        "", help="Folder of Prometheus rule files (*.yml, *.yaml), read again when they change; '' for none."
    )
    is_packs_on: bool = setting(True, help="Evaluate the rules that come with Tocsin; turn off to use only your own.")
    profile: str = setting(
        DEFAULT_PROFILE,
        help=f"Thresholds of the shipped rules: {', '.join(PROFILE_NAMES)}; choose the one your team has agreed on.",
    )
    evaluation_interval_seconds: float = setting(
        15.0, unit="seconds", help="Time between two evaluations of a group that names no interval."
    )
    query_offset_seconds: float = setting(
        0.0,
        unit="seconds",
        help="How far back rules look; raise it when senders deliver late and rates dip at the end.",
    )
    resend_seconds: float = setting(
        60.0, unit="seconds", help="Time after which an alert that still fires is told again."
    )
    alertmanagers: tuple[str, ...] = setting(
        (),
        help="Alertmanagers, such as http://alertmanager:9093, that are told what rules say, beside Tocsin's own "
        "routes and exactly as Prometheus tells them.",
    )
    alertmanager_token: str = setting("", help="Bearer token for these, where they ask for one.", secret=True)
    alertmanager_username: str = setting("", help="User for these, where they ask for a name and a password.")
    alertmanager_password: str = setting("", help="Its password.", secret=True)
    alertmanager_ca_file: str = setting("", help="Certificates to trust for these, instead of the system's.")
    alertmanager_cert_file: str = setting("", help="Certificate to show them, where they ask for one.")
    alertmanager_key_file: str = setting("", help="Its private key, where it is in a file of its own.")
    concurrency: int = setting(
        2, help="Groups evaluated at a time; raise it when evaluations are missed and cores idle."
    )
    demote_after: int = setting(
        5,
        help="False alarms within the kept history after which a rule is told one severity lower, never a P0; 0: none.",
    )
    demote_false_ratio: float = setting(
        0.5, help="The part of a rule's firings that has to be false alarms for that, 0 to 1."
    )

    def __post_init__(self) -> None:
        if self.profile not in PROFILE_NAMES:
            raise ValueError(f"profile is '{self.profile}': there is no such; write one of {', '.join(PROFILE_NAMES)}")
        if self.evaluation_interval_seconds < 1 or self.concurrency < 1:
            raise ValueError("evaluation_interval_seconds and concurrency must be at least 1; raise them")
        for url in self.alertmanagers:
            if not url.startswith(("http://", "https://")):
                raise ValueError(
                    f"alertmanagers names '{url}': that is no address; write http://{url} or https://{url}"
                )
        if self.alertmanager_token and self.alertmanager_username:
            raise ValueError("alertmanager_token and alertmanager_username are both set; set one of them")
        if self.demote_after < 0 or not 0 < self.demote_false_ratio <= 1:
            raise ValueError("demote_after must not be below 0, and demote_false_ratio lies between 0 and 1")
