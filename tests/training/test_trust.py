"""No file of a model or a layer runs code: what could is refused by name, or is never opened."""

import json
import pickle
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from genomed.training.failures import WorkerFailure
from genomed.training.trust import JUDGEMENT, MANIFEST, check_base, check_layer

from .conftest import Job, make_chat_rows
from .malice import module, pickled

BASE = "/models/small"


def a_layer(
    folder: Path, *, base_model: str | None = BASE, manifest: bool = True, more: dict[str, object] | None = None
) -> Path:
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    named = {"peft_type": "LORA", "r": 8, "base_model_name_or_path": base_model} | (more or {})
    (folder / "adapter_config.json").write_text(json.dumps(named))
    if manifest:
        files = {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        (folder / MANIFEST).write_text(json.dumps({"files": files}))
        (folder / JUDGEMENT).write_text("{}")
    return folder


def a_base(folder: Path, **config: object) -> Path:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_the_malicious_pickle_of_these_tests_bites(tmp_path: Path) -> None:
    path = pickled(tmp_path / "p.bin", tmp_path / "mark")
    pickle.loads(path.read_bytes())
    assert (tmp_path / "mark").exists()


def test_a_sound_layer_and_a_sound_base_are_taken(tmp_path: Path) -> None:
    check_layer(a_layer(tmp_path / "l"), base_model=BASE)
    check_layer(a_layer(tmp_path / "bare", manifest=False), base_model=BASE)
    check_base(a_base(tmp_path / "b"))


@pytest.mark.parametrize("name", ["adapter_model.bin", "extra.pt", "state.pkl", "code.py", "lib.so", "no_suffix"])
def test_a_layer_with_anything_that_may_run_is_refused(tmp_path: Path, name: str) -> None:
    layer = a_layer(tmp_path / "l", manifest=False)
    pickled(layer / name, tmp_path / "mark")
    with pytest.raises(WorkerFailure, match="may run code"):
        check_layer(layer, base_model=BASE)
    assert not (tmp_path / "mark").exists()


def test_a_file_that_changed_since_it_was_published_is_refused(tmp_path: Path) -> None:
    layer = a_layer(tmp_path / "l")
    (layer / "adapter_model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{ }")
    with pytest.raises(WorkerFailure, match=r"adapter_model.safetensors is not the file that its manifest vouches for"):
        check_layer(layer, base_model=BASE)


def test_a_file_that_is_gone_or_came_later_is_refused(tmp_path: Path) -> None:
    less = a_layer(tmp_path / "less")
    (less / "adapter_model.safetensors").unlink()
    with pytest.raises(WorkerFailure, match="vouches for"):
        check_layer(less, base_model=BASE)
    more = a_layer(tmp_path / "more")
    (more / "chat_template.jinja").write_text("{{ x }}")
    with pytest.raises(WorkerFailure, match=r"holds chat_template.jinja, unknown to its manifest"):
        check_layer(more, base_model=BASE)


def test_a_link_in_a_layer_is_refused_wherever_it_leads(tmp_path: Path) -> None:
    for name, target in (("inside.json", "adapter_config.json"), ("outside.json", "/etc/hostname"), ("folder", "/etc")):
        layer = a_layer(tmp_path / name.partition(".")[0])
        (layer / name).symlink_to(target)
        with pytest.raises(WorkerFailure, match="holds a link"):
            check_layer(layer, base_model=BASE)


def test_a_layer_of_another_base_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkerFailure, match="was trained on /models/other") as refused:
        check_layer(a_layer(tmp_path / "l", base_model="/models/other"), base_model=BASE)
    assert refused.value.kind == "invalid_request"


def test_the_same_folder_by_another_name_is_the_same_base_model(tmp_path: Path) -> None:
    base = a_base(tmp_path / "base")
    (tmp_path / "also").symlink_to(base)
    check_layer(a_layer(tmp_path / "l", base_model=str(tmp_path / "also")), base_model=str(base))


@pytest.mark.parametrize("name", ["auto_mapping", "megatron_config"])
def test_a_layer_that_names_code_to_import_is_refused(tmp_path: Path, name: str) -> None:
    layer = a_layer(tmp_path / "l", more={name: {"parent_library": "evil", "base_model_class": "Model"}})
    with pytest.raises(WorkerFailure, match="names code to import"):
        check_layer(layer, base_model=BASE)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "generation_config.json"])
def test_remote_code_is_refused_wherever_a_model_names_it(tmp_path: Path, name: str) -> None:
    base = a_base(tmp_path / "b")
    module(base / "modeling.py", tmp_path / "mark")
    (base / name).write_text(json.dumps({"auto_map": {"AutoTokenizer": ["modeling.Tokenizer", None]}}))
    with pytest.raises(WorkerFailure, match="code of its own"):
        check_base(base)
    layer = a_layer(tmp_path / "l", manifest=False)
    shutil.copy(base / name, layer / name)
    with pytest.raises(WorkerFailure, match="code of its own"):
        check_layer(layer, base_model=BASE)
    assert not (tmp_path / "mark").exists()


def test_a_layer_that_passes_for_a_base_model_is_refused(tmp_path: Path) -> None:
    base = a_base(tmp_path / "b")
    (base / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(tmp_path / "evil")}))
    with pytest.raises(WorkerFailure, match="whatever base model it names"):
        check_base(base)


def test_a_pickled_vocabulary_is_refused(tmp_path: Path) -> None:
    base = a_base(tmp_path / "b")
    pickled(base / "vocab.pkl", tmp_path / "mark")
    with pytest.raises(WorkerFailure, match=r"vocab.pkl"):
        check_base(base)


@pytest.mark.parametrize("name", ["../evil.safetensors", "/etc/x.safetensors", "pytorch_model.bin", ""])
def test_an_index_of_weights_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    base = a_base(tmp_path / "b")
    (base / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(WorkerFailure, match="no safetensors file beside it"):
        check_base(base)


@pytest.mark.long
@pytest.mark.training
def test_a_worker_opens_no_pickle_and_runs_no_module_that_lies_beside_the_weights(job: Job, tmp_path: Path) -> None:
    marks = [tmp_path / f"mark-{n}" for n in range(4)]
    job.model = shutil.copytree(job.model, tmp_path / "base")
    for name, mark in zip(("pytorch_model.bin", "training_args.bin", "optimizer.pt"), marks, strict=False):
        pickled(job.model / name, mark)
    module(job.model / "modeling_small.py", marks[3])
    job.run(job.spec(make_chat_rows(4), schedule={"epochs": 1, "checkpoints": 0}))
    assert job.of("finished")
    assert not any(mark.exists() for mark in marks)


@pytest.mark.training
def test_a_worker_refuses_a_tokenizers_code_before_it_loads_the_tokenizer(job: Job, tmp_path: Path) -> None:
    job.model = shutil.copytree(job.model, tmp_path / "base")
    module(job.model / "evil.py", tmp_path / "mark")
    path = job.model / "tokenizer_config.json"
    config = json.loads(path.read_bytes()) | {"auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}}
    path.write_text(json.dumps(config))
    job.run(job.spec(make_chat_rows(2)), code=1)
    (failed,) = job.of("failed")
    assert "tokenizer_config.json" in str(failed["message"])
    assert not (tmp_path / "mark").exists()
