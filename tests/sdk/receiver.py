"""A local OTLP receiver that can misbehave, and the official decoder's view of what it got."""

from __future__ import annotations

import gzip
import http.server
import threading
from collections.abc import Callable
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from waiting import PATIENCE_SECONDS


class Receiver:
    """Takes OTLP/HTTP; `answer` decides what each request is told: (status, headers, body), or None to hang."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: Callable[[str, bytes], tuple[int, dict[str, str], bytes] | None] = lambda path, body: (
            200,
            {},
            b"",
        )
        self.let_go = threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.requests.append((self.path, dict(self.headers), body))
                answer = receiver.answer(self.path, body)
                if answer is None:
                    receiver.let_go.wait(PATIENCE_SECONDS)
                    self.close_connection = True
                    return
                status, headers, content = answer
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()

    def bodies(self, path: str) -> list[bytes]:
        return [
            gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
            for seen, headers, body in list(self.requests)
            if seen == path
        ]

    def spans(self) -> list[Any]:
        """Every received span message, retries included."""
        found = []
        for body in self.bodies("/v1/traces"):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    found += list(scope.spans)
        return found

    def resources(self) -> list[dict[str, Any]]:
        return [
            attributes_of(resource.resource)
            for body in self.bodies("/v1/traces")
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        ]

    def points(self, metric_name: str) -> list[Any]:
        """Every received data point of a metric."""
        found = []
        for body in self.bodies("/v1/metrics"):
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        if metric.name == metric_name:
                            found += list(getattr(metric, metric.WhichOneof("data")).data_points)
        return found

    def tally(self, metric_name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """A metric of increases added up by these labels, whoever sent it; a histogram by its counts."""
        added: dict[tuple[str, ...], float] = {}
        for point in self.points(metric_name):
            attributes = attributes_of(point)
            key = tuple(attributes.get(label, "") for label in labels)
            amount = getattr(point, "count", 0) or getattr(point, "as_double", 0) or getattr(point, "as_int", 0)
            added[key] = added.get(key, 0) + amount
        return added

    def request_count(self) -> int:
        """Requests counted by the duration histogram."""
        return sum(point.count for point in self.points("http.server.request.duration"))


def attributes_of(message: Any) -> dict[str, Any]:
    return {
        item.key: getattr(item.value, item.value.WhichOneof("value") or "string_value") for item in message.attributes
    }
