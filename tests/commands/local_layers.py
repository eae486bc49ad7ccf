"""What tests of work on layers share: a rig whose local provider plays scripts, and layers whose files lie there."""

import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from tests.adapters.local_bench import LAYER, STAND_IN, Step, make_model
from tests.daemon.daemon_rig import Json, Rig, running

from genomed.adapters import _layer_folder
from genomed.adapters._durable_files import hash_file
from genomed.adapters._layer_manifest import BaseModel, LayerManifest
from genomed.daemon.assembly import new_id
from genomed.daemon.journal.journal import Journal
from genomed.entities.envelope import Cause, Write
from genomed.entities.errand_record import ErrandRecord
from genomed.entities.events import LayerPublished
from genomed.entities.facts import Artifact
from genomed.entities.types import RowKind

FILES = {"model.onnx": b"graph"}
DONE: Step = ("done", [{name: body.hex() for name, body in FILES.items()}, {"largestDifference": 1e-6}])


@asynccontextmanager
async def working(
    root: Path,
    *,
    more: Json | None = None,
    alone: bool = False,
    journal_seen_by_parts: Callable[[Journal], Journal] = lambda journal: journal,
    **local: object,
) -> AsyncIterator[Rig]:
    """local: settings of the provider; more: further settings of the daemon. The base model lies at root/model.

    alone: no loop runs but those that a test starts.
    """
    fast = {"worker": STAND_IN, "memory_reserve_bytes": 0, "sandbox": "none", "cancel_grace_s": 0.2}
    given: Json = {
        "allowed_providers": ["local", "simulated"],
        "providers": {"local": {**fast, **local}},
        "courier": {"poll_s": {"simulated": 0.01, "local": 0.01}},
    }
    async with running(
        root / "d",
        given=given | (more or {}),
        courier=not alone,
        triggers=False,
        journal_seen_by_parts=journal_seen_by_parts,
    ) as rig:
        yield rig


def end_processes(data_dir: Path) -> None:
    """Errands outlive the daemon; a test's must not outlive the test."""
    for record in data_dir.glob("errands/*/*.started.json"):
        try:
            os.killpg(int(json.loads(record.read_bytes())["pid"]), signal.SIGKILL)
        except ProcessLookupError:
            continue


def base_model(root: Path, *script: Step) -> str:
    """A folder that says what errands on it do; with no script they do their work at once."""
    folder = make_model(root / "model", script)
    if not script:
        (folder / "script.json").unlink()
    return str(folder)


async def local_layer(
    rig: Rig,
    root: Path,
    *script: Step,
    persona: str = "ada",
    domain: str = "sums",
    row_kind: RowKind = RowKind.CHAT,
    files: dict[str, bytes] = LAYER,
    parent: str | None = None,
    base: str | None = None,
    artifact_format: str = "peft_lora",
    provider: str = "local",
    dataset: str = "dataset-1",
) -> str:
    """A layer as a finished local job leaves it: published whole, and told in the log."""
    base = base or base_model(root, *script)
    layer_id = new_id("layer")
    source = root / "results" / layer_id
    source.mkdir(parents=True)
    for name, body in files.items():
        (source / name).write_bytes(body)
    hashes = {name: hash_file(source / name) for name in files}
    size = sum(map(len, files.values()))
    artifact = Artifact(format=artifact_format, location=str(source), files=hashes, size_bytes=size)
    manifest = LayerManifest(
        layer_id=layer_id,
        format=artifact_format,
        base_model=BaseModel(name=base, fingerprint=None),
        files=hashes,
        lineage={},
        metrics={},
    )
    there = _layer_folder.publish(rig.data_dir / "layers" / layer_id, manifest, artifact=artifact, source=source)
    published = LayerPublished(
        persona_id=persona,
        domain=domain,
        base_model=base,
        job_id=new_id("job"),
        attempt=1,
        provider=provider,
        dataset_id=dataset,
        row_kind=row_kind,
        artifact=there.artifact,
        path=there.path,
        manifest_sha256=there.manifest_sha256,
        parent_layer_id=parent,
    )
    await rig.journal.append(
        [Write(stream=f"layer/{layer_id}", expected=0, events=(published,))], cause=Cause(actor="test")
    )
    return layer_id


async def record_of(rig: Rig, errand_id: str) -> ErrandRecord:
    state = (await rig.journal.load(f"errand/{errand_id}")).state
    assert isinstance(state, ErrandRecord)
    return state


async def errand_ended(rig: Rig, errand_id: str) -> ErrandRecord:
    async def over() -> bool:
        return (await record_of(rig, errand_id)).ended

    await rig.until(over, f"the end of {errand_id}")
    return await record_of(rig, errand_id)


async def order_of(rig: Rig, errand_id: str) -> Json:
    """What the worker of its newest attempt was told."""
    [*_, spec] = sorted((rig.data_dir / "errands" / errand_id).glob("attempt-*/spec.json"))
    told: Json = json.loads(await anyio.Path(spec).read_bytes())
    return told


def waits(go: Path) -> Sequence[Step]:
    """A script that does its work once a file is there."""
    return (("look", str(go)), DONE)
