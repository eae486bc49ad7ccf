"""The local provider with the real worker: a real, tiny model is trained, stopped, resumed and published."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio import to_thread
from msgspec.structs import replace
from tests.adapters.local_bench import JOB, Bench, accepted, bench_in, json_in, level_that_works, names_in, poll_until
from tests.training.turnstile import Turnstile

from genomed.adapters.local.base_model import read_model
from genomed.adapters.local.memory import estimate, workload
from genomed.adapters.local.settings import WORKER, Sandbox
from genomed.entities.ports import Accepted, LayerRequest, Snapshot, Submission
from genomed.entities.types import TERMINAL, JobPhase, JobStatus, ModelPrecision, RowKind

pytestmark = pytest.mark.training

ROWS = 8
TRAINING = {
    "method": {"type": "lora", "loraConfig": {"rank": 2, "alpha": 4}},
    "schedule": {"epochs": 2, "batchSize": 2, "sequenceLength": 512, "checkpoints": 4, "evaluations": 1},
    "optimizer": {"learningRate": 0.001, "scheduler": {"type": "cosine", "warmupRatio": 0.1}},
    "metadata": {"maxNewTokens": 4, "threads": 1},
}

SHORT: dict[str, object] = {
    "schedule": {"epochs": 1, "batchSize": 4, "sequenceLength": 512, "checkpoints": 1, "evaluations": 0}
}

LONG: dict[str, object] = {  # 80 steps
    "schedule": {"epochs": 10, "batchSize": 1, "sequenceLength": 512, "checkpoints": 10, "evaluations": 0}
}


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("base") / "tiny"
    build = [sys.executable, str(WORKER), "build-tiny", "--steps", "0", "--size", "mini", "--out", str(out)]
    subprocess.run(build, check=True, capture_output=True)
    return out


@pytest.fixture
def trained(tmp_path: Path, base_model: Path) -> Iterator[Bench]:
    with bench_in(tmp_path, worker=str(WORKER), poll_s=0.1, sandbox="landlock") as bench:
        bench.model = base_model
        write_rows(tmp_path / "train.jsonl", ROWS)
        write_rows(tmp_path / "eval.jsonl", 2)
        yield bench


def write_rows(path: Path, count: int) -> None:
    turns = [
        [{"role": "user", "content": f"question {number}"}, {"role": "assistant", "content": f"answer {number}"}]
        for number in range(count)
    ]
    path.write_text("".join(json.dumps({"id": f"r{n}", "messages": turn}) + "\n" for n, turn in enumerate(turns)))


def submission(
    bench: Bench, changed: dict[str, object] | None = None, *, attempt: int = 1, resume: bool = False
) -> Submission:
    made = bench.submission(attempt, resume=resume, **{**TRAINING, **(changed or {})})
    payload = {**made.payload, "dataset": {"kind": "chat", "rows": ROWS, "evalRows": 2}}
    return replace(made, rows=ROWS, eval_rows=2, payload=payload)


def losses(seen: list[Snapshot]) -> dict[int, float]:
    return {point.step: point.value for each in seen for point in each.points if point.name == "loss"}


def needed(bench: Bench) -> int:
    """What the estimate says of the run, in bytes."""
    work = workload(
        bench.configuration(**TRAINING),
        read_model(bench.model),
        row_kind=RowKind.CHAT,
        longest_row_bytes=0,
        precision=ModelPrecision.FP32,
    )
    return estimate(work).total


async def run(bench: Bench, attempt: int = 1) -> list[Snapshot]:
    return await poll_until(
        bench.provider(),
        lambda each: each.status in TERMINAL | {JobStatus.PAUSED} or each.worker_lost is not None,
        attempt=attempt,
    )


async def held(bench: Bench, kind: str) -> Turnstile:
    """Where the worker that loads its libraries now will stand still: after its first line of that kind."""
    turnstile, progress = Turnstile(bench.attempt / "control.json"), bench.attempt / "progress.jsonl"
    told = f'"type":"{kind}"'.encode()
    await to_thread.run_sync(lambda: turnstile.hold_when(lambda: told in progress.read_bytes(), alive=lambda: True))
    return turnstile


async def test_this_interpreter_can_train_and_says_with_what(trained: Bench) -> None:
    capabilities = await trained.provider().capabilities()
    assert capabilities.available, capabilities.reason
    assert capabilities.versions["torch"]
    assert capabilities.hardware["memoryBytes"]
    configuration = trained.configuration(**TRAINING)
    assert (await trained.provider().check(configuration, trained.dataset(), asked=())).errors == ()


async def test_a_real_run_is_told_judged_and_published(trained: Bench) -> None:
    assert isinstance(await trained.provider().submit(submission(trained, {"output": {"suffix": "s1"}})), Accepted)
    seen = await run(trained)
    last = seen[-1]
    assert last.status is JobStatus.SUCCEEDED, last
    assert sorted(losses(seen)) == list(range(1, 9))
    assert {side for each in seen for side in each.judgements} == {"baseline", "candidate"}
    assert {made.step for each in seen for made in each.checkpoints} == {2, 4, 6, 8}
    effective = {field.field: field for each in seen for field in each.effective}
    assert effective["totalSteps"].sent == 8
    assert not [notice for each in seen for notice in each.notices if notice.code == "progress_line_unread"]
    artifact = last.artifact
    assert artifact is not None
    assert artifact.layers_adapted
    assert artifact.peak_memory_bytes is not None
    assert artifact.peak_memory_bytes < needed(trained)
    request = LayerRequest(layer_id="layer-1", destination=str(trained.root / "layers" / "layer-1"), lineage={})
    layer = await trained.provider().publish(request, artifact=artifact, job_id=JOB, attempt=1)
    assert {"adapter_config.json", "adapter_model.safetensors", "genomed-layer.json", "judgement.json"} <= {
        *names_in(Path(layer.path))
    }
    judged = json_in(f"{layer.path}/judgement.json")
    assert [sample["expected"] for sample in judged["candidate"]["samples"]] == ["answer 0", "answer 1"]


@pytest.mark.long
async def test_a_killed_run_resumed_by_a_new_daemon_ends_as_if_undisturbed(trained: Bench, tmp_path: Path) -> None:
    await trained.provider().submit(submission(trained, LONG))
    undisturbed = losses(await run(trained))
    other = tmp_path / "again"
    other.mkdir()
    with bench_in(other, worker=str(WORKER), poll_s=0.1) as bench:
        bench.model = trained.model
        write_rows(other / "train.jsonl", ROWS)
        write_rows(other / "eval.jsonl", 2)
        await bench.provider().submit(submission(bench, LONG))
        turnstile = await held(bench, "checkpoint")
        seen = await poll_until(bench.provider(), lambda each: bool(each.checkpoints))
        identity = json_in(bench.attempt / "worker.json")
        os.kill(identity["pid"], signal.SIGKILL)
        turnstile.open()
        assert (await run(bench))[-1].worker_lost is not None
        checkpoint = max(made.step for each in seen for made in each.checkpoints)
        await accepted(bench, submission(bench, LONG, attempt=2, resume=True))
        resumed = await run(bench, 2)
        assert resumed[-1].status is JobStatus.SUCCEEDED, resumed[-1]
        assert min(losses(resumed)) > checkpoint
        assert all(undisturbed[step] == value for step, value in losses(resumed).items())


@pytest.mark.long
async def test_a_paused_run_goes_on_as_a_new_attempt(trained: Bench) -> None:
    provider = trained.provider()
    await provider.submit(submission(trained, LONG))
    turnstile = await held(trained, "step")
    await poll_until(provider, lambda each: each.progress is not None)
    await provider.pause("local-x", job_id=JOB, attempt=1)
    turnstile.open()
    paused = (await run(trained))[-1]
    assert (paused.status, paused.phase) == (JobStatus.PAUSED, JobPhase.PAUSED)
    await accepted(trained, submission(trained, LONG, attempt=2, resume=True))
    seen = await run(trained, 2)
    assert seen[-1].status is JobStatus.SUCCEEDED, seen[-1]
    assert any(notice.code == "resumed" for each in seen for notice in each.notices)


async def test_a_full_result_is_published_as_a_whole_model(trained: Bench) -> None:
    await trained.provider().submit(submission(trained, {"method": {"type": "full"}}))
    last = (await run(trained))[-1]
    assert last.artifact is not None, last
    assert last.artifact.format == "full_model"
    request = LayerRequest(layer_id="layer-1", destination=str(trained.root / "layers" / "layer-1"), lineage={})
    layer = await trained.provider().publish(request, artifact=last.artifact, job_id=JOB, attempt=1)
    held = names_in(Path(layer.path))
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {*held}
    assert json_in(f"{layer.path}/genomed-layer.json")["format"] == "full_model"


async def weights_of(folder: Path, model: Path, sandbox: str) -> str:
    """Their hash. The layer's own configuration names the adapted modules in no order of its own."""
    with bench_in(folder, worker=str(WORKER), poll_s=0.1, sandbox=sandbox) as bench:
        bench.model = model
        write_rows(folder / "train.jsonl", ROWS)
        write_rows(folder / "eval.jsonl", 2)
        assert isinstance(await bench.provider().submit(submission(bench, SHORT)), Accepted)
        last = (await run(bench))[-1]
        assert last.status is JobStatus.SUCCEEDED, last
        assert last.artifact is not None
        assert last.confinement is not None
        assert last.confinement.level == sandbox
        return last.artifact.files["adapter_model.safetensors"]


def working() -> list[str]:
    levels: tuple[Sandbox, ...] = ("landlock", "bubblewrap")
    return [level for level in levels if level_that_works(level).level == level]


@pytest.mark.long
async def test_every_level_of_confinement_ends_with_the_same_weights(tmp_path: Path, base_model: Path) -> None:
    levels = working()
    if not levels:
        pytest.skip("neither Landlock nor bubblewrap works here")
    assert len({await weights_of(tmp_path / level, base_model, level) for level in levels}) == 1


@pytest.mark.long
async def test_training_confined_ends_with_the_weights_of_training_free(tmp_path: Path, base_model: Path) -> None:
    levels = ("none", "rlimits", *working())
    assert len({await weights_of(tmp_path / level, base_model, level) for level in levels}) == 1
