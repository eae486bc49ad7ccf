"""Spans: of a command, and of the job that it caused, which links back to it across a restart of the daemon."""

from pathlib import Path
from socket import socket

import msgspec
import pytest
from tests.daemon.daemon_process import CONFIGURATION, DaemonProcess, Json, daemon_process
from tests.daemon.daemon_rig import chat, listening, running, write_rows
from tests.daemon.otlp_collector import attributes, collecting, links

from genomed.daemon.observation.spans import NoSpans, spans_for, traceparent_of

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{PARENT}-01"


SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
"""Milliseconds between two exports: the SDK's own variable, which is five seconds when nobody sets it."""


def configured(endpoint: str) -> str:
    return f'{CONFIGURATION}\n[telemetry]\nendpoint = "{endpoint}"\n'


def new_job(daemon: DaemonProcess, *, header: str | None = None, **metadata: object) -> str:
    path = write_rows(daemon.folder / "rows.jsonl", [chat(f"q{n}", f"a{n}") for n in range(20)])
    dataset = daemon.call("dataset-import", {"personaId": "ada", "path": str(path), "evalShare": 0.3})["datasetId"]
    configuration = {
        "model": {"baseModel": "tiny"},
        "datasets": {"trainingFileId": dataset},
        "method": {"type": "lora"},
        "metadata": metadata,
    }
    params: Json = {"personaId": "ada", "provider": "simulated", "configuration": configuration}
    headers = {"traceparent": header} if header else {}
    _, body = daemon.request("POST", "/genome/job-create", msgspec.json.encode(params), headers)
    return str(msgspec.json.decode(body)["result"]["jobId"])


@pytest.mark.crash
def test_spans_of_a_job_link_to_its_command_although_the_daemon_was_killed_in_between() -> None:
    with (
        collecting() as collector,
        daemon_process(configuration=configured(collector.endpoint), environment=SOON) as daemon,
    ):
        job_id = new_job(daemon, header=GIVEN, secondsPerStep=3600)
        [command] = collector.wait_for("genome/job-create")
        assert (command.trace_id.hex(), command.parent_span_id.hex()) == (TRACE, PARENT)
        collector.wait_for("job.submit")  # the log knows what was sent: nothing is sent again
        daemon.kill()
        daemon.start()
        daemon.call("job-cancel", {"jobId": job_id})
        assert daemon.wait_for_end(job_id)["status"] == "cancelled"
        [job, *_] = collector.wait_for("job")
        [cancel] = collector.wait_for("genome/job-cancel")
        steps = [span for span in collector.spans if span.name.startswith("job.")]
    created = (command.trace_id.hex(), command.span_id.hex())
    assert {links(step)[0] for step in steps} == {created}
    assert links(job) == [created, (cancel.trace_id.hex(), cancel.span_id.hex())]
    assert job.trace_id != command.trace_id
    assert attributes(job)["genomed.job"] == job_id
    assert (attributes(job)["genomed.status"], attributes(job)["genomed.attempts"]) == ("cancelled", 1)
    assert job.start_time_unix_nano < job.end_time_unix_nano
    assert attributes(command)["genomed.outcome"] == "ok"


@pytest.mark.crash
@pytest.mark.parametrize("behaviour", ["hanging", "broken", "absent"])
def test_a_collector_that_hangs_breaks_or_is_away_disturbs_nothing(behaviour: str) -> None:
    with collecting("broken" if behaviour == "broken" else "hanging") as collector:
        endpoint = absent() if behaviour == "absent" else collector.endpoint
        with daemon_process(configuration=configured(endpoint), environment=SOON) as daemon:
            job = daemon.wait_for_end(new_job(daemon))
            assert job["status"] == "succeeded"
            if behaviour != "absent":
                collector.wait_for_a_request()
            assert daemon.request("GET", "/readyz")[0] == 200
            if behaviour == "hanging":
                assert daemon.stop() == 0


def absent() -> str:
    with socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{nobody.getsockname()[1]}"


async def test_without_an_endpoint_there_are_no_spans_and_a_given_traceparent_is_kept_all_the_same(
    tmp_path: Path,
) -> None:
    assert isinstance(await spans_for(None, {}), NoSpans)
    async with running(tmp_path / "d", courier=False) as rig, listening(rig) as client:
        said = {"personaId": "ada", "domain": "sums", "input": "1+1", "output": "2"}
        for header in (GIVEN, "00-nonsense-01", None):
            headers = {} if header is None else {"traceparent": header}
            async with client.post("/genome/capture-interaction", json=said, headers=headers) as response:
                assert response.status == 200
        async with client.ws_connect("/bus") as bus:
            await bus.send_json(
                {
                    "jsonrpc": "2.0",
                    "id": 1,
                    "method": "genome/capture-interaction",
                    "params": said,
                    "traceparent": GIVEN,
                }
            )
            assert "result" in await bus.receive_json()
        kept = [one.correlation_id for one in await rig.journal.read_all() if one.type == "interaction.captured"]
    assert kept == [GIVEN, None, None, GIVEN]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        GIVEN.upper(),
        GIVEN + "-x",
    ],
)
def test_what_is_no_traceparent_is_as_if_nothing_had_been_given(text: str) -> None:
    assert traceparent_of(text) is None
    assert traceparent_of(GIVEN) == GIVEN


async def test_closing_does_not_wait_for_a_collector_that_hangs() -> None:
    with collecting("hanging") as collector:
        spans = await spans_for(None, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint})
        with spans.command("genome/help", "uid:1", None) as said:
            assert traceparent_of(said.traceparent)
        await spans.close()
        assert not collector.ended.is_set(), "it never answered, and nobody waits for it any more"


async def test_a_trigger_is_a_span_of_its_own_and_the_cause_of_its_job(tmp_path: Path) -> None:
    with collecting() as collector:
        spans = await spans_for(collector.endpoint, {})
        async with running(tmp_path / "d", spans=spans) as rig:
            await rig.rule(minExamples=10)
            await rig.captures(10)

            async def fired() -> bool:
                return bool(rig.journal.metrics.events["job.created"])

            await rig.until(fired)
            [job] = [one for one in await rig.journal.read_all() if one.type == "job.created"]
        await spans.close()
        [span] = collector.wait_for("trigger")
    assert job.correlation_id is not None
    assert job.correlation_id.split("-")[1:3] == [span.trace_id.hex(), span.span_id.hex()]
