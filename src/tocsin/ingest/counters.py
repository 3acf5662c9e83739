"""What ingest counts about itself."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

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
