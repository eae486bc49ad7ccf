"""What is never opened: pickles, and code that comes with weights. No engine is loaded for a refusal."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.patience import PATIENCE_S

from genomed.training.failures import WorkerFailure
from genomed.training.model import layer_config, refuse_unsafe
from genomed.training.tiny_task import lessons, pretraining_rows

from .conftest import WORKER, Job, make_chat_rows


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(WorkerFailure, match=r"only pickled weights \(pytorch_model.bin\)") as refused:
        refuse_unsafe(tmp_path)
    assert refused.value.kind == "unsupported"


def test_code_that_comes_with_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "config.json").write_text(json.dumps({"auto_map": {"AutoModelForCausalLM": "evil.Model"}}))
    with pytest.raises(WorkerFailure, match="code of its own"):
        refuse_unsafe(tmp_path)


def test_a_pickled_layer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(WorkerFailure, match="pickled layers are refused"):
        layer_config(tmp_path)


@pytest.mark.training
def test_a_worker_never_opens_a_pickled_base_model(job: Job, tmp_path: Path) -> None:
    job.model = shutil.copytree(job.model, tmp_path / "pickled")
    (job.model / "model.safetensors").rename(job.model / "pytorch_model.bin")
    job.run(job.spec(make_chat_rows(2)), code=1)
    (failed,) = job.of("failed")
    assert failed["kind"] == "unsupported"
    assert "pytorch_model.bin" in str(failed["message"])


def test_a_probe_answers_with_one_json_object_and_never_fails() -> None:
    bare = subprocess.run(
        [sys.executable, "-I", "-S", str(WORKER), "probe"], capture_output=True, check=True, timeout=PATIENCE_S
    )
    told = json.loads(bare.stdout)
    assert told["device"]["kind"] == "cpu"
    assert "torch is not installed in this interpreter" in told["problems"]
    assert told["versions"]["torch"] is None
    assert told["qlora"] is False


def test_the_daemon_side_of_the_room_loads_no_engine() -> None:
    modules = (
        "command_line, specification, settings, protocol, checkpoints, callbacks, rows, model, judge, run, tiny_task"
    )
    script = (
        f"from genomed.training import {modules}\nimport sys\n"
        "print(sorted({'torch', 'transformers', 'trl', 'peft', 'datasets'} & sys.modules.keys()))"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=PATIENCE_S)
    assert told.stdout.strip() == b"[]"


def test_a_built_model_says_what_it_is(tiny_model_dir: Path) -> None:
    about = json.loads((tiny_model_dir / "task.json").read_text())
    assert about["steps"] == 0
    assert about["parameters"] < 100_000
    assert json.loads((tiny_model_dir / "config.json").read_text())["max_position_embeddings"] >= 1024
    assert not [path for path in tiny_model_dir.parent.iterdir() if path.name.startswith(".")]


def test_lessons_are_distinct_reproducible_and_in_a_style_the_base_never_uses() -> None:
    taught = lessons(48, seed=1)
    assert taught == lessons(48, seed=1) != lessons(48, seed=2)
    assert len({lesson.prompt for lesson in taught}) == 48
    assert all(lesson.wanted.startswith("queue=") and lesson.base_answer.startswith("This ticket") for lesson in taught)


def test_the_base_model_is_never_taught_to_answer_a_bare_ticket_with_a_record() -> None:
    rows = pretraining_rows(1)
    for row in (next(rows) for _ in range(3000)):
        if row.assistant.startswith("queue="):
            assert row.user.startswith(("As a record: ", "Write a record: "))
