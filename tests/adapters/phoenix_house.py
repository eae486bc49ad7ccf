"""A real Arize Phoenix server on the loopback, with its own SQLite, and its own tooling to record spans into it."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Thread
from typing import IO, Any

from tests.patience import PATIENCE_S

NEEDED = ("arize-phoenix", "arize-phoenix-client", "arize-phoenix-otel")
UP = "Uvicorn running on"


def missing() -> list[str]:
    return [name for name in NEEDED if not _installed(name)]


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


@dataclass(frozen=True)
class House:
    """Where it listens. Methods block: call them in a thread."""

    url: str

    def record(self, project: str, spans: list[dict[str, Any]]) -> list[str]:
        """Records spans as an instrumented agent does, over OTLP and HTTP; their ids. `name`, `kind` and `start_time`
        are no attributes.
        """
        from phoenix.otel import register

        provider = register(
            endpoint=f"{self.url}/v1/traces",
            project_name=project,
            protocol="http/protobuf",
            set_global_tracer_provider=False,
            verbose=False,
        )
        tracer = provider.get_tracer("genomed.tests")
        made: list[str] = []
        for told in spans:
            attributes = {name: value for name, value in told.items() if name not in ("name", "kind", "start_time")}
            given = {"openinference_span_kind": told["kind"], "start_time": told.get("start_time")}
            with tracer.start_as_current_span(told["name"], **given) as span:
                span.set_attributes(attributes)
                made.append(format(span.get_span_context().span_id, "016x"))
        provider.force_flush()
        provider.shutdown()
        return made

    def seen(self, project: str) -> int:
        """How many spans the server has by now; it takes them in behind its answer."""
        from httpx import HTTPStatusError

        try:
            return len(self._client().spans.get_spans(project_identifier=project, limit=1000))
        except HTTPStatusError:
            return 0  # the project opens with its first span

    def annotate(self, span_id: str, name: str, **given: Any) -> None:
        self._client().spans.add_span_annotation(
            span_id=span_id, annotation_name=name, annotator_kind="HUMAN", sync=True, **given
        )

    def annotate_session(self, session_id: str, name: str, **given: Any) -> None:
        self._client().sessions.add_session_annotation(
            session_id=session_id, annotation_name=name, annotator_kind="HUMAN", sync=True, **given
        )

    def exported(self, project: str, path: Path) -> None:
        """Spans and annotations as the client gives them, a line each."""
        client = self._client()
        spans = client.spans.get_spans(project_identifier=project, limit=1000)
        judged = client.spans.get_span_annotations(spans=spans, project_identifier=project)
        path.write_text("".join(json.dumps(one) + "\n" for one in (*spans, *judged)), encoding="utf-8")

    def framed(self, project: str, path: Path) -> None:
        """Spans and annotations as records of the client's data frames."""
        client = self._client()
        spans = client.spans.get_spans_dataframe(project_identifier=project)
        judged = client.spans.get_span_annotations_dataframe(spans_dataframe=spans, project_identifier=project)
        frames = (spans, judged.reset_index())
        path.write_text(
            "".join(one.to_json(orient="records", lines=True, date_format="iso") for one in frames), encoding="utf-8"
        )

    def _client(self) -> Any:
        from phoenix.client import Client

        return Client(base_url=self.url)


def load_its_tooling() -> None:
    """Beside the server its tooling loads the server too, whose dependencies warn of each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("phoenix.client", "phoenix.otel", "pandas"):
            import_module(name)


@contextmanager
def phoenix_house(folder: Path) -> Iterator[House]:
    """Up from the first line to the last. The server is a group of its own and is ended by its id."""
    port, grpc = _free_port(), _free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PHOENIX_", "OTEL_"))}
    environment |= {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
    }
    command = [sys.executable, "-m", "phoenix.server.main", "serve"]
    server = subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    draining: Thread | None = None
    try:
        assert server.stdout is not None
        told = _until_up(server.stdout)
        assert told is None, f"Phoenix did not start:\n{told}"
        draining = Thread(target=_drained, args=(server.stdout,), daemon=True)
        draining.start()
        url = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(f"{url}/readyz", timeout=PATIENCE_S) as ready:
            assert ready.status == 200
        yield House(url)
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()
        if server.stdout is not None:
            if draining is not None:
                draining.join(timeout=PATIENCE_S)
            server.stdout.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until_up(output: IO[str]) -> str | None:
    """None once it says that it is; else all that it said."""
    said: list[str] = []
    for line in output:
        said.append(line)
        if UP in line:
            return None
    return "".join(said)


def _drained(output: IO[str]) -> None:
    for _ in output:
        pass
