"""Why the control store refuses; the message is fit to show to the person who asked."""

from __future__ import annotations

from tocsin.model.expected import ExpectedError


class ControlError(ExpectedError):
    """A request the control store refuses."""


class StoreUnusable(ControlError):
    """The store cannot be opened; stops the start."""


class InvalidInput(ControlError):
    """A value is not acceptable."""


class Taken(ControlError):
    """Something with that name is there already."""


class NotFound(ControlError):
    """Nothing has that id."""


class LastAdmin(ControlError):
    """The change would leave nobody who can administer."""


class LinkUnusable(ControlError):
    """A one-time link that is unknown, used or expired."""


class WrongCredentials(ControlError):
    """E-mail or password do not match an enabled user; deliberately says no more."""

    def __init__(self) -> None:
        super().__init__(
            "cannot sign in: e-mail or password is wrong; try again or ask an administrator for a new link"
        )


class Throttled(ControlError):
    """Too many failed attempts to `act`; `retry_after_seconds` says when to try again."""

    def __init__(self, retry_after_seconds: int, act: str = "sign in") -> None:
        wait = f"{retry_after_seconds} s" if retry_after_seconds < 120 else f"{retry_after_seconds // 60} min"
        super().__init__(f"cannot {act}: too many failed attempts; try again in {wait}")
        self.retry_after_seconds = retry_after_seconds
