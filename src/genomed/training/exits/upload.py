"""The errand `upload`: a layer to the Hugging Face Hub with a card of its own, or an offline run to Weights & Biases.

What goes out: the files that the layer's manifest names, and a card made of the manifest. What stays: judged samples,
the manifest itself (it names a persona and folders of this machine), and whatever texts an engine wrote beside.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, TypeVar

from .. import layer_files
from ..errand import Errand
from ..failures import WorkerFailure
from . import model_card, wandb_sync
from .hub import Away, Hub

MANIFEST = "genomed-layer.json"
LAYER_CONFIG = "adapter_config.json"
TOKEN, KEY = "HF_TOKEN", "WANDB_API_KEY"
TRIES = 6
LONGEST_WAIT_S = 300.0
MESSAGE = "Upload layer"

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadOptions:
    """target decides which others are needed. layer: its folder; repo, revision, private: where it goes; endpoint:
    null is the hub itself; base_model: its hub id, where the layer was trained on a folder.

    run: an offline run's folder; project, base_url: where it goes, null as it was told to the run.
    wait_s: before the first retry; each further one waits twice as long.
    """

    target: Literal["huggingface", "wandb"]
    layer: str | None = None
    repo: str | None = None
    revision: str | None = None
    private: bool = True
    endpoint: str | None = None
    base_model: str | None = None
    dataset_sha256: str | None = None
    run: str | None = None
    project: str | None = None
    base_url: str | None = None
    wait_s: float = 2.0


def carry_out(errand: Errand) -> None:
    """Raises Cancelled, WorkerFailure."""
    options = errand.options(UploadOptions)
    if options.target == "wandb":
        key = _secret(KEY)
        facts = wandb_sync.sync(
            errand, _given("run", options.run), key=key, project=options.project, url=options.base_url
        )
    else:
        facts = _to_the_hub(errand, options, _secret(TOKEN))
    beside = layer_files.begun(errand.result)
    (beside / "upload.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    errand.finish(files=layer_files.put(beside, errand.result), facts=facts)


def _secret(name: str) -> str:
    """Out of the environment, where the library and what it starts would find it by themselves."""
    if not (held := os.environ.pop(name, "").strip()):
        raise WorkerFailure(
            "invalid_request", f"there is no secret in {name}", remedy="name one that this daemon allows"
        )
    return held


def _given(name: str, value: str | None) -> str:
    if value is None:
        raise WorkerFailure("invalid_request", f"the options are wrong: {name} is missing")
    return value


def _to_the_hub(errand: Errand, options: UploadOptions, token: str) -> dict[str, object]:
    errand.phase("reading")
    layer, wanted = Path(_given("layer", options.layer)), _given("repo", options.repo)
    manifest = _manifest(layer)
    files = files_of(layer, manifest, options)
    errand.phase("uploading")
    hub = Hub(endpoint=options.endpoint, token=token)
    repo = _patiently(errand, options, lambda: hub.create(wanted, private=options.private))
    errand.step(1, 2)
    made = _patiently(errand, options, lambda: hub.commit(repo, files, revision=options.revision, message=MESSAGE))
    errand.step(2, 2)
    return {"target": "huggingface", "repo": repo, "commit": made.commit, "url": made.url, "uploaded": sorted(files)}


def _patiently(errand: Errand, options: UploadOptions, work: Callable[[], T]) -> T:
    """Again where the hub fails for a moment: it keeps what it has got, and the same files make no second commit."""
    for nth in range(TRIES):
        try:
            return work()
        except Away as away:
            if nth == TRIES - 1:
                raise WorkerFailure("capacity", f"the hub could not be reached {TRIES} times: {away}") from None
            wait_s = min(LONGEST_WAIT_S, away.after_s if away.after_s is not None else options.wait_s * 2**nth)
            errand.notice("upload_waits", f"the hub fails at this moment, asked again in {wait_s:g} s: {away}")
            _wait(errand, wait_s)
    raise AssertionError("every try returns or raises")


def _wait(errand: Errand, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        errand.pause()
        time.sleep(min(0.2, left))  # a wish to cancel is a file, which wakes nobody


def _manifest(layer: Path) -> Mapping[str, object]:
    try:
        held = json.loads((layer / MANIFEST).read_bytes())
    except (OSError, ValueError) as broken:
        raise WorkerFailure("invalid_request", f"{layer} is no published layer: {broken}") from None
    if not isinstance(held, dict) or not isinstance(held.get("files"), dict):
        raise WorkerFailure("invalid_request", f"{layer / MANIFEST} is no manifest")
    return held


def files_of(layer: Path, manifest: Mapping[str, object], options: UploadOptions) -> dict[str, Path | bytes]:
    """What goes out, by its name there. Raises WorkerFailure for a file that is not the one that was published."""
    named = manifest["files"]
    assert isinstance(named, dict)
    found: dict[str, Path | bytes] = {}
    for name, expected in named.items():
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts:
            raise WorkerFailure("invalid_request", f"{name} leads out of the layer")
        if inside.suffix == ".md":
            continue  # engines write cards of their own, with samples of what was learned
        path = layer / name
        if path.is_symlink() or not path.is_file() or layer_files.file_hash(path) != expected:
            raise WorkerFailure("invalid_request", f"{name} is not the file that was published")
        found[name] = path
    if LAYER_CONFIG in found:
        found[LAYER_CONFIG] = _public_config(layer / LAYER_CONFIG, manifest, options.base_model)
    trained = model_card.Trained(_hub_id(manifest, options.base_model), options.dataset_sha256)
    found["README.md"] = model_card.card(manifest, trained).encode()
    return found


def _hub_id(manifest: Mapping[str, object], given: str | None) -> str | None:
    """As the options say, or as the manifest does where it is no folder: a model from the hub has a revision."""
    base = manifest.get("baseModel")
    held = base if isinstance(base, dict) else {}
    return given or (str(held["name"]) if held.get("revision") else None)


def _public_config(path: Path, manifest: Mapping[str, object], hub_id: str | None) -> bytes:
    """adapter_config.json without the folder of this machine that its base model lay in."""
    try:
        config = json.loads(path.read_bytes())
    except ValueError as broken:
        raise WorkerFailure("invalid_request", f"{path} cannot be read: {broken}") from None
    config["base_model_name_or_path"] = model_card.base_name(manifest, hub_id)
    return json.dumps(config, indent=2, sort_keys=True).encode() + b"\n"
