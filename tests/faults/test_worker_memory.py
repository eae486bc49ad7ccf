"""Memory runs out: the job ends typed with a remedy, or goes on from its checkpoint a few times, never for ever."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.adapters.local_bench import STARTED, Bench, Step, accepted, bench_in, json_in, poll_until, step_line
from tests.fault_record import record_fault
from tests.faults.worker_house import house
from tests.patience import PATIENCE_S

from genomed.adapters.local import worker_process
from genomed.adapters.local.settings import WORKER
from genomed.entities.decisions import MAX_AUTOMATIC_RESUMES
from genomed.entities.errors import ErrorKind
from genomed.entities.types import JobStatus
from genomed.training.obituary import ROOM, SMALLER, failure_of

pytestmark = pytest.mark.fault
MIB = 1 << 20
CHECKPOINT: Step = ("tell", {"type": "checkpoint", "step": 1, "path": "/c/checkpoint-1", "sha256": "ab"})


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with bench_in(tmp_path) as made:
        yield made


async def test_a_job_whose_workers_are_all_killed_resumes_a_few_times_and_then_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL is all that a worker and its daemon see of the kernel's choice, where the kernel does not say more."""
    monkeypatch.setattr(worker_process, "oom_kills", lambda: None)
    async with house(tmp_path) as at:
        job_id = await at.job(STARTED, step_line(1), CHECKPOINT, ("strike", signal.SIGKILL))
        job = await at.rig.ended(job_id)
        assert job.status is JobStatus.FAILED
        assert len(job.attempts) == MAX_AUTOMATIC_RESUMES + 1
        assert [attempt.resume for attempt in job.attempts] == [False, True, True, True]
        assert job.error is not None
        assert job.error.kind is ErrorKind.TRAINING_FAILED
        assert "killed by SIGKILL, not by us" in job.error.message
        assert len(await at.lost(job_id)) == MAX_AUTOMATIC_RESUMES + 1
    record_fault("worker", "killed by SIGKILL in every attempt", "resumed three times, then failed with the reason")


async def test_a_worker_that_was_killed_once_is_replaced_and_the_job_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "oom_kills", lambda: None)  # which counts for the whole machine
    async with house(tmp_path) as at:
        go = tmp_path / "go"
        job_id = await at.job(STARTED, step_line(1), CHECKPOINT, ("look", str(go)), ("strike", signal.SIGKILL))
        await at.rig.job_when(job_id, lambda job: job.checkpoint is not None)
        at.next_plays()
        go.touch()
        job = await at.rig.ended(job_id)
        assert (job.status, len(job.attempts)) == (JobStatus.SUCCEEDED, 2)
    record_fault("worker", "killed by SIGKILL once", "goes on from its checkpoint as a new attempt")


def test_a_real_worker_without_address_space_says_so_in_a_typed_failure(tmp_path: Path) -> None:
    """Its engine does not even load: libraries say that in their own words."""
    rows = tmp_path / "train.jsonl"
    rows.write_text('{"id":"r","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}\n')
    spec = specification(tmp_path, rows)
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    command = [sys.executable, str(WORKER), "run", str(tmp_path / "spec.json")]
    limited = ["prlimit", f"--as={400 * MIB}", *command]
    ended = subprocess.run(limited, capture_output=True, check=False, text=True, timeout=PATIENCE_S)
    assert ended.returncode != 0
    lines = [json.loads(line) for line in (tmp_path / "progress.jsonl").read_text().splitlines()]
    assert lines, ended.stderr[-2000:]
    assert (lines[-1]["type"], lines[-1]["kind"]) == ("failed", "capacity"), lines[-1]
    assert lines[-1]["remedy"] == SMALLER
    record_fault("worker", "address space used up (RLIMIT_AS)", "fails as `capacity`, says what to do")


