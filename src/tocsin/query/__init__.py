"""Questions asked of telemetry: each function takes the store and a tenant scope first, and answers dataclasses."""
