"""An errand's result as a published export: only files its process vouched for, only of kinds that run no code.

Made beside, fsynced, renamed, so that a reader sees the whole of it or nothing. Blocking.
"""

import shutil
from errno import EDQUOT, ENOSPC
from hashlib import sha256
from pathlib import Path, PurePosixPath

import msgspec
from msgspec import Struct

from genomed.adapters._durable_files import copy_verified, hash_file, sync_folder, write
from genomed.adapters.local.layer_trust import Untrusted
from genomed.adapters.local.worker_file import is_plain
from genomed.entities.errand_port import ExportRequest, PublishedExport
from genomed.entities.errors import Capacity, Conflict, MalformedResponse, Transient
from genomed.entities.json_value import JsonObject

MANIFEST_NAME = "genomed-export.json"
KINDS = frozenset(
    {".safetensors", ".onnx", ".data", ".json", ".jsonl", ".txt", ".md", ".jinja", ".model", ".html", ".csv", ".vocab"}
)
"""Weights, graphs, configuration, tokenizers, reports. `.data`: an ONNX model's own weights. Never a pickle."""


class ExportManifest(Struct, frozen=True, kw_only=True, rename="camel"):
    """Holds no time, so that publishing the same result twice gives the same bytes. told: kind, layers, facts."""

    version: int = 1
    errand_id: str
    files: dict[str, str]
    told: JsonObject


def publish(request: ExportRequest, result: Path) -> PublishedExport:
    """Raises MalformedResponse, Conflict, Capacity, Transient."""
    destination = Path(request.destination)
    manifest = ExportManifest(errand_id=request.errand_id, files=request.files, told=request.told)
    data = msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2) + b"\n"
    try:
        if destination.exists():
            return _present(destination, manifest)
        if refused := objections(request.files, result):
            raise MalformedResponse(f"the result is not published: {'; '.join(refused)}", provider="local")
        return _laid_down(destination, manifest, data, result)
    except OSError as trouble:
        if trouble.errno in (ENOSPC, EDQUOT):
            raise Capacity(f"no room on the disk to publish {request.errand_id}: {trouble}") from trouble
        raise Transient(f"could not publish {request.errand_id}: {trouble}") from trouble


def objections(files: dict[str, str], result: Path) -> list[str]:
    """Everything wrong with the files, in sentences."""
    found = [f"{name} leads out of the folder" for name in files if not _is_inside(name)]
    if MANIFEST_NAME in files:
        found.append(f"{MANIFEST_NAME} is a name of ours")
    if result.is_symlink() or not result.is_dir():
        found.append("it is no folder")
    if found:
        return found
    everything = {path.relative_to(result).as_posix(): path for path in result.rglob("*")}
    if links := sorted(name for name, path in everything.items() if path.is_symlink()):
        return [f"{name} is a link" for name in links]
    there = {name for name, path in everything.items() if not path.is_dir()}
    for name in sorted({*files, *there}):
        if name not in files:
            found.append(f"{name} was not named by its process")
        elif not is_plain(result / name):
            found.append(f"{name} is missing, a link or no plain file")
        elif PurePosixPath(name).suffix not in KINDS:
            found.append(f"{name} may hold code")
    return found


def verify(folder: Path, manifest_sha256: str) -> None:
    """Raises Untrusted unless it is the export that was published, and nothing else."""
    data = (folder / MANIFEST_NAME).read_bytes()
    if folder.is_symlink() or sha256(data).hexdigest() != manifest_sha256:
        raise Untrusted(f"{MANIFEST_NAME} is not the one that was published: the log has another hash of it")
    manifest = msgspec.json.decode(data, type=ExportManifest)
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or (not path.is_dir() and name not in {*manifest.files, MANIFEST_NAME}):
            raise Untrusted(f"{name} was not published with it")
    for name, expected in manifest.files.items():
        if not is_plain(folder / name) or hash_file(folder / name) != expected:
            raise Untrusted(f"{name} is not the file that was published")


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts


def _laid_down(destination: Path, manifest: ExportManifest, data: bytes, result: Path) -> PublishedExport:
    partial = destination.with_name(destination.name + ".partial")
    if partial.exists():  # an earlier run stopped half-way; nothing refers to it
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    try:
        for name, expected in manifest.files.items():
            copied = copy_verified(result / name, partial / name)
            if copied != expected:
                raise MalformedResponse(f"{name} has sha256 {copied}, its process said {expected}", provider="local")
        write(partial / MANIFEST_NAME, data)
        for folder in (*(each for each in partial.rglob("*") if each.is_dir()), partial):
            sync_folder(folder)
        partial.rename(destination)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # nothing is there any more where it was renamed
    sync_folder(destination.parent)
    return _published(destination, data)


def _present(destination: Path, manifest: ExportManifest) -> PublishedExport:
    """What already lies there, if it is this one and whole."""
    try:
        data = (destination / MANIFEST_NAME).read_bytes()
        there = msgspec.json.decode(data, type=ExportManifest)
    except (FileNotFoundError, msgspec.MsgspecError) as broken:
        raise Conflict(f"{destination} exists and is no export: {broken}") from broken
    if (there.errand_id, there.files) != (manifest.errand_id, manifest.files):
        raise Conflict(f"{destination} holds another export")
    for name, expected in there.files.items():
        if (found := hash_file(destination / name)) != expected:
            raise Conflict(f"{destination / name} has sha256 {found}, its manifest says {expected}")
    return _published(destination, data)


def _published(destination: Path, data: bytes) -> PublishedExport:
    size = sum(path.stat().st_size for path in destination.rglob("*") if path.is_file())
    return PublishedExport(path=str(destination), manifest_sha256=sha256(data).hexdigest(), size_bytes=size)
