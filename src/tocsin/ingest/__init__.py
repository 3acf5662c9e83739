"""Telemetry pushed in. A request is authenticated, bounded, decompressed, checked and appended to the spool.

Enters: OTLP over HTTP and gRPC. Leaves: raw protobuf messages in the spool, acknowledged once they are on disk.
`otlp_http` and `otlp_grpc` speak the protocols, `gate` decides, `body` and `validate` look at the bytes.
"""
