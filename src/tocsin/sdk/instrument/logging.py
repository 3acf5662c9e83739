"""Python's `logging`: every record of the app is sent; its handlers and formats stay as they are."""

from __future__ import annotations

from tocsin.sdk.instrument import _contract
from tocsin.sdk.logs import hook
from tocsin.sdk.settings import Settings


class Instrument(_contract.Instrument):
    """Log records with the trace, tenant and user they belong to; requests that log nothing pay nothing."""

    modules = ("logging",)

    def switch_on(self, settings: Settings) -> None:
        hook.sends = True
        hook.install()

    def switch_off(self) -> None:
        hook.sends = False
        hook.remove_if_idle()
