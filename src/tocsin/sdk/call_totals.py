"""The calls of a process since it began, as a Prometheus scraper reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tocsin.sdk.call_digest import CallRows
from tocsin.sdk.calls import Kind
from tocsin.sdk.exposition import Family, Labels, add_up, labels_of
from tocsin.sdk.totals import Histogram

# Label combinations of one histogram; more (tables made by the hour, hosts by the customer) are counted as `other`.
_HISTOGRAMS = 500
_OTHER = "other"


class CallTotals:
    """Adds up what the call table hands out each second. bounded: the tenant as it is shown."""

    def __init__(self, bounded: Callable[[str], str]) -> None:
        self._bounded = bounded
        self._histograms: dict[Kind, dict[Labels, Histogram]] = {}
        self._counters: dict[str, Family] = {}

    def add(self, rows: CallRows) -> None:
        for (operation, tenant, error), row in rows.items():
            kind, tenant = operation.kind, self._bounded(tenant)
            of_kind = self._histograms.setdefault(kind, {})
            labels = labels_of(operation.labels)
            if labels not in of_kind and len(of_kind) >= _HISTOGRAMS:
                labels = tuple((name, _OTHER) for name, _ in labels)
            of_kind.setdefault(labels, Histogram(kind.bounds)).add(row.buckets, row.seconds)
            shown = {**dict(labels), "tenant": tenant, "error_type": error}
            self._counter(kind.counter, kind.counter_help).add(row.count, **shown)
            self._counter(kind.seconds, kind.seconds_help).add(row.seconds, tenant=tenant)

    def families(self, more: CallRows) -> list[Family]:
        """All that was added, and these rows, which will be."""
        if more:
            later = CallTotals(self._bounded)
            later.add(more)
            return add_up([*self.families({}), *later.families({})])
        return [*self._histogram_families(), *self._counters.values()]

    def _histogram_families(self) -> Iterable[Family]:
        made: dict[str, Family] = {}
        for kind, of_kind in self._histograms.items():
            family = made.setdefault(kind.family, Family(kind.family, "histogram", kind.help))
            for labels, histogram in of_kind.items():
                histogram.write(family, labels)
        return made.values()

    def _counter(self, name: str, words: str) -> Family:
        return self._counters.setdefault(name, Family(name, "counter", words))


def lookup_families(lookups: Iterable[tuple[tuple[str, str, str], int]], bounded: Callable[[str], str]) -> list[Family]:
    """Cache hits and misses by cache and tenant."""
    made: dict[str, Family] = {}
    for (name, cache, tenant), number in lookups:
        word = "found" if "hits" in name else "did not find"
        family = made.setdefault(name, Family(name, "counter", f"Look-ups that {word} their key, by kind of key."))
        family.add(number, cache=cache, tenant=bounded(tenant))
    return list(made.values())
