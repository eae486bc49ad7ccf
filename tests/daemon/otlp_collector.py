"""A collector of spans on loopback: takes OTLP over HTTP as the specification says, and keeps what it was told.

`hanging` reads a request and never answers; `broken` answers 500. Its threads and sockets end with the block.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Event, Thread
from typing import Literal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.patience import PATIENCE_S


class Collector:
    def __init__(self, behaviour: Literal["sound", "hanging", "broken"]) -> None:
        self.behaviour = behaviour
        self.spans: list[Span] = []
        self.requests = 0
        self.ended = Event()
        self._changed = Condition()
        self.endpoint = ""

    def took(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self._changed:
            self.requests += 1
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    self.spans += scope.spans
            self._changed.notify_all()

    def wait_for(self, *names: str) -> list[Span]:
        """The spans of these names, once there is one of each."""
        with self._changed:
            found = self._changed.wait_for(lambda: {*names} <= {span.name for span in self.spans}, PATIENCE_S)
            assert found, [span.name for span in self.spans]
            return [span for span in self.spans if span.name in names]

    def wait_for_a_request(self) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.requests > 0, PATIENCE_S)


@contextmanager
def collecting(behaviour: Literal["sound", "hanging", "broken"] = "sound") -> Iterator[Collector]:
    collector = Collector(behaviour)

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            collector.took(body)
            if collector.behaviour == "hanging":
                collector.ended.wait(PATIENCE_S)
            self.send_response(500 if collector.behaviour == "broken" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *given: object) -> None:  # noqa: A002  (the library's own name)
            """Nothing: the test's output is for its reader."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    collector.endpoint = f"http://127.0.0.1:{server.server_port}"
    serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    serving.start()
    try:
        yield collector
    finally:
        collector.ended.set()
        server.shutdown()
        server.server_close()
        serving.join()


def attributes(span: Span) -> dict[str, object]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value") for one in span.attributes}


def links(span: Span) -> list[tuple[str, str]]:
    """Trace and span of each link, in hex."""
    return [(link.trace_id.hex(), link.span_id.hex()) for link in span.links]
