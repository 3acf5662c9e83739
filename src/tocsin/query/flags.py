"""Feature flags: what each gave to whom, and how requests fared with one of its variants against another.

Counted by the SDK, exact per tenant. Variants run at the same time, so a busy hour or a deploy hits both; but tenants
with one may be other tenants than those with the other: only what a single tenant had of both compares like with like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tocsin.model.tenant import Scope
from tocsin.query.annotations import FLIP, told
from tocsin.query.filters import Filter
from tocsin.query.release_compare import Change, Comparison, Lots, Side, changes, worst_first
from tocsin.query.significance import Lot, Verdict
from tocsin.storage.telemetry.engine import Value
from tocsin.storage.telemetry.store import TelemetryStore

EVALUATIONS = "feature_flag_evaluations_total"
DURATION, ERRORS = "feature_flag_request_duration_seconds", "feature_flag_request_errors_total"
MOST_FLAGS, MOST_ROWS = 200, 6000
OFF = ("off", "false", "control", "default", "disabled", "0", "")
"""Variants that others are compared with, the first that there is."""


@dataclass(frozen=True, slots=True)
class FlagVariant:
    """What a flag gave. tenants: how many got it, nobody's not counted."""

    variant: str
    evaluations: int
    tenants: int


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag in a service, its variants from the most frequent on. flips: how often it changed, last_flip_ns 0 for
    never."""

    service: str
    name: str
    variants: Sequence[FlagVariant]
    flips: int
    last_flip_ns: int

    @property
    def evaluations(self) -> int:
        return sum(one.evaluations for one in self.variants)

    @property
    def usual_pair(self) -> tuple[str, str] | None:
        """(before, after) of a comparison nobody chose: off, or the most frequent, against the most frequent other."""
        names = [one.variant for one in self.variants]
        if len(names) < 2:
            return None
        before = next((off for off in OFF if off in names), names[0])
        return before, next(name for name in names if name != before)


def flags(store: TelemetryStore, scope: Scope, filter: Filter, name: str | None = None) -> list[Flag]:
    """The flags that were asked in the window, those with several variants first."""
    conditions, parameters = _asked(filter, {"flag": name})
    sql = (
        f"SELECT i.service AS service, i.labels['flag'] AS flag, i.labels['variant'] AS variant, "
        f"sum(d.value) AS number, uniqExactIf(d.tenant, d.tenant != '') AS tenants FROM deltas AS d "
        f"INNER JOIN ({_series(EVALUATIONS)}) AS i "
        f"ON d.series = i.id WHERE d.name = '{EVALUATIONS}' AND {conditions} GROUP BY service, flag, variant "
        f"ORDER BY number DESC LIMIT {MOST_ROWS}"
    )
    found: dict[tuple[str, str], list[FlagVariant]] = {}
    for service, flag, variant, number, tenants in store.read(filter.narrowed(scope), sql, **parameters).rows:
        found.setdefault((service, flag), []).append(FlagVariant(variant, round(number), tenants))
    flips: dict[tuple[str, str], list[int]] = {}
    for event in told(store, scope, filter, [FLIP], 500):
        key = event.service, str(event.attributes.get("feature_flag.key", ""))
        flips.setdefault(key, []).append(event.time_ns)
    made = [
        Flag(*key, variants, len(flips.get(key, ())), max(flips.get(key, ()), default=0))
        for key, variants in found.items()
    ]
    return sorted(made, key=lambda flag: (-min(2, len(flag.variants)), -flag.evaluations))[:MOST_FLAGS]


def compare_variants(
    store: TelemetryStore, scope: Scope, filter: Filter, flag: str, before: str, after: str
) -> Comparison:
    """Requests that got `after` against those that got `before`, by endpoint, and by endpoint and tenant."""
    mine, theirs = (_lots(store, scope, filter, flag, variant) for variant in (before, after))
    side = Side(None, filter.window)
    endpoints = sorted(changes(_together(mine), _together(theirs)), key=worst_first)
    tenants = sorted(_of_tenants_with_both(mine, theirs), key=worst_first)
    return Comparison(side, side, endpoints, tenants)


def _of_tenants_with_both(before: Lots, after: Lots) -> list[Change]:
    both = {key for key in before.keys() & after.keys() if key[2]}
    return changes({key: before[key] for key in both}, {key: after[key] for key in both})


def _together(lots: Lots) -> Lots:
    """All tenants of each endpoint as one."""
    found: Lots = {}
    for (method, route, _), lot in lots.items():
        key = method, route, ""
        seen = found.get(key, Lot(0, 0, {}))
        buckets = dict(seen.buckets)
        for bucket, number in lot.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + number
        found[key] = Lot(seen.requests + lot.requests, seen.errors + lot.errors, buckets)
    return found


def _lots(store: TelemetryStore, scope: Scope, filter: Filter, flag: str, variant: str) -> Lots:
    conditions, parameters = _asked(filter, {"flag": flag, "variant": variant})
    of = "i.labels['method'] AS method, i.labels['route'] AS route, d.tenant AS of_tenant"
    # An exponential bucket of OTLP ends where ours of that index begins.
    durations = (
        f"SELECT {of}, sumMap(d.positive_indexes, d.positive_counts) AS buckets FROM native_histograms AS d "
        f"INNER JOIN ({_series(DURATION)}) AS i ON d.series = i.id WHERE d.name = '{DURATION}' AND d.is_delta "
        f"AND d.schema = 6 AND {conditions} GROUP BY method, route, of_tenant LIMIT {MOST_ROWS}"
    )
    failures = (
        f"SELECT {of}, sum(d.value) FROM deltas AS d INNER JOIN ({_series(ERRORS)}) AS i ON d.series = i.id "
        f"WHERE d.name = '{ERRORS}' AND {conditions} GROUP BY method, route, of_tenant"
    )
    narrowed = filter.narrowed(scope)
    failed = {tuple(key): round(number) for *key, number in store.read(narrowed, failures, **parameters).rows}
    found: Lots = {}
    for method, route, tenant, (indexes, counts) in store.read(narrowed, durations, **parameters).rows:
        buckets = {int(index) - 1: round(count) for index, count in zip(indexes, counts, strict=True)}
        found[method, route, tenant] = Lot(sum(buckets.values()), failed.get((method, route, tenant), 0), buckets)
    return found


def _series(name: str) -> str:
    return (
        f"SELECT id, any(labels) AS labels, any(service) AS service, any(environment) AS environment FROM series "
        f"WHERE name = '{name}' GROUP BY id"
    )


def _asked(filter: Filter, labels: dict[str, str | None]) -> tuple[str, dict[str, Value]]:
    """Conditions over d (what was counted) and i (its series), and their parameters."""
    plain = replace(filter, environment=None, service=None, tenant=None, method=None, route=None)
    conditions, parameters = plain.conditions("d.time"), plain.parameters()
    for name, value in (("environment", filter.environment), ("service", filter.service)):
        if value is not None:
            conditions += f" AND i.{name} = {{{name}:String}}"
            parameters[name] = value
    for name, value in labels.items():
        if value is not None:
            conditions += f" AND i.labels['{name}'] = {{{name}:String}}"
            parameters[name] = value
    return conditions, parameters


def verdict_of(comparison: Comparison) -> Verdict:
    """Of a flag: what single tenants had of both variants, else of everybody, who may be others."""
    known = [change for change in comparison.tenants if change.verdict is not Verdict.UNKNOWN]
    return replace(comparison, endpoints=[]).verdict if known else comparison.verdict
