"""Whether the layer that a job builds on, or is judged against, is still the one that was published. Blocking.

Every file is hashed against the manifest, and the manifest against the log, before a worker is started; the worker
looks again before it opens any of it. Source: reference/ecosystem-security.md 8, "Models".
"""

from pathlib import Path, PurePosixPath

import msgspec
from msgspec import Struct

from genomed.adapters._durable_files import hash_file
from genomed.adapters._layer_manifest import JUDGEMENT_NAME, MANIFEST_NAME, LayerManifest, decode, digest
from genomed.adapters.local.base_model import UnfitModel, read_model
from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.ports import Submission

LAYER_CONFIG = "adapter_config.json"


class Untrusted(Exception):
    """The message says what is wrong with the layer."""


class _Config(Struct, frozen=True):
    """What of peft's file says where the layer belongs."""

    base_model_name_or_path: str | None = None


def objection(submission: Submission) -> ErrorBody | None:
    """None where there is no layer, or where nothing speaks against it."""
    if submission.parent_layer_path is None:
        return None
    folder = Path(submission.parent_layer_path)
    try:
        manifest = verified(folder, manifest_sha256=submission.parent_layer_sha256)
        if manifest.simulated or manifest.hosted_model is not None:
            return None  # it has no weights here that anybody could open
        _demand_base(folder, manifest, submission.configuration.model.base_model)
    except (Untrusted, OSError) as wrong:
        return ErrorBody(
            kind=ErrorKind.CONFLICT,
            message=f"the layer {folder} is not loaded: {wrong}",
            retryable=False,
            provider="local",
            remedy="roll back to another layer with genome/layer-rollback, or put the files back from a backup",
        )
    return None


def verified(folder: Path, *, manifest_sha256: str | None) -> LayerManifest:
    """Raises Untrusted. manifest_sha256: as the log has it; null: it does not say."""
    if folder.is_symlink():
        raise Untrusted("its folder is a link")
    try:
        data = (folder / MANIFEST_NAME).read_bytes()
        manifest = decode(data)
    except FileNotFoundError:
        raise Untrusted(f"{MANIFEST_NAME} is missing") from None
    except msgspec.MsgspecError as broken:
        raise Untrusted(f"{MANIFEST_NAME} cannot be read: {broken}") from broken
    if manifest_sha256 is not None and digest(data) != manifest_sha256:
        raise Untrusted(f"{MANIFEST_NAME} is not the one that was published: the log has another hash of it")
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise Untrusted(f"{name} is a link")
        if not path.is_dir() and name not in {*manifest.files, MANIFEST_NAME, JUDGEMENT_NAME}:
            raise Untrusted(f"{name} was not published with it")
    for name, expected in manifest.files.items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise Untrusted(f"{name} leads out of its folder")
        if not (folder / name).is_file() or hash_file(folder / name) != expected:
            raise Untrusted(f"{name} is not the file that was published")
    return manifest


def _demand_base(folder: Path, manifest: LayerManifest, base_model: str) -> None:
    """Raises Untrusted where the layer belongs on another base model than the job's, or on other weights of it."""
    if not _same(manifest.base_model.name, base_model):
        raise Untrusted(f"it was trained on {manifest.base_model.name}, not on {base_model}")
    if (folder / LAYER_CONFIG).exists():
        try:
            named = msgspec.json.decode((folder / LAYER_CONFIG).read_bytes(), type=_Config).base_model_name_or_path
        except msgspec.MsgspecError as broken:
            raise Untrusted(f"{LAYER_CONFIG} cannot be read: {broken}") from broken
        if named is not None and not _same(named, base_model):
            raise Untrusted(f"{LAYER_CONFIG} names another base model, {named}")
    if manifest.base_model.fingerprint is None:
        return
    try:
        found = read_model(Path(base_model)).fingerprint
    except UnfitModel:
        return  # what is wrong with the base model is said where that is checked
    if found != manifest.base_model.fingerprint:
        raise Untrusted(f"the files of {base_model} are not those that it was trained on")


def _same(named: str, base_model: str) -> bool:
    return named == base_model or (Path(named).is_dir() and Path(named).resolve() == Path(base_model).resolve())
