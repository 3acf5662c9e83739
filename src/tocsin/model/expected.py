"""Errors that a person can mend."""

from __future__ import annotations


class ExpectedError(Exception):
    """The message says what cannot be done and what to do; a command prints it, and no traceback, and ends."""
