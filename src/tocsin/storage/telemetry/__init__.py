"""Telemetry at rest. Raw OTLP messages enter through `spool` and `writer`; tenant-scoped rows leave through `store`.

`engine` is the contract that a ClickHouse, embedded or clustered, fills; nothing above this package speaks to one.
"""
