"""Real runs of what costs too much for every day: several processes, and engines that were installed for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.training.conftest import WORKER, Job, Line
from tests.training.engine_interpreters import interpreter

pytestmark = [pytest.mark.long]


def chats(count: int) -> list[object]:
    return [
        {
            "id": f"row{number}",
            "messages": [
                {"role": "user", "content": f"Anna cannot sign in, number {number}"},
                {"role": "assistant", "content": "queue=access; priority=high"},
            ],
        }
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("base") / "mini"
    command = [sys.executable, str(WORKER), "build-tiny", "--out", str(out), "--size", "mini", "--steps", "20"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return out


def carried_out(job: Job, python: Path, **changes: object) -> list[Line]:
    spec = job.spec(chats(20), chats(4), judge={"baselineLayer": None, "maxNewTokens": 4, "samples": 0}) | changes
    path = job.here / "spec.json"
    path.write_text(json.dumps(spec))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(python), str(WORKER), "run", str(path)], cwd=job.here, env=environment, capture_output=True, text=True,
        check=False, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:] + str(job.lines()[-1:])
    return job.lines()


def losses(job: Job, side: str) -> float:
    [line] = [line for line in job.of("judged") if line["side"] == side]
    assert isinstance(line["loss"], float)
    return line["loss"]


def curve(job: Job) -> list[float]:
    return [float(str(line["loss"])) for line in job.of("step")]


def test_two_processes_learn_as_one_does_and_only_one_of_them_tells(base: Path, tmp_path: Path) -> None:
    alone, shared = Job(tmp_path / "alone", base), Job(tmp_path / "shared", base)
    for job, processes in ((alone, 1), (shared, 2)):
        job.folder.mkdir()
        carried_out(job, Path(sys.executable), processes=processes, threads=1)
    assert len(shared.of("started")) == len(shared.of("finished")) == 1
    assert len(shared.of("checkpoint")) == len(alone.of("checkpoint"))
    # A mean of two halves is the whole's where both have as many tokens that count.
    assert curve(shared) == pytest.approx(curve(alone), rel=0.02)
    assert shared.of("finished")[0]["tokensSeen"] == alone.of("finished")[0]["tokensSeen"]
    assert losses(shared, "candidate") < losses(shared, "baseline")


@pytest.mark.parametrize("engine", ["axolotl", "torchtune"])
def test_an_installed_engine_lowers_the_held_out_loss_and_leaves_a_plain_layer(
    base: Path, tmp_path: Path, engine: str
) -> None:
    python = interpreter(engine)
    job = Job(tmp_path, base)
    carried_out(job, Path(python), engine=engine, engineReason="named")
    [finished] = job.of("finished")
    assert len(job.of("step")) == finished["step"] == finished["totalSteps"]
    assert losses(job, "candidate") < losses(job, "baseline")
    layer = {path.name for path in job.result.iterdir()}
    assert layer == {"adapter_config.json", "adapter_model.safetensors"}
