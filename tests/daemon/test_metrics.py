"""The page of metrics, read back by the parser of Prometheus' own client library; and /readyz."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import anyio
import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from tests.daemon.daemon_process import DaemonProcess, daemon_process
from tests.daemon.daemon_rig import Rig, listening, running
from tests.patience import PATIENCE_S

from genomed.commands.context import Caller
from genomed.daemon.observation.metrics import UNKNOWN, Histogram
from genomed.entities.envelope import Cause, Write
from genomed.entities.spend import day_of, ledger_stream
from genomed.entities.spend_events import SpendReserved, SpendSettled
from genomed.entities.types import Role

SAID = {"personaId": "ada", "domain": "sums", "input": "1+1", "output": "2"}
LABELS = {"command", "outcome", "provider", "phase", "kind", "type", "reason", "door", "follower", "version", "le"}
OF_THE_MACHINE = {"implementation", "major", "minor", "patchlevel"}


async def scraped(client: ClientSession) -> list[Sample]:
    async with client.get("/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = (await response.read()).decode()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def value(samples: list[Sample], name: str, **labels: str) -> float:
    [found] = [one.value for one in samples if one.name == name and one.labels == labels]
    return found


async def busy(rig: Rig, client: ClientSession) -> list[Sample]:
    """Has seen a job to its end, a replay, a refused command and two names that nobody knows."""
    await rig.ended(await rig.create_job())
    for _ in range(2):
        await rig.call("capture-interaction", SAID, key="again")
    await rig.execute("job-cancel", {"jobId": "job-nobody-has"}, caller=Caller(actor="uid:7", role=Role.READ))
    await rig.execute("job-status", {"jobId": "job-nobody-has"})
    for invented in ("genome/made-up-1", "genome/made-up-2"):
        await rig.execute(invented)
    return await scraped(client)


async def test_the_page_tells_of_commands_the_log_and_the_work(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        samples = await busy(rig, client)
        head = rig.journal.head().position
    of = "genomed_command_duration_seconds_count"
    assert value(samples, of, command="genome/job-create", outcome="ok") == 1
    assert value(samples, of, command="genome/capture-interaction", outcome="replayed") == 1
    assert value(samples, of, command="genome/job-status", outcome="not_found") == 1
    assert value(samples, "genomed_commands_running") == 0
    assert value(samples, "genomed_refusals_total", reason="role") == 1
    assert value(samples, "genomed_log_position") == head
    assert value(samples, "genomed_read_only") == 0
    assert value(samples, "genomed_wal_bytes") > 0
    commits = value(samples, "genomed_commits_total")
    assert commits > 0
    assert value(samples, "genomed_append_duration_seconds_count") == commits
    assert value(samples, "genomed_append_batch_size_sum") >= commits
    assert value(samples, "genomed_events_total", type="job.created") == 1
    assert value(samples, "genomed_provider_questions_total", provider="simulated") > 1
    assert value(samples, "genomed_trained_tokens_total", provider="simulated") >= 0
    assert value(samples, "process_resident_memory_bytes") > 1e6


async def test_open_jobs_are_told_by_provider_and_phase_and_money_by_provider(tmp_path: Path) -> None:
    async with running(tmp_path / "d", courier=False) as rig, listening(rig) as client:
        await rig.create_job()
        await rig.create_job()
        samples = await scraped(client)
    assert value(samples, "genomed_jobs_open", provider="simulated", phase="accepted") == 2
    assert value(samples, "genomed_workers_running") == 0


async def test_dollars_are_told_by_provider_reserved_and_settled(tmp_path: Path) -> None:
    async with running(tmp_path / "d", courier=False) as rig, listening(rig) as client:
        day = day_of(rig.clock())
        reserved = [
            SpendReserved(
                job_id=f"job-{n}",
                attempt_of="create",
                first_attempt=1,
                persona_id="ada",
                provider="openai",
                usd=1.25,
                basis="",
                day=day,
            )
            for n in range(3)
        ]
        settled = SpendSettled(job_id="job-0", first_attempt=1, usd=2.0, basis="reported")
        write = Write(stream=ledger_stream(rig.clock()), expected=0, events=(*reserved, settled))
        await rig.journal.append([write], cause=Cause(actor="daemon"))
        samples = await scraped(client)
    assert value(samples, "genomed_spend_reserved_usd", provider="openai") == 2.5
    assert value(samples, "genomed_spend_settled_usd", provider="openai") == 2.0


async def test_troubles_of_a_provider_are_counted_by_kind(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        await rig.ended(await rig.create_job(serverErrors=2))
        samples = await scraped(client)
    assert value(samples, "genomed_provider_errors_total", provider="simulated", kind="transient") == 2


async def test_no_label_names_a_job_a_persona_or_what_a_client_made_up(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        samples = await busy(rig, client)
    used = {label for sample in samples for label in sample.labels}
    assert used <= LABELS | OF_THE_MACHINE
    values = {text for sample in samples for text in sample.labels.values()}
    assert [one for one in values if "made-up" in one or one.startswith(("job-", "ada"))] == []
    of = "genomed_command_duration_seconds_count"
    assert value(samples, of, command=UNKNOWN, outcome="not_found") == 2


async def test_names_that_lead_nowhere_leave_nothing_behind(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        await rig.execute("genome/one")
        series = len(rig.parts.dispatch.metrics.seconds)
        for n in range(100):
            await rig.execute(f"genome/two-{n}")
        assert len(rig.parts.dispatch.metrics.seconds) == series


async def test_followers_of_the_log_and_subscribers_are_told(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        await rig.captures(3)
        async with client.get("/events?after=0") as stream:
            await stream.content.readline()
            samples = await scraped(client)
            assert value(samples, "genomed_subscribers", door="events") == 1
        async with client.ws_connect("/bus") as bus:
            await bus.send_json({"jsonrpc": "2.0", "id": 1, "method": "genome/subscribe"})
            await bus.receive_json()
            assert value(await scraped(client), "genomed_subscribers", door="bus") == 1

        async def caught_up() -> bool:
            now = await scraped(client)
            return {value(now, "genomed_follower_lag_events", follower=one) for one in ("courier", "triggers")} == {0}

        await rig.until(caught_up)


async def test_ready_once_everything_follows_the_log_and_not_before(tmp_path: Path) -> None:
    async with running(tmp_path / "d", courier=False, triggers=False) as rig, listening(rig) as client:
        async with client.get("/readyz") as response:
            assert response.status == 503
            body = await response.json()
        assert body == {"ready": False, "reasons": ["courier: not running yet", "triggers: not running yet"]}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rig.parts.courier.run)
            tasks.start_soon(rig.parts.triggers.run)

            async def ready() -> bool:
                async with client.get("/readyz") as response:
                    return response.status == 200 and (await response.json()) == {"ready": True, "reasons": []}

            await rig.until(ready)
            tasks.cancel_scope.cancel()


async def test_a_log_that_takes_no_writes_is_alive_and_not_ready(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        rig.journal._writer._stop("the disk is broken")
        async with client.get("/healthz") as response:
            assert response.status == 200
        async with client.get("/readyz") as response:
            assert response.status == 503
            assert "the log takes no writes: the disk is broken" in (await response.json())["reasons"]
        assert value(await scraped(client), "genomed_read_only") == 1


@pytest.fixture
def daemon() -> Iterator[DaemonProcess]:
    with daemon_process() as running_daemon:
        yield running_daemon


def until_ready(daemon: DaemonProcess) -> bytes:
    """The answer of one that is; healthy it is already before everything follows the log."""
    deadline = monotonic() + PATIENCE_S
    while (answer := daemon.request("GET", "/readyz"))[0] != 200:
        assert monotonic() < deadline, answer
        sleep(0.02)
    return answer[1]


@pytest.mark.crash
def test_a_whole_daemon_answers_both_questions_and_counts_its_connections(daemon: DaemonProcess) -> None:
    assert until_ready(daemon) == b'{"ready":true,"reasons":[]}\n'
    status, text = daemon.request("GET", "/metrics")
    assert status == 200
    samples = [one for family in text_string_to_metric_families(text.decode()) for one in family.samples]
    assert value(samples, "genomed_connections_open") >= 1


@pytest.mark.skipif(os.getuid() != 0, reason="only root can connect as another user")
def test_metrics_need_a_role_and_health_does_not() -> None:
    with daemon_process() as daemon:
        for folder in (daemon.folder, daemon.socket.parent):
            folder.chmod(0o755)
        daemon.socket.chmod(0o666)
        until_ready(daemon)
        ask = (
            "import os,socket,sys\nos.setuid(65534)\n"
            "for path in ('/metrics', '/readyz'):\n"
            "    s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
            "    s.sendall(f'GET {path} HTTP/1.1\\r\\nHost: d\\r\\nConnection: close\\r\\n\\r\\n'.encode())\n"
            "    print(s.recv(12).decode())\n"
        )
        told = subprocess.run(
            [sys.executable, "-c", ask, str(daemon.socket)], capture_output=True, text=True, check=True
        )
        assert told.stdout.split("\n")[:2] == ["HTTP/1.1 403", "HTTP/1.1 200"]


def test_a_histogram_counts_each_value_once_at_or_below_its_bound() -> None:
    histogram = Histogram((1, 2))
    for seen in (0.5, 1, 1.5, 2, 3):
        histogram.observe(seen)
    buckets = histogram.buckets()
    assert (buckets.cumulative, buckets.total) == ((2, 4, 5), 8.0)
