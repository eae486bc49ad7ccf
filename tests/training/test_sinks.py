"""Where a run's numbers also go: JSON lines, TensorBoard's events, an offline run of Weights & Biases."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from genomed.training.sinks.wandb_log import BLOCK, RecordLog, records_in

from .conftest import Job
from .vector_task import BASE_MODEL, make_vector_rows

pytestmark = pytest.mark.training

STEPS = 16


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A short run that tells its numbers to everybody."""
    folder = tmp_path_factory.mktemp("sinks") / "job"
    folder.mkdir()
    job = Job(folder, Path("/nowhere"))
    rows = make_vector_rows(80)
    spec = job.spec(rows[:64], rows[64:], "vector_pair")
    spec |= {
        "baseModel": BASE_MODEL,
        "projection": {"widths": [12, 48, 24, 6], "dropout": 0.0, "targetLoss": 0.15},
        "method": {"type": "full", "lora": None},
        "judge": {"baselineLayer": None, "maxNewTokens": 4, "samples": 2},
        "sinks": {
            "jsonl": True,
            "tensorboard": True,
            "wandb": {"project": "house", "runName": "first", "baseUrl": None},
        },
    }
    spec["schedule"] = {**_object(spec["schedule"]), "batchSize": 8, "evaluations": 2}
    job.run(spec)
    return job


def _object(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = import_module("tensorboard.backend.event_processing.event_accumulator").EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def records(job: Job) -> Iterator[Any]:
    (path,) = (job.here / "metrics" / "wandb").glob("offline-run-*/run-*.wandb")
    message = import_module("wandb.proto.wandb_internal_pb2").Record
    for data in records_in(path):
        yield message.FromString(data)


def items(entries: Any) -> dict[str, Any]:
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in entries}


def test_the_layer_holds_none_of_it(told: Job) -> None:
    assert sorted(path.name for path in told.result.iterdir()) == ["model.safetensors", "projection.json"]
    fields = [field for line in told.of("effective") for field in _fields(line)]
    named = {field["field"]: field["note"] for field in fields if str(field["field"]).startswith("sinks.")}
    assert named == dict.fromkeys(("sinks.jsonl", "sinks.tensorboard", "sinks.wandb"), str(told.here / "metrics"))


def _fields(line: dict[str, object]) -> list[dict[str, object]]:
    held = line["fields"]
    assert isinstance(held, list)
    return held


def test_json_lines_hold_every_step_and_judgement_as_the_daemon_hears_them(told: Job) -> None:
    lines = [json.loads(line) for line in (told.here / "metrics" / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["type"] == "step"]
    assert [step["loss"] for step in steps] == [step["loss"] for step in told.of("step")]
    assert len(steps) == STEPS
    assert [line["side"] for line in lines if line["type"] == "judged"] == ["baseline", "candidate"]
    assert lines[-1]["type"] == "finished"
    assert not any("samples" in line for line in lines)


def test_tensorboard_reads_the_same_curve(told: Job) -> None:
    found = scalars(told.here / "metrics" / "tensorboard")
    losses = [float(str(step["loss"])) for step in told.of("step")]
    assert [step for step, _ in found["train/loss"]] == [step["step"] for step in told.of("step")]
    assert [value for _, value in found["train/loss"]] == pytest.approx(losses)
    assert [step for step, _ in found["eval/loss"]] == [8, 16]
    assert found["candidate/cosine"][0][1] > found["baseline/cosine"][0][1]


def test_an_offline_run_of_weights_and_biases_holds_the_same_curve(told: Job) -> None:
    found = list(records(told))
    assert [record.num for record in found] == list(range(1, len(found) + 1))
    run = found[0].run
    assert (run.project, run.display_name, run.run_id) == ("house", "first", "job-test-1")
    config = items(run.config.update)
    assert (config["baseModel"], config["batchSize"], config["rows"]) == (BASE_MODEL, 8, 64)
    assert not any(str(told.folder) in str(value) for value in config.values())
    history = [items(record.history.item) for record in found if record.WhichOneof("record_type") == "history"]
    assert [row["train/loss"] for row in history if "train/loss" in row] == [step["loss"] for step in told.of("step")]
    looked = [row["_step"] for row in history if "eval/loss" in row]
    assert looked == [8, 16]
    assert found[-1].exit.exit_code == 0
    summary = next(record for record in found if record.WhichOneof("record_type") == "summary")
    assert items(summary.summary.update)["candidate/cosine"] > 0


@pytest.mark.parametrize("size", [0, 1, BLOCK - 15, BLOCK - 14, BLOCK - 13, BLOCK - 7, BLOCK, 3 * BLOCK + 5])
def test_a_record_of_any_size_is_read_as_it_was_written(tmp_path: Path, size: int) -> None:
    log = RecordLog(tmp_path / "run.wandb")
    held = [bytes([7]) * size, b"after", bytes([9]) * size]
    for record in held:
        log.write(record)
    log.close()
    assert records_in(tmp_path / "run.wandb") == held
    (tmp_path / "cut.wandb").write_bytes((tmp_path / "run.wandb").read_bytes()[:-1])
    assert records_in(tmp_path / "cut.wandb") == held[:2]


def test_the_librarys_own_file_is_read_as_well() -> None:
    path = Path(__file__).parents[1] / "golden" / "wandb" / "offline-run.wandb"
    message: Any = import_module("wandb.proto.wandb_internal_pb2").Record
    found = [message.FromString(data) for data in records_in(path)]
    assert [record.num for record in found] == list(range(1, len(found) + 1))
    losses = [
        items(record.history.item).get("loss") for record in found if record.WhichOneof("record_type") == "history"
    ]
    assert losses == [1.0, 0.5, 1 / 3]
