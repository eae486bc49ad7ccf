"""A finished job's weights, fetched from Together and laid down as a layer folder.

A LoRA job gives its adapter, a full one the whole model; both come as one archive. The work happens in the job's own
folder, and what lies under the layers is whole or not there.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

import anyio
import msgspec
from anyio import to_thread
from msgspec.structs import replace

from genomed.adapters import _layer_folder
from genomed.adapters._download import check_peft_layer, unpack_layer
from genomed.adapters._http import Http
from genomed.adapters._layer_manifest import MANIFEST_NAME, BaseModel, LayerManifest, decode, metrics_of
from genomed.adapters.together.asking import NAME, ask, job_path
from genomed.adapters.together.report import job_of
from genomed.adapters.together.wire import JobEntry
from genomed.entities.errors import MalformedResponse
from genomed.entities.facts import Artifact
from genomed.entities.ports import LayerRequest, PublishedLayer

PARTS = {"peft_lora": "adapter", "full_model": "model_output_path"}
"""Which of a job's results is asked for, by the artifact's format."""


async def publish(
    http: Http, request: LayerRequest, artifact: Artifact, *, workshop: Path, max_bytes: int
) -> PublishedLayer:
    """workshop: a folder for this fetch alone; it is emptied before and after. Doing it again fetches nothing."""
    destination = Path(request.destination)
    if (there := await to_thread.run_sync(_manifest_at, destination)) is not None:
        return await to_thread.run_sync(_found, destination, there, request, artifact)
    theirs = job_of(artifact.location)
    if theirs is None or artifact.format not in PARTS:
        raise MalformedResponse(f"{artifact.location} ({artifact.format}) is no result of together's", provider=NAME)
    job = await ask(http, job_path(theirs), JobEntry)
    archive = workshop / "archive"
    query = urlencode({"ft_id": theirs, "checkpoint": PARTS[artifact.format]})
    try:
        await to_thread.run_sync(_emptied, workshop)
        await http.download(f"/finetune/download?{query}", archive, max_bytes=max_bytes)
        return await to_thread.run_sync(_unpacked, archive, request, artifact, job, max_bytes)
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(lambda: shutil.rmtree(workshop, ignore_errors=True))


def _emptied(workshop: Path) -> None:
    if workshop.exists():
        shutil.rmtree(workshop)
    workshop.mkdir(parents=True)


def _unpacked(
    archive: Path, request: LayerRequest, artifact: Artifact, job: JobEntry, max_bytes: int
) -> PublishedLayer:
    folder = archive.with_name("layer")
    files = unpack_layer(archive, folder, max_bytes=max_bytes)
    weighed = _weighed(artifact, files, folder)
    manifest = LayerManifest(
        layer_id=request.layer_id,
        format=artifact.format,
        suffix=job.suffix,
        base_model=BaseModel(name=job.model or "", fingerprint=None),
        files=files,
        lineage=request.lineage,
        metrics=metrics_of(weighed),
    )
    return _layer_folder.publish(Path(request.destination), manifest, artifact=weighed, source=folder)


def _found(destination: Path, there: LayerManifest, request: LayerRequest, artifact: Artifact) -> PublishedLayer:
    """Raises Conflict unless it is the layer asked for, and whole."""
    wanted = replace(there, layer_id=request.layer_id, format=artifact.format)
    published = _layer_folder.publish(destination, wanted, artifact=artifact)
    return replace(published, artifact=_weighed(published.artifact, there.files, destination))


def _weighed(artifact: Artifact, files: Mapping[str, str], folder: Path) -> Artifact:
    """With what the files themselves say. Raises MalformedResponse where they are not what was trained."""
    parameters = check_peft_layer(folder).parameters if artifact.format == "peft_lora" else None
    size = sum((folder / name).stat().st_size for name in files)
    return replace(artifact, files=dict(files), size_bytes=size, trainable_parameters=parameters)


def _manifest_at(destination: Path) -> LayerManifest | None:
    """What was published there before; null where nothing was. `_layer_folder` says whether it is this layer."""
    try:
        return decode((destination / MANIFEST_NAME).read_bytes())
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
