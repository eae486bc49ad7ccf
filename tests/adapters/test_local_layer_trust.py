"""A layer is loaded only if it is what was published, on the base model that it was trained on."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from tests.adapters.local_bench import TINY, make_model, safetensors
from tests.training.malice import pickled

from genomed.adapters import _layer_folder
from genomed.adapters._layer_manifest import MANIFEST_NAME, BaseModel, LayerManifest
from genomed.adapters.local.base_model import UnfitModel, read_model
from genomed.adapters.local.layer_trust import objection
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import ErrorBody
from genomed.entities.facts import Artifact
from genomed.entities.ports import Submission
from genomed.entities.types import RowKind

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


class Shelf:
    """One base model and one layer that was published on it, as the daemon publishes."""

    def __init__(self, root: Path, *, named: str | None = None) -> None:
        self.base = make_model(root / "base")
        made = root / "made"
        made.mkdir()
        (made / WEIGHTS).write_bytes(safetensors({"lora_A": (2, 8)}))
        (made / CONFIG).write_text(json.dumps({"base_model_name_or_path": named or str(self.base)}))
        files = {path.name: sha256(path.read_bytes()).hexdigest() for path in made.iterdir()}
        manifest = LayerManifest(
            layer_id="lay-1",
            format="peft_lora",
            base_model=BaseModel(name=str(self.base), fingerprint=read_model(self.base).fingerprint),
            files=files,
            lineage={},
            metrics={},
        )
        artifact = Artifact(format="peft_lora", location=str(made), files=files, size_bytes=1)
        self.layer = root / "layers" / "lay-1"
        published = _layer_folder.publish(self.layer, manifest, artifact=artifact, source=made)
        self.sha256 = published.manifest_sha256

    def objection(self, *, base: Path | None = None, sha: str | None = None) -> ErrorBody | None:
        raw = {
            "model": {"baseModel": str(base or self.base)},
            "datasets": {"trainingFileId": "ds-1"},
            "method": {"type": "lora"},
        }
        submission = Submission(
            job_id="job-1",
            attempt=1,
            key="k",
            configuration=msgspec.convert(raw, JobConfiguration),
            payload={},
            row_kind=RowKind.CHAT,
            train_path="/t",
            eval_path=None,
            rows=1,
            eval_rows=0,
            dataset_sha256="",
            parent_layer_path=str(self.layer),
            parent_layer_sha256=sha or self.sha256,
        )
        return objection(submission)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def told(error: ErrorBody | None) -> str:
    assert error is not None
    assert error.retryable is False
    assert error.remedy is not None
    return error.message


def _resealed(layer: Path) -> None:
    """Somebody who can write there makes the manifest fit again."""
    manifest = json.loads((layer / MANIFEST_NAME).read_bytes())
    manifest["files"] = {name: sha256((layer / name).read_bytes()).hexdigest() for name in manifest["files"]}
    (layer / MANIFEST_NAME).write_text(json.dumps(manifest))


def test_a_layer_as_it_was_published_is_taken(shelf: Shelf) -> None:
    assert shelf.objection() is None


def test_weights_that_changed_are_refused(shelf: Shelf) -> None:
    (shelf.layer / WEIGHTS).write_bytes(safetensors({"lora_A": (2, 9)}))
    assert f"{WEIGHTS} is not the file that was published" in told(shelf.objection())


def test_weights_that_changed_with_their_manifest_are_refused_by_the_logs_hash(shelf: Shelf) -> None:
    (shelf.layer / WEIGHTS).write_bytes(safetensors({"lora_A": (2, 9)}))
    _resealed(shelf.layer)
    assert "the log has another hash" in told(shelf.objection())


def test_a_pickle_put_beside_the_weights_is_refused_and_never_opened(shelf: Shelf, tmp_path: Path) -> None:
    pickled(shelf.layer / "adapter_model.bin", tmp_path / "mark")
    assert "adapter_model.bin was not published with it" in told(shelf.objection())
    assert not (tmp_path / "mark").exists()


def _link_weights(layer: Path) -> None:
    kept = (layer / WEIGHTS).rename(layer.parent / "elsewhere")
    (layer / WEIGHTS).symlink_to(kept)


def _link_folder(layer: Path) -> None:
    layer.symlink_to(layer.rename(layer.parent / "elsewhere"))


def _lose_manifest(layer: Path) -> None:
    (layer / MANIFEST_NAME).unlink()


def _break_manifest(layer: Path) -> None:
    (layer / MANIFEST_NAME).write_text("{")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_link_weights, "is a link"),
        (_link_folder, "its folder is a link"),
        (_lose_manifest, "is missing"),
        (_break_manifest, "cannot be read"),
    ],
    ids=["linked weights", "linked folder", "no manifest", "broken manifest"],
)
def test_a_layer_that_leads_elsewhere_or_vouches_for_nothing_is_refused(
    shelf: Shelf, harm: Callable[[Path], None], message: str
) -> None:
    harm(shelf.layer)
    assert message in told(shelf.objection())


def test_a_manifest_that_lists_a_file_outside_is_refused(shelf: Shelf) -> None:
    secret = shelf.layer.parent / "secret.json"
    secret.write_text("{}")
    manifest = json.loads((shelf.layer / MANIFEST_NAME).read_bytes())
    manifest["files"]["../secret.json"] = sha256(b"{}").hexdigest()
    data = json.dumps(manifest).encode()
    (shelf.layer / MANIFEST_NAME).write_bytes(data)
    assert "leads out of its folder" in told(shelf.objection(sha=sha256(data).hexdigest()))


def test_another_base_model_than_the_layers_own_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    assert "it was trained on" in told(shelf.objection(base=make_model(tmp_path / "other")))


def test_a_layer_whose_own_configuration_names_another_base_is_refused(tmp_path: Path) -> None:
    assert "names another base model, evil/model" in told(Shelf(tmp_path, named="evil/model").objection())


def test_a_base_model_whose_weights_were_exchanged_is_refused(shelf: Shelf) -> None:
    (shelf.base / "model.safetensors").write_bytes(safetensors(TINY | {"extra.weight": (2, 2)}))
    assert "are not those that it was trained on" in told(shelf.objection())


def test_a_base_model_that_is_a_layer_or_whose_index_leads_elsewhere_is_no_base_model(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base")
    (base / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": "../x.safetensors"}}))
    with pytest.raises(UnfitModel, match="no safetensors file beside it"):
        read_model(base)
    (base / "model.safetensors.index.json").unlink()
    (base / CONFIG).write_text("{}")
    with pytest.raises(UnfitModel, match="is a layer"):
        read_model(base)
