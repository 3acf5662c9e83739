"""Which rollup answers a question with the fewest rows."""

from __future__ import annotations

import time
from enum import StrEnum

from tocsin.model.tenant import PLATFORM, Scope
from tocsin.query.filters import Filter
from tocsin.storage.telemetry.store import TelemetryStore

FINEST_KEPT_SECONDS = 2 * 86_400 - 3600  # how far back the 10-second rollup reaches, with a margin


class Split(StrEnum):
    """The dimensions a question asks for beyond environment and service."""

    NONE = "none"  # totals and series
    ROUTE = "route"  # method, route or the exact status code
    TENANT = "tenant"
    BOTH = "both"


def rollup(scope: Scope, filter: Filter, split: Split, step_seconds: int, now: float | None = None) -> str:
    """The table, named r, that answers steps of this size over this window with the fewest rows.

    `scope` is the narrowed one: whoever may see some tenants only needs rows that name them.
    """
    asks_route = split in (Split.ROUTE, Split.BOTH) or filter.route is not None or filter.method is not None
    asks_tenant = split in (Split.TENANT, Split.BOTH) or not scope.is_platform
    reaches_back = (now or time.time()) - filter.window.start_ns / 1e9
    if step_seconds % 60 and reaches_back <= FINEST_KEPT_SECONDS:
        return "red_10s AS r"
    size = "1m" if step_seconds % 3600 else "1h"
    left_out = "" if asks_route and asks_tenant else "_tenants" if asks_tenant else "_routes"
    return f"red_{size}{left_out} AS r"


def totals_rollup(scope: Scope, filter: Filter, split: Split) -> str:
    """The table, named r, for one figure over the whole window: as fine as the window's edges need."""
    return rollup(scope, filter, split, _totals_step(filter))


def watched_seconds(store: TelemetryStore, filter: Filter) -> float:
    """How much of the window lies after the first telemetry ever: what rates are averaged over.

    A product watched for five minutes has its real rate on an hour's page, not a twelfth of it.
    """
    table = rollup(PLATFORM, filter, Split.NONE, _totals_step(filter))
    first = store.read(PLATFORM, f"SELECT toUnixTimestamp(min(r.time)) FROM {table}").rows[0][0]
    start = max(filter.window.start_ns / 1e9, first) if first else filter.window.start_ns / 1e9
    return max(1.0, filter.window.end_ns / 1e9 - start)


def _totals_step(filter: Filter) -> int:
    if filter.window.seconds <= 2 * 3600:
        return 10
    return 60 if filter.window.seconds <= 3 * 86_400 else 3600
