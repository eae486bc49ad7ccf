"""Layers made elsewhere: copied aside, looked at as the copy lies there, then published like any other layer.

What is looked at is the copy, so that nobody exchanges a file between the look and the use. Blocking parts run in
threads.
"""

import re
import shutil
from errno import EDQUOT, ENOSPC
from functools import partial
from pathlib import Path

import msgspec
from anyio import to_thread

from genomed.adapters import _layer_folder
from genomed.adapters._durable_files import hash_file, write
from genomed.adapters._layer_manifest import JUDGEMENT_NAME, MANIFEST_NAME, BaseModel, LayerManifest
from genomed.adapters.local import layer_fit
from genomed.adapters.local.base_model import ModelFolder, UnfitModel, read_model
from genomed.adapters.local.publication import TEXTS
from genomed.adapters.local.worker_file import is_plain, open_plain, read_plain
from genomed.entities.errors import Capacity, InvalidRequest, Problem, Transient
from genomed.entities.facts import Artifact
from genomed.entities.layer_import_port import ImportedLayer, LayerImport

OURS = (MANIFEST_NAME, JUDGEMENT_NAME)
MOST_FILES = 200
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. +-]{0,127}")
"""Names that look the same wherever they are shown, and that the log can hold."""
MOST_LEFT_TOLD = 50
LONGEST_NAME_TOLD = 80


class LocalImports:
    """Fulfils LayerImporter."""

    def __init__(self, layers_dir: Path) -> None:
        self._layers_dir = layers_dir

    async def take(self, wish: LayerImport) -> ImportedLayer:
        return await to_thread.run_sync(partial(_take, wish, self._layers_dir / wish.layer_id))


def _take(wish: LayerImport, destination: Path) -> ImportedLayer:
    source, aside = Path(wish.source), destination.with_name(f".{destination.name}.import")
    try:
        names, left_out = _names(source)
        aside.mkdir(parents=True)
        try:
            for name in names:
                _copy(source / name, aside / name)
            return _published(wish, aside, destination, left_out)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as trouble:
        if trouble.errno in (ENOSPC, EDQUOT):
            raise Capacity(f"no room on the disk to import {source}: {trouble}") from trouble
        raise Transient(f"could not import {source}: {trouble}") from trouble


def _names(source: Path) -> tuple[list[str], tuple[str, ...]]:
    """What is taken, and what is left. Raises InvalidRequest, OSError."""
    if not source.is_dir():
        raise InvalidRequest.of([Problem(field="path", message=f"{source} is no folder")])
    there = sorted(path.name for path in source.iterdir())
    if len(there) > MOST_FILES:
        raise InvalidRequest.of([Problem(field="path", message=f"{source} holds {len(there)} files: this is no layer")])
    left = [name for name in there if name.startswith(".") or name in OURS or (source / name).is_dir()]
    taken = [name for name in there if name not in left]
    wrong = []
    for name in taken:
        if NAME.fullmatch(name) is None:
            wrong.append(f"{_shown(name)} has a name that is not plain: letters of ASCII, digits, and . _ - + only")
        elif not is_plain(source / name):
            wrong.append(f"{name} is a link or no plain file")
        elif name != layer_fit.WEIGHTS and Path(name).suffix not in TEXTS:
            wrong.append(f"{name} may hold code; a layer is {layer_fit.WEIGHTS} and plain text")
    _refuse("path", wrong, remedy="leave such files out of the folder, or save weights as safetensors")
    told = tuple(_shown(name) for name in left[:MOST_LEFT_TOLD])
    return taken, told if len(left) <= MOST_LEFT_TOLD else (*told, f"and {len(left) - MOST_LEFT_TOLD} more")


def _shown(name: str) -> str:
    return name if NAME.fullmatch(name.removeprefix(".")) else ascii(name[:LONGEST_NAME_TOLD])


def _refuse(field: str, wrong: list[str], *, remedy: str | None = None) -> None:
    if wrong:
        raise InvalidRequest.of([Problem(field=field, message=message, remedy=remedy) for message in wrong])


def _copy(source: Path, target: Path) -> None:
    with open_plain(source) as reader, target.open("xb") as writer:
        shutil.copyfileobj(reader, writer)


def _published(wish: LayerImport, aside: Path, destination: Path, left_out: tuple[str, ...]) -> ImportedLayer:
    base = _base(wish.base_model)
    config = layer_fit.config_in(aside)
    if isinstance(config, str):
        raise InvalidRequest.of([Problem(field="path", message=config)])
    _refuse("path", layer_fit.objections(aside, config, base))
    _name_base(aside / layer_fit.CONFIG, wish.base_model)
    files = {path.name: hash_file(path) for path in sorted(aside.iterdir())}
    size = sum(path.stat().st_size for path in aside.iterdir())
    artifact = Artifact(format="peft_lora", location=str(aside), files=files, size_bytes=size)
    manifest = LayerManifest(
        layer_id=wish.layer_id,
        format=artifact.format,
        base_model=BaseModel(name=wish.base_model, fingerprint=base.fingerprint),
        files=files,
        lineage={"importedFrom": wish.source, "baseModelNamed": config.base_model_name_or_path},
        metrics={},
    )
    return ImportedLayer(
        published=_layer_folder.publish(destination, manifest, artifact=artifact, source=aside),
        base_model_named=config.base_model_name_or_path,
        left_out=left_out,
    )


def _base(base_model: str) -> ModelFolder:
    try:
        return read_model(Path(base_model))
    except UnfitModel as unfit:
        raise InvalidRequest.of([Problem(field="baseModel", message=str(unfit))]) from unfit


def _name_base(path: Path, base_model: str) -> None:
    """So that whatever opens the layer finds the base model it was checked against, and no other."""
    whole = msgspec.json.decode(read_plain(path), type=dict[str, object])
    path.unlink()
    write(path, msgspec.json.format(msgspec.json.encode({**whole, "base_model_name_or_path": base_model}), indent=2))
