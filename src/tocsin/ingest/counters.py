"""What ingest counts about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge

if TYPE_CHECKING:
    from tocsin.ingest.sample_batch import Collected

requests = Counter("tocsin_ingest_requests_total", "Ingest requests by outcome.", ["signal", "protocol", "outcome"])
items = Counter("tocsin_ingest_accepted_items_total", "Spans, data points and log records accepted.", ["signal"])
rejected_items = Counter(
    "tocsin_ingest_rejected_items_total", "Items taken out of accepted requests; the sender was told.", ["signal"]
)
repeated = Counter(
    "tocsin_ingest_repeated_requests_total", "Requests that were stored before and not stored again.", ["signal"]
)
received_bytes = Counter("tocsin_ingest_received_bytes_total", "Bytes received, as sent.", ["signal"])
in_flight_bytes = Gauge("tocsin_ingest_in_flight_bytes", "Bytes of requests being worked on.")
samples = Counter("tocsin_ingest_samples_total", "Samples of series accepted, native histograms included.")
out_of_order = Counter(
    "tocsin_ingest_out_of_order_samples_total", "Accepted samples that are older than the newest of their series."
)
duplicates = Counter(
    "tocsin_ingest_duplicate_samples_total",
    "Accepted samples with the time of the newest of their series; the last one written counts.",
)
rejected_samples = Counter("tocsin_ingest_rejected_samples_total", "Samples left out; the sender was told why.")
limited_requests = Counter(
    "tocsin_ingest_series_limited_requests_total", "Requests with series beyond a limit on their number."
)
active_series = Gauge("tocsin_ingest_active_series", "Series with a sample in about the last day.")


def count(collected: Collected, series: int) -> None:
    """Take account of one request's samples."""
    samples.inc(collected.samples + collected.histograms)
    out_of_order.inc(collected.out_of_order)
    duplicates.inc(collected.repeated)
    rejected_samples.inc(collected.rejected)
    limited_requests.inc(collected.is_over_limit)
    active_series.set(series)
