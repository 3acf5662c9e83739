"""Everything else: the services that Apprise knows, by its addresses (optional: tocsin[apprise]).

Source: github.com/caronc/apprise/wiki. It tells only whether all of them took the message, so every failure counts as
one that may pass.
"""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.model.severity import Severity
from tocsin.notify.contract import DeliveryError, Message, Origin, Pace, missing

ALERTMANAGER = Origin(("apprise_configs",))
PACE = Pace(1.0, burst=5)
# These write to this machine instead of telling somebody.
REFUSED = frozenset({"syslog", "dbus", "kde", "qt", "glib", "gnome", "macosx", "windows", "file", "form", "forms"})


@dataclass(frozen=True)
class Settings:
    """Addresses in Apprise's form."""

    urls: tuple[str, ...] = setting((), help="Addresses such as signal://… or matrixs://…", secret=True)

    def __post_init__(self) -> None:
        for url in self.urls:
            scheme = url.partition("://")[0].lower()
            if scheme in REFUSED or "://" not in url:
                raise ValueError(f"urls has an address of the kind {scheme[:20]!r}; name one that reaches somebody")

    @property
    def lacks(self) -> str:
        return missing(urls=self.urls)


def send(settings: Settings, message: Message) -> Receipt:
    try:
        import apprise
    except ModuleNotFoundError as error:
        raise DeliveryError("Apprise is not installed; install tocsin[apprise]", retryable=False) from error
    there = apprise.Apprise()
    refused = [place for place, url in enumerate(settings.urls, start=1) if not there.add(url)]
    if refused:
        raise DeliveryError(f"Apprise knows no such address: number {refused[0]} of urls", retryable=False)
    text = message.text
    kind = "failure" if text.severity <= Severity.P2 else "warning" if text.severity == Severity.P3 else "info"
    if not there.notify(title=text.title, body=text.plain, notify_type=kind if text.is_firing else "success"):
        raise DeliveryError("not every address took it; the server's log has Apprise's words", retryable=True)
    return message.sent(reason=f"{len(settings.urls)} addresses")
