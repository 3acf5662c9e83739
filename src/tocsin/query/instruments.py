"""Which of the SDK's instruments are on in each service, and why the others are not."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.tenant import Scope
from tocsin.query.series_samples import series_samples
from tocsin.storage.telemetry.store import TelemetryStore

STATE = "tocsin_sdk_instrument"
ORDINARY = ("left out in the settings", "is not installed", "the app has not imported", "records it already")
"""Reasons to be off that are nobody's fault; the others name a library that is too old or not as it is known."""


@dataclass(frozen=True, slots=True)
class ServiceInstruments:
    """`off` are instruments with their reasons; `broken` those of them that should be on."""

    service: str
    on: list[str]
    off: dict[str, str]

    @property
    def broken(self) -> dict[str, str]:
        return {name: why for name, why in self.off.items() if not any(word in why for word in ORDINARY)}


def instruments(store: TelemetryStore, scope: Scope) -> list[ServiceInstruments]:
    """The services that told of their instruments within a quarter of an hour, alphabetical."""
    sql = (
        "SELECT service, labels['instrument'] AS instrument, argMax(labels['state'], p.time) AS state, "
        f"argMax(labels['reason'], p.time) AS reason FROM ({series_samples(STATE)}) AS p "
        "WHERE p.time > now() - INTERVAL 15 MINUTE GROUP BY service, instrument ORDER BY service, instrument"
    )
    found: dict[str, ServiceInstruments] = {}
    for service, name, state, reason in store.read(scope, sql).rows:
        of_service = found.setdefault(service, ServiceInstruments(service, [], {}))
        if state == "on":
            of_service.on.append(name)
        else:
            of_service.off[name] = reason
    return list(found.values())
