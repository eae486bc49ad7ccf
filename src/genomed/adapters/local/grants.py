"""What a confined worker may read and write: named path by path, so that what nobody thought of is closed.

Knows where systems keep libraries and devices and what a job needs. The interpreter's own folders are added by the
launcher, which runs in it (training/confinement.py). Blocking, for it looks which paths are there.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from genomed.adapters.local.attempt_folder import AttemptFolder
from genomed.adapters.local.settings import LocalSettings
from genomed.entities.ports import Submission

SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store", "/run/opengl-driver", "/sys",
    "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime", "/etc/nvidia",
    "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/mime.types", "/etc/os-release", "/etc/machine-id",
)  # fmt: skip
NETWORK = (
    "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols",
    "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ca-certificates", "/etc/pki/tls/certs", "/etc/pki/ca-trust",
)  # fmt: skip
DEVICES = ("null", "zero", "full", "random", "urandom", "shm", "nvidia*", "dri", "kfd", "accel")


class Grants(Struct, frozen=True, kw_only=True):
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    devices: tuple[str, ...]


NOTHING = Grants(reads=(), writes=(), devices=())


def of_job(
    submission: Submission, folder: AttemptFolder, settings: LocalSettings, environment: Mapping[str, str]
) -> Grants:
    """Everything that this attempt needs, and nothing of other jobs or of the journal. Raises OSError."""
    base_model = Path(submission.configuration.model.base_model)
    parts = [submission.train_path, submission.eval_path, submission.parent_layer_path]
    reads = [*system_reads(settings), str(folder.spec), *(part for part in parts if part is not None)]
    if opened := covering([str(base_model), *settings.readable], folder.root.parents[2]):
        raise PermissionError(f"{opened[0]} would be readable by the worker, and holds the data folder")
    if base_model.is_dir():
        reads += [str(base_model), *hub_blobs(base_model)]
    writes = [str(folder.root), str(folder.checkpoints), *settings.writable]
    if settings.allow_hub:
        caches = hub_caches(environment).values()
        for cache in caches:
            Path(cache).mkdir(parents=True, exist_ok=True)
        writes += caches
    return Grants(reads=existing(reads), writes=existing(writes), devices=devices())


def system_reads(settings: LocalSettings) -> list[str]:
    network = NETWORK if settings.allow_hub else ()
    return [*SYSTEM, *network, str(Path(settings.worker).parent), *settings.readable]


def hub_blobs(folder: Path) -> list[str]:
    """Snapshots in the hub's cache are links into the blobs of the same model: models--A--B/{snapshots/REV,blobs}."""
    return [str(folder.parents[1] / "blobs")] if folder.parent.name == "snapshots" else []


def hub_caches(environment: Mapping[str, str]) -> dict[str, str]:
    """Where the hub's library keeps what it fetched, by its own variables; with a home of its own it must be told.

    Source: huggingface_hub 1.x, constants.py.
    """
    cache = environment.get("XDG_CACHE_HOME") or f"{environment.get('HOME', '')}/.cache"
    home = environment.get("HF_HOME") or f"{cache}/huggingface"
    return {"HF_HUB_CACHE": environment.get("HF_HUB_CACHE") or f"{home}/hub", "HF_XET_CACHE": f"{home}/xet"}


def devices() -> tuple[str, ...]:
    """GPUs need reading, writing and their ioctls."""
    return tuple(sorted(str(path) for name in DEVICES for path in Path("/dev").glob(name)))


def existing(paths: Iterable[str]) -> tuple[str, ...]:
    """As they are named and as they resolve, so that a link on the way works in a root made of these alone."""
    there = [path for path in paths if Path(path).exists()]
    return tuple(sorted({*there, *(str(Path(path).resolve()) for path in there)}))


def covering(paths: Iterable[str], hidden: Path) -> list[str]:
    """Those that would lay open what must stay hidden."""
    secret = Path(os.path.realpath(hidden))
    return sorted({path for path in paths if secret.is_relative_to(os.path.realpath(path))})
