"""A real daemon process, a real worker, a real tiny model: what is killed in the middle goes on; nothing is lost."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from tests.daemon.daemon_process import DaemonProcess, daemon_process
from tests.patience import PATIENCE_S
from tests.training.turnstile import Turnstile

import genomed

pytestmark = [pytest.mark.training]

WORKER = Path(genomed.__file__).parent / "training" / "__main__.py"
STEPS = 60


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("base") / "tiny"
    build = [sys.executable, str(WORKER), "build-tiny", "--steps", "0", "--size", "mini", "--out", str(out)]
    subprocess.run(build, check=True, capture_output=True)
    return out


@pytest.fixture
def daemon() -> Iterator[DaemonProcess]:
    with daemon_process(configuration="[providers.local]\nthreads = 1\n") as running:
        yield running
        running.kill()
        for identity in running.data.glob("jobs/*/attempt-*.started.json"):
            end(json.loads(identity.read_text())["pid"])


def end(session: int) -> None:
    """The worker with all that stands around it."""
    try:
        os.killpg(session, signal.SIGKILL)
    except ProcessLookupError:
        return


def create(daemon: DaemonProcess, base_model: Path) -> str:
    rows = daemon.folder / "rows.jsonl"
    turns = [
        [{"role": "user", "content": f"what is {n}?"}, {"role": "assistant", "content": f"it is {n}"}]
        for n in range(STEPS // 2 + 5)
    ]
    rows.write_text("".join(json.dumps({"messages": turn}) + "\n" for turn in turns))
    imported = daemon.call("dataset-import", {"personaId": "ada", "path": str(rows), "evalShare": 0.1})
    configuration = {
        "model": {"baseModel": str(base_model)},
        "datasets": {"trainingFileId": imported["datasetId"]},
        "method": {"type": "lora", "loraConfig": {"rank": 2, "alpha": 4}},
        "schedule": {"epochs": 2, "batchSize": 1, "sequenceLength": 512, "checkpoints": 10, "evaluations": 0},
        "optimizer": {"learningRate": 0.001},
        "metadata": {"maxNewTokens": 4},
    }
    wish = {"personaId": "ada", "provider": "local", "domain": "sums", "configuration": configuration}
    return str(daemon.call("job-create", wish)["jobId"])


def status(daemon: DaemonProcess, job_id: str) -> dict[str, Any]:
    return dict(daemon.call("job-status", {"jobId": job_id})["job"])


def wait_until(daemon: DaemonProcess, job_id: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = monotonic() + PATIENCE_S
    while True:
        job = status(daemon, job_id)
        if wanted(job):
            return job
        assert job["status"] not in ("failed", "cancelled"), job["error"] or job["message"]
        assert monotonic() < deadline, f"{job['status']} {job['phase']} {job['message']}"
        sleep(0.05)


def held(daemon: DaemonProcess, job_id: str, kind: str) -> Turnstile:
    """Where the worker that loads its libraries now stands still: after its first line of that kind."""
    wait_until(daemon, job_id, lambda job: bool(sessions(daemon, job_id)))
    folder = daemon.data / "jobs" / job_id / "attempt-1"
    turnstile, told = Turnstile(folder / "control.json"), f'"type":"{kind}"'
    turnstile.hold_when(lambda: told in (folder / "progress.jsonl").read_text(), alive=lambda: True)
    return turnstile


def ended(job: dict[str, Any]) -> bool:
    return job["status"] in ("succeeded", "failed", "cancelled")


def sessions(daemon: DaemonProcess, job_id: str) -> list[int]:
    found = sorted(daemon.data.glob(f"jobs/{job_id}/attempt-*.started.json"))
    return [int(json.loads(path.read_text())["pid"]) for path in found]


def loss_steps(daemon: DaemonProcess, job_id: str) -> list[int]:
    series = daemon.call("job-metrics", {"jobId": job_id, "names": ["loss"], "maxPoints": 5000})["series"]
    return [point["step"] for point in series.get("loss", [])]


def test_a_killed_daemon_finds_its_worker_again_and_no_step_is_missing(daemon: DaemonProcess, base_model: Path) -> None:
    job_id = create(daemon, base_model)
    wait_until(daemon, job_id, lambda job: bool(job["progress"]) and job["progress"]["step"] >= 2)
    before = sessions(daemon, job_id)

    daemon.kill()
    daemon.start()

    job = wait_until(daemon, job_id, ended)
    total = job["progress"]["totalSteps"]
    assert (job["status"], job["attempt"]) == ("succeeded", 1)
    assert sessions(daemon, job_id) == before
    told = [event["type"] for event in daemon.call("job-events", {"jobId": job_id, "limit": 1000})["events"]]
    assert told.count("job.worker_confined") == 1
    assert job["confinement"]["level"] in ("rlimits", "landlock", "bubblewrap")
    assert loss_steps(daemon, job_id) == list(range(1, total + 1))
    assert daemon.call("log-verify")["ok"]


def test_a_killed_worker_goes_on_from_its_last_good_checkpoint(daemon: DaemonProcess, base_model: Path) -> None:
    job_id = create(daemon, base_model)
    turnstile = held(daemon, job_id, "checkpoint")
    wait_until(daemon, job_id, lambda job: job["checkpoint"] is not None)
    (session,) = sessions(daemon, job_id)

    end(session)
    turnstile.open()

    job = wait_until(daemon, job_id, ended)
    told = [event["type"] for event in daemon.call("job-events", {"jobId": job_id, "limit": 1000})["events"]]
    assert job["status"] == "succeeded"
    assert told.count("job.worker_lost") == job["attempt"] - 1 == 1
    assert loss_steps(daemon, job_id) == list(range(1, job["progress"]["totalSteps"] + 1))


def test_training_that_ends_while_the_daemon_is_down_is_published_once(daemon: DaemonProcess, base_model: Path) -> None:
    job_id = create(daemon, base_model)
    wait_until(daemon, job_id, lambda job: bool(job["progress"]))
    daemon.kill()
    progress = daemon.data / "jobs" / job_id / "attempt-1" / "progress.jsonl"
    deadline = monotonic() + PATIENCE_S
    while '"type":"finished"' not in progress.read_text().replace('"type": ', '"type":'):
        assert monotonic() < deadline
        sleep(0.1)

    daemon.start()

    assert wait_until(daemon, job_id, ended)["status"] == "succeeded"
    assert len(daemon.call("layer-list")["layers"]) == 1
    told = [event["type"] for event in daemon.call("job-events", {"jobId": job_id, "limit": 1000})["events"]]
    assert told.count("job.succeeded") == told.count("job.training_finished") == 1


@pytest.mark.long
def test_a_stop_that_was_asked_for_leaves_the_worker_running(daemon: DaemonProcess, base_model: Path) -> None:
    job_id = create(daemon, base_model)
    turnstile = held(daemon, job_id, "step")
    wait_until(daemon, job_id, lambda job: bool(job["progress"]))
    (session,) = sessions(daemon, job_id)

    assert daemon.stop() == 0
    os.kill(session, 0)
    turnstile.open()
    daemon.start()

    assert wait_until(daemon, job_id, ended)["attempt"] == 1
