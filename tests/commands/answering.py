"""What tests of answers share: a rig whose local provider asks stand-in workers, and layers that lie here."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.daemon.daemon_rig import Json, Rig, running

from genomed.adapters._durable_files import hash_file
from genomed.adapters._layer_manifest import MANIFEST_NAME, BaseModel, LayerManifest, encode
from genomed.adapters.local.errand_publication import publish
from genomed.daemon.assembly import new_id
from genomed.entities.envelope import Cause, Write
from genomed.entities.errand_events import ErrandFinished, ErrandLayer, ErrandRequested, ErrandStarted
from genomed.entities.errand_port import ExportRequest
from genomed.entities.events import LayerActivated, LayerPublished
from genomed.entities.facts import Artifact
from genomed.entities.layer import Layer
from genomed.entities.types import RowKind

STAND_IN = Path(__file__).parents[1] / "adapters" / "stand_in_inference.py"


@asynccontextmanager
async def answering(root: Path, **settings: object) -> AsyncIterator[Rig]:
    """Its base model is the folder `model` in root."""
    (root / "model").mkdir(exist_ok=True)
    local = {"worker": str(STAND_IN), "python": sys.executable, "sandbox": "none", "memory_reserve_bytes": 0}
    given: Json = {"allowed_providers": ["local", "simulated"], "providers": {"local": local | settings}}
    async with running(root / "d", given=given, triggers=False, courier=False, forgetter=False) as rig:
        yield rig


async def layer_here(
    rig: Rig,
    layer_id: str,
    *,
    base_model: Path,
    persona: str = "ada",
    domain: str = "sums",
    format: str = "peft_lora",  # noqa: A002 - the artifact's own word
    active: bool = False,
    simulated: bool = False,
) -> Path:
    """A layer whose files are its manifest alone, as a job would have published it; the folder."""
    folder = rig.data_dir / "layers" / layer_id
    folder.mkdir(parents=True)
    manifest = folder / MANIFEST_NAME
    told = LayerManifest(
        layer_id=layer_id,
        format=format,
        base_model=BaseModel(name=str(base_model), fingerprint=None),
        files={},
        lineage={},
        metrics={},
    )
    manifest.write_bytes(encode(told))
    published = LayerPublished(
        persona_id=persona,
        domain=domain,
        base_model=str(base_model),
        job_id="job-1",
        attempt=1,
        provider="local",
        dataset_id="ds-1",
        row_kind=RowKind.CHAT,
        artifact=Artifact(format=format, location=str(folder)),
        path=str(folder),
        manifest_sha256=hash_file(manifest),
        simulated=simulated,
    )
    writes = [Write(stream=f"layer/{layer_id}", expected=0, events=(published,))]
    if active:
        used = LayerActivated(
            layer_id=layer_id, domain=domain, base_model=str(base_model), previous_layer_id=None, reason="a test"
        )
        genome = (await rig.journal.load(f"genome/{persona}")).version
        writes.append(Write(stream=f"genome/{persona}", expected=genome, events=(used,)))
    await rig.journal.append(writes, cause=Cause(actor="uid:0"))
    return folder


async def export_here(rig: Rig, layer_id: str, *, files: dict[str, bytes]) -> tuple[str, Path]:
    """An export of a layer as an errand would have published it: the errand's id, and the folder."""
    errand_id, result = new_id("errand"), rig.data_dir / "made"
    result.mkdir(parents=True)
    for name, body in files.items():
        (result / name).write_bytes(body)
    folder = rig.data_dir / "exports" / errand_id
    hashes = {name: hash_file(result / name) for name in files}
    there = publish(
        ExportRequest(errand_id=errand_id, attempt=1, destination=str(folder), files=hashes, told={}), result
    )
    layer = (await rig.journal.load(f"layer/{layer_id}")).state
    assert isinstance(layer, Layer)
    facts = layer.published
    named = ErrandLayer(layer_id=layer_id, path=facts.path, manifest_sha256=facts.manifest_sha256)
    events = (
        ErrandRequested(kind="export", layers=(named,), options={}, reason="a test", persona_id=facts.persona_id),
        ErrandStarted(attempt=1),
        ErrandFinished(
            attempt=1,
            facts={},
            files=hashes,
            size_bytes=there.size_bytes,
            path=there.path,
            manifest_sha256=there.manifest_sha256,
        ),
    )
    write = Write(stream=f"errand/{errand_id}", expected=0, events=events)
    await rig.journal.append([write], cause=Cause(actor="uid:0"))
    return errand_id, folder
