"""The request metrics of a process since it began, under the names that Prometheus users expect."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from tocsin.sdk.exposition import Family, Labels, add_up, labels_of
from tocsin.sdk.red import OTHER, SCALE, Key, RedRow

# OpenTelemetry's advice for http.server.request.duration, in seconds.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
LE = (*(f"{bound:g}" for bound in BOUNDS), "+Inf")

_REQUESTS = ("http_requests_total", "counter", "Requests answered, by route template and tenant.")
_DURATION = ("http_request_duration_seconds", "histogram", "Seconds from a request's arrival to its last byte.")
_ERRORS = ("http_errors_total", "counter", "Requests that failed, by exception type or status.")
_SIZE = ("http_response_size_bytes", "summary", "Bytes of response bodies, streamed ones included.")


def bucket_of(index: int, bounds: Sequence[float] = BOUNDS) -> int:
    """The place in LE of an exponential bucket, by its geometric middle; within 0.6 % of a bound it may be the next."""
    return bisect_left(bounds, 2.0 ** ((index + 0.5) / (1 << SCALE)))


class Histogram:
    """Counts by upper bound, not yet added up."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float] = BOUNDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, buckets: Mapping[int, int], total: float) -> None:
        for index, count in buckets.items():
            self.counts[bucket_of(index, self.bounds)] += count
        self.sum += total

    def write(self, family: Family, labels: Labels) -> None:
        running = 0
        steps = LE if self.bounds is BOUNDS else (*(f"{bound:g}" for bound in self.bounds), "+Inf")
        for le, count in zip(steps, self.counts, strict=True):
            running += count
            family.add_to(("_bucket", labels_of({**dict(labels), "le": le})), running)
        family.add_to(("_sum", labels), self.sum)
        family.add_to(("_count", labels), running)


class RequestTotals:
    """Adds up what the RED table hands out each second. Tenants beyond the first `tenants` become `other`."""

    def __init__(self, tenants: int) -> None:
        self._limit = tenants
        self._tenants: set[str] = set()
        self._requests, self._errors, self._sizes = Family(*_REQUESTS), Family(*_ERRORS), Family(*_SIZE)
        self._durations: dict[Labels, Histogram] = {}

    def add(self, rows: Mapping[Key, RedRow]) -> None:
        for (method, route, status, tenant, error_type), row in rows.items():
            count = row.count
            if not count:
                continue  # background work of a request that was counted before
            tenant = self.bounded(tenant)
            where = {"method": method, "route": route}
            self._requests.add(count, status=str(status), tenant=tenant, **where)
            if error_type:
                self._errors.add(count, error_type=error_type, tenant=tenant, **where)
            self._sizes.add(row.response_bytes, "_sum", **where)
            self._sizes.add(count, "_count", **where)
            labels = labels_of({**where, "status": str(status)})
            self._durations.setdefault(labels, Histogram()).add(row.buckets, row.seconds)

    def families(self, more: Mapping[Key, RedRow]) -> list[Family]:
        """All that was added, and these rows, which will be."""
        if more:
            later = RequestTotals(self._limit)
            later._tenants = self._tenants
            later.add(more)
            return add_up([*self.families({}), *later.families({})])
        durations = Family(*_DURATION)
        for labels, histogram in self._durations.items():
            histogram.write(durations, labels)
        return [self._requests, durations, self._errors, self._sizes]

    def bounded(self, tenant: str) -> str:
        """The tenant as it is shown."""
        if not self._limit:
            return ""
        if tenant and tenant not in self._tenants:
            if len(self._tenants) >= self._limit:
                return OTHER
            self._tenants.add(tenant)
        return tenant
