"""spec.json is read strictly: what is missing, unknown or of another kind is named."""

import json
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from genomed.training.failures import WorkerFailure
from genomed.training.specification import Specification, load
from genomed.training.strict import wire_name

from .conftest import Job, Json, merged


@pytest.fixture
def sound(tmp_path: Path) -> Json:
    job = Job(tmp_path, tmp_path / "model")
    return job.spec([{"id": "1"}], judge={"baselineLayer": None, "maxNewTokens": 8, "samples": 1})


def loaded(tmp_path: Path, document: object) -> object:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(document))
    return load(path)


def test_a_sound_specification_is_read(tmp_path: Path, sound: Json) -> None:
    loaded(tmp_path, sound)


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (("schedule", "epochs"), 0, "start at 1"),
        (("schedule", "epochs"), "3", "schedule.epochs is '3', wanted int"),
        (("schedule", "epochs"), True, "schedule.epochs is True"),
        (("schedule", "epochs"), 1.5, "schedule.epochs is 1.5"),
        (("schedule", "warmup"), 1, "schedule.warmup is not a known field"),
        (("method", "type"), "magic", r"wanted one of \['lora', 'qlora', 'full'\]"),
        (("method", "lora"), None, "method.lora is missing"),
        (("optimizer", "learningRate"), 0, "teaches nothing"),
        (("optimizer", "scheduler"), {"minLRRatio": 2}, "ratios lie in 0 to 1"),
        (("optimizations",), "all", "wanted strings"),
        (("protocol",), 2, "this worker speaks 1"),
        (("resume",), 1, "resume is 1, wanted true or false"),
        (("paths",), [], "wanted an object"),
    ],
)
def test_what_is_wrong_is_refused_by_name(
    tmp_path: Path, sound: Json, path: tuple[str, ...], value: object, complaint: str
) -> None:
    change = value
    for key in reversed(path):
        change = {key: change}
    with pytest.raises(WorkerFailure, match=complaint) as refused:
        loaded(tmp_path, merged(sound, change))
    assert refused.value.kind == "invalid_request"


def test_a_missing_key_is_never_guessed(tmp_path: Path, sound: Json) -> None:
    later = {wire_name(field.name) for field in fields(Specification) if field.default is not MISSING}
    for key in sound.keys() - later:
        with pytest.raises(WorkerFailure, match=f"{key} is missing"):
            loaded(tmp_path, {name: value for name, value in sound.items() if name != key})


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text("{")
    with pytest.raises(WorkerFailure, match="is not JSON"):
        load(tmp_path / "spec.json")


@pytest.mark.parametrize(
    ("name", "wire"),
    [("seed", "seed"), ("max_gradient_norm", "maxGradientNorm"), ("min_lr_ratio", "minLRRatio"), ("job_id", "jobId")],
)
def test_names_on_the_wire_are_the_seeds_spelling(name: str, wire: str) -> None:
    assert wire_name(name) == wire
