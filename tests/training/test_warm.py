"""A worker that waits for its job with everything loaded: the same work, as confined, and nobody suffers from it."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from time import monotonic, sleep

import pytest
from tests.patience import PATIENCE_S
from tests.training.conftest import WORKER, Job, make_chat_rows, weights

from genomed.adapters.local.settings import LocalSettings
from genomed.adapters.local.warm_worker import WarmWorkers
from genomed.adapters.local.worker_process import Start, Started, as_child, worker_environment

pytestmark = pytest.mark.training

SETTINGS = LocalSettings(warm=True)


class Cold:
    """The usual starter, counting."""

    def __init__(self) -> None:
        self.started = 0

    def __call__(self, start: Start) -> Started:
        self.started += 1
        return as_child(start)


@pytest.fixture
def cold() -> Cold:
    return Cold()


@pytest.fixture
def warm(cold: Cold) -> Iterator[WarmWorkers]:
    workers = WarmWorkers(cold, SETTINGS)
    yield workers
    workers.close()


def start_of(job: Job, *arguments: str) -> Start:
    lock = os.open(job.here / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return Start(
        command=(sys.executable, str(WORKER), *arguments),
        environment=worker_environment(os.environ, allow_hub=False),
        folder=job.here,
        lock=lock,
        log=job.here / "worker.log",
    )


def ended(started: Started) -> int:
    deadline = monotonic() + PATIENCE_S
    while (code := started.poll()) is None:
        assert monotonic() < deadline
        sleep(0.01)
    return code


def specified(job: Job, **changes: object) -> str:
    path = job.folder / "spec.json"
    path.write_text(json.dumps(job.spec(make_chat_rows(8), **changes)))
    return str(path)


def policy(job: Job, spec: str) -> Path:
    """Landlock, with what this attempt needs."""
    granted = [str(job.folder), str(job.model), "/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime"]
    path = job.folder / "policy.json"
    limits = {"fileBytes": None, "openFiles": None, "tasks": None, "addressSpace": None}
    path.write_text(
        json.dumps({
            "level": "landlock", "network": False, "hub": False,
            "reads": [one for one in granted if Path(one).exists()], "writes": [str(job.folder)],
            "devices": ["/dev/null", "/dev/urandom"], "bubblewrap": None, "cgroup": None, "limits": limits,
            "folder": str(job.here), "progress": str(job.here / "progress.jsonl"),
            "command": [str(WORKER), "run", spec],
        })
    )  # fmt: skip
    return path


@pytest.mark.long
def test_a_warm_worker_does_the_very_same_work_as_one_that_was_started_for_it(
    job: Job, tmp_path: Path, warm: WarmWorkers, cold: Cold
) -> None:
    warm.warm(worker_environment(os.environ, allow_hub=False))
    assert ended(warm(start_of(job, "run", specified(job)))) == 0
    assert (warm.served, cold.started) == (1, 0)
    other = Job(tmp_path / "other", job.model)
    other.folder.mkdir()
    assert ended(warm(start_of(other, "run", specified(other)))) == 0
    assert (warm.served, cold.started) == (1, 1)
    assert weights(job.result) == weights(other.result)


def test_a_warm_worker_confines_itself_before_it_opens_the_job(job: Job, warm: WarmWorkers, cold: Cold) -> None:
    spec = specified(job, dataset={"eval": "/etc/hostname", "evalRows": 1})
    warm.warm(worker_environment(os.environ, allow_hub=False))
    started = warm(start_of(job, "confine", str(policy(job, spec))))
    assert ended(started) == 1
    assert (warm.served, warm.refusal, cold.started) == (1, None, 0)
    assert "Permission denied" in str(job.lines()[-1]["message"])


def test_a_job_is_served_although_the_warm_worker_died(job: Job, warm: WarmWorkers, cold: Cold) -> None:
    warm.warm({"PATH": os.environ["PATH"], "PYTHONHOME": "/nowhere"})
    job.here.mkdir()
    assert ended(warm(start_of(job, "probe"))) == 0
    assert (warm.served, cold.started) == (0, 1)


@pytest.mark.long
def test_it_leaves_when_its_daemon_does(warm: WarmWorkers, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Popen[bytes]] = []
    monkeypatch.setattr("genomed.adapters.local.warm_worker._end", made.append)
    warm.warm(worker_environment(os.environ, allow_hub=False))
    warm.close()  # as the kernel does for a daemon that was killed
    assert made[0].wait(PATIENCE_S) is not None
