"""This machine's desktop, through notify-send (the freedesktop notification service on D-Bus) or macOS' osascript.

Source: specifications.freedesktop.org/notification-spec (urgency low, normal, critical; critical stays until closed).
A server in a data centre has no desktop: there `tocsin notify desktop --follow` on people's machines is the agent.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.model.severity import Severity
from tocsin.notify.contract import DeliveryError, Message, Pace, missing
from tocsin.notify.http import told
from tocsin.notify.render import cut

PACE = Pace(0.5, burst=5)
SHOW_SECONDS = 10


@dataclass(frozen=True)
class Settings:
    """Whether the server shows notifications on the desktop of its own machine."""

    enabled: bool = setting(False, help="Show notifications on the desktop of the machine the server runs on.")

    @property
    def lacks(self) -> str:
        return missing(enabled=self.enabled)


def send(settings: Settings, message: Message) -> Receipt:
    is_urgent = message.text.is_firing and message.text.severity <= Severity.P1
    return message.sent(reason=f"shown by {show(message.text.title, message.text.short, is_urgent=is_urgent)}")


def show(title: str, body: str, *, is_urgent: bool) -> str:
    """Shows it and gives the program that did. Raises DeliveryError."""
    command = _command(cut(title, 200), cut(body, 1000), is_urgent)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SHOW_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeliveryError(f"{command[0]} does not answer: {error}", retryable=True) from error
    if done.returncode != 0:
        raise DeliveryError(f"{command[0]} failed: {told(done.stderr) or done.returncode}", retryable=False)
    return command[0]


def _command(title: str, body: str, is_urgent: bool) -> list[str]:
    if shutil.which("notify-send"):
        urgency = "critical" if is_urgent else "normal"
        return ["notify-send", "--app-name=Tocsin", f"--urgency={urgency}", "--", title, body]
    if shutil.which("osascript"):
        script = "on run {words, heading}\ndisplay notification words with title heading\nend run"
        return ["osascript", "-e", script, body, title]
    raise DeliveryError(
        "this machine has no notify-send; install libnotify-bin, or let people run tocsin notify desktop --follow",
        retryable=False,
    )
