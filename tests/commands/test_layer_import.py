"""genome/layer-import: what is taken, and everything that is refused, each time with what is wrong named."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.adapters.local_bench import TINY, json_in, make_model, names_in, safetensors
from tests.commands.local_layers import local_layer, working
from tests.daemon.daemon_rig import Json

from genomed.adapters.local import layer_trust
from genomed.commands.context import Caller
from genomed.entities.errors import ErrorKind
from genomed.entities.types import Role

CONFIG: Json = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "r": 2,
    "lora_alpha": 4,
    "target_modules": ["q_proj"],
    "base_model_name_or_path": "org/tiny",
    "auto_mapping": None,
}
Q = "base_model.model.model.layers.0.self_attn.q_proj"
TENSORS: dict[str, tuple[int, ...]] = {f"{Q}.lora_A.weight": (2, 8), f"{Q}.lora_B.weight": (8, 2)}


def peft_folder(root: Path, tensors: dict[str, tuple[int, ...]] = TENSORS, **config: object) -> Path:
    folder = root / "elsewhere"
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | config))
    (folder / "adapter_model.safetensors").write_bytes(safetensors(tensors))
    (folder / "README.md").write_text("a card")
    (folder / ".gitattributes").write_text("x")
    (folder / "checkpoint-1").mkdir(exist_ok=True)
    return folder


def asked(root: Path, folder: Path, **more: object) -> Json:
    base = make_model(root / "model")
    return {"path": str(folder), "personaId": "ada", "domain": "sums", "baseModel": str(base), **more}


async def test_a_peft_folder_becomes_a_layer_that_says_where_it_came_from(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        answer = await rig.call("layer-import", asked(tmp_path, peft_folder(tmp_path)))
        layer = answer["layer"]
        assert (answer["baseModelNamed"], answer["leftOut"]) == ("org/tiny", [".gitattributes", "checkpoint-1"])
        assert (layer["version"], layer["jobId"], layer["datasetId"]) == (1, None, None)
        folder = Path(layer["path"])
        taken = ["README.md", "adapter_config.json", "adapter_model.safetensors"]
        assert names_in(folder) == [*taken[:1], *taken[1:], "genomed-layer.json"]
        assert json_in(folder / "adapter_config.json")["base_model_name_or_path"] == str(tmp_path / "model")
        assert layer_trust.verified(folder, manifest_sha256=layer["manifestSha256"]).layer_id == layer["layerId"]
        assert names_in(rig.data_dir / "layers") == [layer["layerId"]]

        shown = (await rig.call("layer-show", {"layerId": layer["layerId"]}))["layer"]
        assert {**shown, "publishedUs": 0} == {**layer, "publishedUs": 0}
        assert shown["imported"]["source"] == str(tmp_path / "elsewhere")
        await rig.call("layer-activate", {"layerId": layer["layerId"], "force": True})
        again = await rig.call("layer-import", asked(tmp_path, peft_folder(tmp_path)))
        assert again["layer"]["version"] == 2


def pickled(folder: Path) -> None:
    (folder / "adapter_model.bin").write_bytes(b"x")


def coded(folder: Path) -> None:
    (folder / "modeling.py").write_text("import os")


def linked(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()
    (folder / "adapter_model.safetensors").symlink_to("/etc/hostname")


def without_weights(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()


def without_configuration(folder: Path) -> None:
    (folder / "adapter_config.json").unlink()


def cut(folder: Path) -> None:
    whole = (folder / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(whole[:-3])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (pickled, "adapter_model.bin may hold code"),
        (coded, "modeling.py may hold code"),
        (linked, "is a link"),
        (without_weights, "safetensors is missing"),
        (without_configuration, "no PEFT folder"),
        (cut, "cut or damaged"),
    ],
)
async def test_a_folder_that_is_not_safe_or_not_whole_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    async with working(tmp_path) as rig:
        folder = peft_folder(tmp_path)
        spoil(folder)
        error = await rig.refused("layer-import", asked(tmp_path, folder))
        assert (error.kind, error.field) == (ErrorKind.INVALID_REQUEST, "path")
        assert says in error.message
        assert names_in(rig.data_dir / "layers") == [] if (rig.data_dir / "layers").exists() else True


@pytest.mark.parametrize(
    ("tensors", "config", "says"),
    [
        ({f"{Q}.lora_A.weight": (2, 9), f"{Q}.lora_B.weight": (8, 2)}, {}, "(8, 9)"),
        ({f"{Q}.lora_A.weight": (3, 8), f"{Q}.lora_B.weight": (8, 3)}, {}, "rank 3"),
        ({f"{Q}.lora_A.weight": (2, 8)}, {}, "no pair"),
        ({**TENSORS, f"{Q}.extra": (2, 2)}, {}, "is no LoRA weight"),
        ({**TENSORS, "base_model.model.lm_head.weight": (17, 8)}, {}, "(17, 8)"),
        ({k.replace("q_proj", "z_proj"): v for k, v in TENSORS.items()}, {}, "no module"),
        (TENSORS, {"peft_type": "IA3"}, "only LORA"),
        (TENSORS, {"auto_mapping": {"parent_library": "evil"}}, "classes by name"),
    ],
)
async def test_a_layer_that_does_not_fit_or_asks_for_more_is_refused(
    tmp_path: Path, tensors: dict[str, tuple[int, ...]], config: Json, says: str
) -> None:
    async with working(tmp_path) as rig:
        error = await rig.refused("layer-import", asked(tmp_path, peft_folder(tmp_path, tensors, **config)))
        assert error.kind is ErrorKind.INVALID_REQUEST
        assert says in error.message


async def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        folder = peft_folder(tmp_path, {f"{Q}.lora_A.weight": (2, 9)}, peft_type="IA3", layer_replication=[[0, 1]])
        error = await rig.refused("layer-import", asked(tmp_path, folder))
        assert len(error.details) == 3


async def test_saved_modules_and_bare_names_fit_too(tmp_path: Path) -> None:
    tensors = {**TENSORS, "base_model.model.lm_head.weight": TINY["lm_head.weight"]}
    async with working(tmp_path) as rig:
        assert (await rig.call("layer-import", asked(tmp_path, peft_folder(tmp_path, tensors))))["layer"]


async def test_a_base_model_that_is_none_and_a_caller_who_is_bound_are_refused(tmp_path: Path) -> None:
    bound = Caller(actor="uid:7", role=Role.OPERATE, personas=frozenset({"ada"}))
    async with working(tmp_path) as rig:
        params = asked(tmp_path, peft_folder(tmp_path))
        error = await rig.refused("layer-import", {**params, "baseModel": str(tmp_path)})
        assert (error.kind, error.field) == (ErrorKind.INVALID_REQUEST, "baseModel")
        reply = await rig.execute("layer-import", params, caller=bound)
        assert not isinstance(reply.error, msgspec.UnsetType)
        assert reply.error.kind is ErrorKind.FORBIDDEN


async def test_what_an_import_left_that_no_event_told_of_is_removed_at_the_next_start(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        layers = rig.data_dir / "layers"
        kept = (await rig.call("layer-import", asked(tmp_path, peft_folder(tmp_path))))["layer"]["layerId"]
        trained = await local_layer(rig, tmp_path, base=str(tmp_path / "model"))
        shutil.copytree(layers / kept, layers / "layer-unheard")
        shutil.copytree(layers / trained, layers / "layer-of-a-job-that-goes-on")
        (layers / ".layer-2.import").mkdir()
        await rig.parts.prunings.clear()
        assert names_in(layers) == sorted([kept, trained, "layer-of-a-job-that-goes-on"])


@pytest.mark.parametrize("name", ["a\nb.txt", "b\udcff.txt", "\u202etxt.json", "x" * 240 + ".txt"])
async def test_a_file_with_a_name_that_hides_something_is_refused(tmp_path: Path, name: str) -> None:
    folder = peft_folder(tmp_path)
    (folder / name).write_text("{}")
    async with working(tmp_path) as rig:
        error = await rig.refused("layer-import", asked(tmp_path, folder))
        assert (error.kind, error.field) == (ErrorKind.INVALID_REQUEST, "path")
        assert list(rig.data_dir.glob("layers/*")) == []


async def test_names_that_are_left_out_are_told_as_the_log_can_hold_them(tmp_path: Path) -> None:
    folder = peft_folder(tmp_path)
    (folder / ".\udcff").write_text("x")
    for nth in range(150):
        (folder / f".{nth:03}{chr(1) * 240}").write_text("x")
    async with working(tmp_path) as rig:
        answer = await rig.call("layer-import", asked(tmp_path, folder))
        assert names_in(rig.data_dir / "layers") == [answer["layer"]["layerId"]]
        assert len(json.dumps(answer["leftOut"])) < 32_000


async def test_a_configuration_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    folder = peft_folder(tmp_path)
    (folder / "adapter_config.json").write_text(
        '{"peft_type": "LORA", "r": 2, "x": ' + "[" * 100_000 + "]" * 100_000 + "}"
    )
    async with working(tmp_path) as rig:
        error = await rig.refused("layer-import", asked(tmp_path, folder))
        assert error.kind is ErrorKind.INVALID_REQUEST


async def test_a_weights_file_that_promises_more_header_than_there_can_be_is_refused(tmp_path: Path) -> None:
    folder = peft_folder(tmp_path)
    (folder / "adapter_model.safetensors").write_bytes((1 << 60).to_bytes(8, "little") + b"{}")
    async with working(tmp_path) as rig:
        error = await rig.refused("layer-import", asked(tmp_path, folder))
        assert error.kind is ErrorKind.INVALID_REQUEST


async def test_a_pipe_in_the_folder_holds_nobody_up(tmp_path: Path) -> None:
    folder = peft_folder(tmp_path)
    os.mkfifo(folder / "notes.txt")
    async with working(tmp_path) as rig:
        error = await rig.refused("layer-import", asked(tmp_path, folder))
        assert error.kind is ErrorKind.INVALID_REQUEST
