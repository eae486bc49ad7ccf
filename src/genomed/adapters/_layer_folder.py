"""A layer's folder: made beside, fsynced, renamed, so that a reader sees the whole of it or nothing.

Blocking: call it in a thread. Knows files and hashes; does not know what trained the layer.
"""

import shutil
from collections.abc import Mapping
from errno import ENOSPC
from pathlib import Path

import msgspec
from msgspec.structs import replace

from genomed.adapters._durable_files import copy_verified, hash_file, sync_folder, write
from genomed.adapters._layer_manifest import MANIFEST_NAME, LayerManifest, decode, digest, encode
from genomed.entities.errors import Capacity, Conflict, MalformedResponse, Transient
from genomed.entities.facts import Artifact
from genomed.entities.ports import PublishedLayer


def publish(
    destination: Path,
    manifest: LayerManifest,
    *,
    artifact: Artifact,
    source: Path | None = None,
    unsigned: Mapping[str, bytes] = {},
) -> PublishedLayer:
    """Puts the manifest's files there, each checked against its hash as it is copied.

    unsigned: further files, by name, that the manifest does not vouch for. Doing it again finds what is there.
    Raises MalformedResponse (a hash differs), Conflict (something else lies there), Capacity or Transient (the disk).
    """
    try:
        if destination.exists():
            return _present(destination, manifest, artifact)
        return _laid_down(destination, manifest, artifact=artifact, source=source, unsigned=unsigned)
    except OSError as trouble:
        if trouble.errno == ENOSPC:
            raise Capacity(f"no room on the disk to publish {manifest.layer_id}: {trouble}") from trouble
        raise Transient(f"could not publish {manifest.layer_id}: {trouble}") from trouble


def _laid_down(
    destination: Path,
    manifest: LayerManifest,
    *,
    artifact: Artifact,
    source: Path | None,
    unsigned: Mapping[str, bytes],
) -> PublishedLayer:
    partial = destination.with_name(destination.name + ".partial")
    if partial.exists():  # an earlier run stopped half-way; nothing refers to it
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    for name, expected in manifest.files.items():
        if source is None:
            raise MalformedResponse(f"{manifest.layer_id} lists {name}, but there is no folder to take it from")
        copied = copy_verified(source / name, partial / name)
        if copied != expected:
            raise MalformedResponse(f"{source / name} has sha256 {copied}, the trainer said {expected}")
    data = encode(manifest)
    for name, body in {**unsigned, MANIFEST_NAME: data}.items():
        write(partial / name, body)
    for folder in (*(each for each in partial.rglob("*") if each.is_dir()), partial):
        sync_folder(folder)
    partial.rename(destination)
    sync_folder(destination.parent)
    return _published(destination, data, artifact)


def _present(destination: Path, manifest: LayerManifest, artifact: Artifact) -> PublishedLayer:
    """The layer that already lies there, if it is this one and whole."""
    try:
        data = (destination / MANIFEST_NAME).read_bytes()
        there = decode(data)
    except (FileNotFoundError, msgspec.MsgspecError) as broken:
        raise Conflict(f"{destination} exists and is not a layer: {broken}") from broken
    if (there.layer_id, there.format, there.files) != (manifest.layer_id, manifest.format, manifest.files):
        raise Conflict(f"{destination} holds another layer ({there.layer_id}); choose another layer id")
    for name, expected in there.files.items():
        if (found := hash_file(destination / name)) != expected:
            raise Conflict(f"{destination / name} has sha256 {found}, its manifest says {expected}")
    return _published(destination, data, artifact)


def _published(destination: Path, data: bytes, artifact: Artifact) -> PublishedLayer:
    return PublishedLayer(
        path=str(destination),
        manifest_sha256=digest(data),
        artifact=replace(artifact, location=str(destination)),
    )