def specification(folder: Path, rows: Path) -> dict[str, object]:
    names = {"progress": "progress.jsonl", "control": "control.json", "worker": "worker.json", "heartbeat": "heartbeat"}
    return {
        "protocol": 1, "jobId": "job-1", "attempt": 1, "submissionKey": "gn1", "baseModel": str(folder),
        "revision": None, "offline": True,
        "dataset": {"kind": "chat", "train": str(rows), "eval": None, "rows": 1, "evalRows": 0, "sha256": "0" * 64},
        "method": {"type": "lora", "lora": {"rank": 2, "alpha": 4, "dropout": 0.0, "trainableModules": "all-linear"}},
        "schedule": {
            "epochs": 1, "batchSize": 1, "sequenceLength": 64, "gradientAccumulation": 1, "checkpoints": 1,
            "evaluations": 0, "trainOnInputs": "auto",
        },
        "optimizer": {
            "learningRate": 0.001, "weightDecay": 0.0, "maxGradientNorm": 1.0,
            "scheduler": {"type": "cosine", "minLRRatio": 0.0, "warmupRatio": 0.0, "cycles": None},
        },
        "precision": None, "optimizations": [], "dpo": {"beta": 0.1, "lossType": "sigmoid"}, "seed": 1,
        "initLayer": None, "resume": False, "judge": None, "threads": 1,
        "paths": {
            **{name: str(folder / file) for name, file in names.items()},
            "checkpoints": str(folder / "checkpoints"), "result": str(folder / "result"),
        },
    }  # fmt: skip


async def test_a_library_that_leaves_for_want_of_memory_without_an_exception_ends_the_job_typed(tmp_path: Path) -> None:
    """As OpenBLAS does it: a sentence, and exit(1)."""
    said = "OpenBLAS error: Memory allocation still failed after 10 retries, giving up."
    async with house(tmp_path) as at:
        job = await at.rig.ended(await at.job(("print", said), ("die", 1)))
        assert (job.status, len(job.attempts)) == (JobStatus.FAILED, 1)
        assert job.error is not None
        assert (job.error.kind, said in job.error.message) == (ErrorKind.CAPACITY, True)
    record_fault("worker", "a library in C that exits for want of memory", "fails as `capacity`, with its words")


class OutOfMemoryError(RuntimeError):
    """As torch names the one of its own."""


@pytest.mark.parametrize(
    ("error", "kind", "remedy"),
    [
        (MemoryError(), "capacity", SMALLER),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "capacity", SMALLER),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
            "capacity",
            SMALLER,
        ),
        (OSError(12, "Cannot allocate memory"), "capacity", SMALLER),
        (RuntimeError("can't start new thread"), "capacity", SMALLER),
        (OSError(28, "No space left on device"), "capacity", ROOM),
        (OSError(27, "File too large"), "capacity", ROOM),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), "capacity", ROOM),
        (RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"), "capacity", ROOM),
        (RuntimeError("something else"), "training_failed", None),
    ],
)
def test_libraries_own_words_for_a_want_are_understood(error: BaseException, kind: str, remedy: str | None) -> None:
    assert failure_of(error) == (kind, remedy)
    wrapped = ValueError("the engine could not go on")
    wrapped.__cause__ = error
    assert failure_of(wrapped) == (kind, remedy)


async def test_a_failure_for_memory_ends_the_job_at_once_with_its_remedy(tmp_path: Path) -> None:
    failed = {"type": "failed", "kind": "capacity", "message": "MemoryError: ", "remedy": SMALLER}
    async with house(tmp_path) as at:
        job = await at.rig.ended(await at.job(STARTED, step_line(1), CHECKPOINT, ("tell", failed), ("die", 1)))
        assert job.status is JobStatus.FAILED
        assert len(job.attempts) == 1
        assert job.error is not None
        assert (job.error.kind, job.error.retryable, job.error.remedy) == (ErrorKind.CAPACITY, True, SMALLER)
        assert job.checkpoint is not None
    record_fault("worker", "MemoryError in a step", "fails as `capacity` with a remedy; a resume uses its checkpoint")


async def test_what_a_control_group_counted_is_told_as_want_of_memory(bench: Bench, tmp_path: Path) -> None:
    """The group's own files, as the kernel leaves them when it has ended everybody in it; a plain folder here."""
    group = tmp_path / "group"
    group.mkdir()
    (group / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 1\noom_kill 2\noom_group_kill 1\n")
    go = tmp_path / "go"
    bench.script(STARTED, step_line(1), ("look", str(go)), ("strike", signal.SIGKILL))
    provider = bench.provider()
    await accepted(bench, bench.submission())
    record = json_in(bench.started)
    bench.started.write_bytes(msgspec.json.encode({**record, "group": str(group)}))
    go.touch()
    last = (await poll_until(provider, lambda each: each.status is JobStatus.FAILED))[-1]
    assert last.error is not None
    assert last.error.kind is ErrorKind.CAPACITY
    assert "2 processes of its control group" in last.error.message
    assert last.error.remedy is not None
    record_fault("worker", "ended by the kernel for its control group's limit", "fails as `capacity`, says what to do")
