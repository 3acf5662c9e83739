"""Where Tocsin keeps things: telemetry in ClickHouse (chDB by default), control in SQLite or PostgreSQL."""
