"""Sinks for what a run tells others: OpenLineage, and metrics of OpenTelemetry, both over HTTP."""

from __future__ import annotations

import gzip
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from tests.serving import serving

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_PREFIX = "airflow.pismo."


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path == "/v1/metrics":
            self.server.keep(ExportMetricsServiceRequest.FromString(body))
        else:
            self.server.events.append(json.loads(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Sink(ThreadingHTTPServer):
    """Keeps the events of OpenLineage, and the metrics that begin with ``airflow.pismo.``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.events: list[dict[str, Any]] = []
        self.counters: Counter[str] = Counter()
        self.gauges: dict[str, list[float]] = {}
        self.timings: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def settings(self) -> dict[str, str]:
        """Return the environment of an Airflow that sends everything here."""
        # a busy machine needs long to make an event
        patient = {"AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "600", "OTEL_EXPORTER_OTLP_TIMEOUT": "60"}
        return settings_of_sink(f"http://127.0.0.1:{self.server_address[1]}") | patient

    def keep(self, request: ExportMetricsServiceRequest) -> None:
        """Add up counters by name and tags but the delivery; keep gauges; count the values of timings."""
        scopes = [scope for each in request.resource_metrics for scope in each.scope_metrics]
        with self._lock:
            for metric in (metric for scope in scopes for metric in scope.metrics):
                if not metric.name.startswith(_PREFIX):
                    continue
                kind = metric.WhichOneof("data")
                for point in getattr(metric, kind).data_points:
                    tags = {tag.key: tag.value.string_value for tag in point.attributes if tag.key != "delivery"}
                    name = ",".join([metric.name.removeprefix(_PREFIX), *tags.values()])
                    if kind == "sum":
                        self.counters[name] += point.as_int or point.as_double
                    elif kind == "gauge":
                        self.gauges.setdefault(name, []).append(point.as_int or point.as_double)
                    else:
                        self.timings[name] += point.count


def running_sink() -> AbstractContextManager[Sink]:
    return serving(Sink())


def settings_of_sink(url: str) -> dict[str, str]:
    """Return the environment of an Airflow that sends lineage and metrics to an address."""
    transport = {"type": "http", "url": url, "endpoint": "api/v1/lineage"}
    return {
        "AIRFLOW__OPENLINEAGE__DISABLED": "false",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
        "AIRFLOW__METRICS__OTEL_ON": "True",
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
    }
