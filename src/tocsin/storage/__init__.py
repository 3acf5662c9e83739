"""The two stores: `telemetry` (spans, samples, logs: ClickHouse) and `control` (users, keys, rules: SQL)."""
