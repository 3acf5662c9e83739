"""The version that is sent as telemetry.sdk.version."""

VERSION = "0.1.0"
