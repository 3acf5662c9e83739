"""What the store counts about itself; exposed with all other metrics of the server at /metrics."""

from __future__ import annotations

from prometheus_client import Counter

segments_inserted = Counter("tocsin_writer_segments_total", "Segments inserted into the engine.", ["signal"])
insert_seconds = Counter("tocsin_writer_insert_seconds_total", "Time spent inserting segments.", ["signal"])
writer_retries = Counter("tocsin_writer_retries_total", "Inserts that failed and were put off.")
rejected_messages = Counter(
    "tocsin_writer_rejected_messages_total",
    "Messages that the engine refused, kept in the rejected folder.",
    ["signal"],
)
