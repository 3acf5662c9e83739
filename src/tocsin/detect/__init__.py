"""From telemetry to alerts. `packs` holds rule files in Prometheus' format that any Prometheus can load."""
