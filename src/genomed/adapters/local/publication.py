"""A finished run's result as a published layer: only files the worker vouched for, only files that cannot run code.

Blocking: call it in a thread. How a folder gets there whole is `_layer_folder`'s business.
"""

from pathlib import Path, PurePosixPath

import msgspec
from msgspec import Struct

from genomed.adapters import _layer_folder
from genomed.adapters._layer_manifest import JUDGEMENT_NAME, MANIFEST_NAME, BaseModel, LayerManifest, metrics_of
from genomed.adapters.local.attempt_folder import AttemptFolder
from genomed.adapters.local.base_model import UnfitModel, read_header, read_model
from genomed.adapters.local.progress_file import read_lines
from genomed.adapters.local.progress_lines import Finished, Judged, read_line
from genomed.adapters.local.worker_file import is_plain, read_plain
from genomed.entities.errors import MalformedResponse
from genomed.entities.facts import Artifact
from genomed.entities.ports import LayerRequest, PublishedLayer

WEIGHTS = ".safetensors"
TEXTS = (".json", ".txt", ".md", ".jinja", ".model")
"""Configuration, tokenizer and chat template; `.model` is sentencepiece's table. Everything else is refused by name."""

READ_BYTES = 1 << 20


class _Spec(Struct, frozen=True, rename="camel"):
    base_model: str
    revision: str | None = None


class Output(Struct, frozen=True, kw_only=True, rename="camel"):
    """What submitting put aside for this moment."""

    suffix: str | None = None
    longest_row_bytes: int = 0


def artifact_of(finished: Finished, folder: AttemptFolder, *, full: bool) -> Artifact:
    paths = (folder.result / name for name in finished.files)
    sizes = [path.lstat().st_size for path in paths if is_plain(path)]
    return Artifact(
        format=finished.format or ("full_model" if full else "peft_lora"),
        location=str(folder.result),
        files=finished.files,
        size_bytes=sum(sizes) if len(sizes) == len(finished.files) else None,
        train_loss=finished.train_loss,
        tokens_seen=finished.tokens_seen,
        seconds=finished.seconds,
        peak_memory_bytes=finished.peak_memory_bytes,
        layers_adapted=finished.layers_adapted,
        trainable_parameters=finished.trainable_parameters,
    )


def publish(request: LayerRequest, artifact: Artifact, folder: AttemptFolder) -> PublishedLayer:
    """Raises MalformedResponse for a result that is not what the worker said, or not safe to open."""
    if refused := objections(artifact, folder.result):
        raise MalformedResponse(f"the result is not published: {'; '.join(refused)}", provider="local")
    output = _output(folder)
    manifest = LayerManifest(
        layer_id=request.layer_id,
        format=artifact.format,
        suffix=output.suffix,
        base_model=_base_model(folder),
        files=artifact.files,
        lineage=request.lineage,
        metrics=metrics_of(artifact),
    )
    return _layer_folder.publish(
        Path(request.destination),
        manifest,
        artifact=artifact,
        source=folder.result,
        unsigned={JUDGEMENT_NAME: judged_samples(folder)},
    )


def objections(artifact: Artifact, result: Path) -> list[str]:
    """Everything wrong with the files, in sentences."""
    found = [f"{name} leads out of the folder" for name in artifact.files if not _is_inside(name)]
    found += [f"{name} is a name of ours" for name in artifact.files if name in {MANIFEST_NAME, JUDGEMENT_NAME}]
    if result.is_symlink() or not result.is_dir():
        found.append("it is no folder")
    if found:
        return found
    if not any(name.endswith(WEIGHTS) for name in artifact.files):
        found.append("it holds no weights")
    there = {path.relative_to(result).as_posix() for path in result.rglob("*") if not path.is_dir()}
    for name in sorted({*artifact.files, *there}):
        path = result / name
        if name not in there or not is_plain(path):
            found.append(f"{name} is missing, a link or no plain file")
        elif path.suffix not in (WEIGHTS, *TEXTS):
            found.append(f"{name} may hold code; layers are made of {WEIGHTS} and plain text")
        elif path.suffix == WEIGHTS and (broken := _broken_weights(path)):
            found.append(broken)
    return found


def _output(folder: AttemptFolder) -> Output:
    """As submitting left it, or nothing where the worker spoiled it."""
    try:
        return msgspec.json.decode(read_plain(folder.output), type=Output)
    except (FileNotFoundError, UnicodeDecodeError, msgspec.MsgspecError):
        return Output()


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts


def _broken_weights(path: Path) -> str | None:
    try:
        read_header(path)
    except (UnfitModel, OSError) as broken:
        return str(broken)
    return None


def _base_model(folder: AttemptFolder) -> BaseModel:
    try:
        spec = msgspec.json.decode(read_plain(folder.spec), type=_Spec)
    except (FileNotFoundError, UnicodeDecodeError, msgspec.MsgspecError) as spoiled:
        raise MalformedResponse(f"what the worker was told is not readable any more: {spoiled}") from spoiled
    name = spec.base_model
    try:
        return BaseModel(name=name, fingerprint=read_model(Path(name)).fingerprint)
    except UnfitModel:  # a hub id: what was downloaded is the hub library's to name
        return BaseModel(name=name, fingerprint=None, revision=spec.revision)


def judged_samples(folder: AttemptFolder) -> bytes:
    """What each side answered, from the worker's own lines."""
    judged: dict[str, Judged] = {}
    offset, inside, drained = 0, False, False
    while not drained:
        chunk = read_lines(folder.progress, offset=offset, limit_bytes=READ_BYTES, inside=inside)
        offset, inside, drained = chunk.next_offset, chunk.inside, chunk.drained
        for line in chunk.lines:
            try:
                told = read_line(line.data)
            except msgspec.MsgspecError:  # polls have reported it
                continue
            if isinstance(told, Judged):
                judged[told.side] = told
    plain = {side: msgspec.to_builtins(told) for side, told in sorted(judged.items())}
    return msgspec.json.format(msgspec.json.encode(plain), indent=2) + b"\n"
