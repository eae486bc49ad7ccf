"""A model that Fireworks trained, as a layer here: its files, fetched through signed addresses and looked into.

Only safetensors weights and the plain files beside them are taken; nothing is published before it is whole.
"""

import shutil
from pathlib import Path, PurePosixPath

import msgspec
from anyio import to_thread
from msgspec.structs import replace

from genomed.adapters import _layer_folder
from genomed.adapters._download import PICKLES, WANTED, WEIGHTS, check_peft_layer
from genomed.adapters._durable_files import hash_file
from genomed.adapters._layer_manifest import MANIFEST_NAME, BaseModel, LayerManifest, decode, metrics_of
from genomed.adapters.fireworks.client import FireworksClient
from genomed.adapters.fireworks.wire import NAME, Model, SignedUrls, identity_of, read, word_of
from genomed.entities.errors import Forbidden, MalformedResponse, NotFound, ProviderRejected, Transient
from genomed.entities.facts import Artifact
from genomed.entities.ports import LayerRequest, PublishedLayer

ADDRESS_RETRY_S = 5.0


async def publish(
    client: FireworksClient, request: LayerRequest, *, artifact: Artifact, staging: Path, max_bytes: int
) -> PublishedLayer:
    """The files lie here, and the artifact keeps Fireworks' name: deployments and warm starts go by it.

    staging: a folder of our own for the time being. Raises Transient where fetching it again can help.
    """
    destination = Path(request.destination)
    if (there := await to_thread.run_sync(_manifest_there, destination)) is not None:
        published = await to_thread.run_sync(lambda: _layer_folder.publish(destination, there, artifact=artifact))
        return _named(published, artifact, there)
    model = await _ready_model(client, artifact.location)
    await to_thread.run_sync(_emptied, staging)
    try:
        await _fetch(client, artifact.location, staging, max_bytes=max_bytes)
        manifest = await to_thread.run_sync(lambda: _looked_into(staging, request, artifact=artifact, model=model))
        published = await to_thread.run_sync(
            lambda: _layer_folder.publish(destination, manifest, artifact=artifact, source=staging)
        )
        return _named(published, artifact, manifest)
    finally:
        await to_thread.run_sync(lambda: shutil.rmtree(staging, ignore_errors=True))


async def _ready_model(client: FireworksClient, location: str) -> Model:
    """The model's record, once it can be downloaded."""
    reply = await client.ask(lambda sdk: sdk.models.with_raw_response.get(identity_of(location)))
    model = read(reply, Model)
    if word_of(model.state) == "UPLOADING":
        raise Transient(f"Fireworks is still writing {location}", retry_after_s=ADDRESS_RETRY_S, provider=NAME)
    return model


async def _fetch(client: FireworksClient, location: str, into: Path, *, max_bytes: int) -> None:
    """Every file that a layer is made of; max_bytes for all of them together."""
    reply = await client.ask(lambda sdk: sdk.models.with_raw_response.get_download_endpoint(identity_of(location)))
    addresses = _wanted(read(reply, SignedUrls).filename_to_signed_urls, location)
    left = max_bytes
    for name, address in addresses.items():
        try:
            await client.signed.download(address, into / name, max_bytes=left)
        except (Forbidden, NotFound, ProviderRejected) as expired:
            # The store's word, not Fireworks': the next attempt asks for a new address.
            message = f"the address of {name} is no longer good: {expired.message}"
            raise Transient(message, retry_after_s=ADDRESS_RETRY_S, provider=NAME) from expired
        left -= (await to_thread.run_sync((into / name).stat)).st_size


def _wanted(addresses: dict[str, str], location: str) -> dict[str, str]:
    found: dict[str, str] = {}
    refused: list[str] = []
    for name, address in addresses.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or not path.name:
            raise MalformedResponse(f"{location} names {name!r}, which leads outside", provider=NAME)
        if not WANTED.fullmatch(path.name):
            refused.append(path.name)
        elif path.name in found:
            raise MalformedResponse(f"{location} names {path.name} twice", provider=NAME)
        else:
            found[path.name] = address
    if WEIGHTS not in found:
        pickled = [name for name in refused if name.endswith(PICKLES)]
        why = f"; {', '.join(pickled[:3])} would run code when loaded, and is refused" if pickled else ""
        raise MalformedResponse(f"{location} holds no {WEIGHTS}{why}", provider=NAME)
    return found


def _looked_into(staging: Path, request: LayerRequest, *, artifact: Artifact, model: Model) -> LayerManifest:
    """Raises MalformedResponse unless the folder holds a whole LoRA layer."""
    layer = check_peft_layer(staging)
    said = model.peft_details.base_model if model.peft_details is not None else None
    return LayerManifest(
        layer_id=request.layer_id,
        format=artifact.format,
        base_model=BaseModel(name=said or layer.base_model or "unknown", fingerprint=None),
        files={path.name: hash_file(path) for path in sorted(staging.iterdir())},
        lineage=request.lineage,
        metrics={**metrics_of(artifact), "trainableParameters": layer.parameters},
        hosted_model=artifact.location,
    )


def _named(published: PublishedLayer, artifact: Artifact, manifest: LayerManifest) -> PublishedLayer:
    parameters = manifest.metrics.get("trainableParameters")
    told = replace(
        artifact,
        files=manifest.files,
        trainable_parameters=parameters if isinstance(parameters, int) else None,
    )
    return replace(published, artifact=told)


def _manifest_there(destination: Path) -> LayerManifest | None:
    """What was published before: then nothing is fetched again, and it is only looked at whether it is whole."""
    try:
        return decode((destination / MANIFEST_NAME).read_bytes())
    except (OSError, msgspec.MsgspecError):  # what else lies there is for `_layer_folder` to refuse
        return None


def _emptied(staging: Path) -> None:
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
