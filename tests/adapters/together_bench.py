"""Together's adapter on a bench: its emulator on the loopback, a clock that a test sets, short ways to ask."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path

import anyio
import msgspec
from anyio import to_thread
from msgspec.structs import replace
from tests.adapters.plain_secrets import PlainSecrets
from tests.emulators.emulator import Call, serving
from tests.emulators.together_emulator import MODEL, TogetherEmulator
from tests.patience import PATIENCE_S

from genomed.adapters import together
from genomed.conformance.subject import is_over, row_of
from genomed.entities.configuration import JobConfiguration
from genomed.entities.facts import Artifact, DatasetFacts
from genomed.entities.ids import submission_key
from genomed.entities.ports import (
    Accepted,
    LayerRequest,
    ProviderContext,
    PublishedLayer,
    Snapshot,
    Submission,
    Uploaded,
    UploadFile,
)
from genomed.entities.types import RowKind

KEY = "env:TOGETHER_API_KEY"
LOOKS = 5
"""More than the emulator wants before a file is ready."""

JOB = "job-00000000000000000000000042"
CHAT = DatasetFacts(dataset_id="dataset-1", row_kind=RowKind.CHAT, rows=4, eval_rows=2, size_bytes=400)
PREFERENCE = replace(CHAT, row_kind=RowKind.PREFERENCE)
UNJUDGED = replace(CHAT, eval_rows=0)


def configuration(**sections: object) -> JobConfiguration:
    whole = {
        "model": {"baseModel": MODEL},
        "datasets": {"trainingFileId": "dataset-1"},
        "method": {"type": "lora"},
        **sections,
    }
    return msgspec.convert(whole, JobConfiguration)


@dataclass
class Bench:
    emulator: TogetherEmulator
    root: Path
    settings: dict[str, object] = field(default_factory=dict)
    secrets: PlainSecrets = field(default_factory=lambda: PlainSecrets({}))
    ahead_us: int = 0
    made: list[together.Together] = field(default_factory=list)

    def now_us(self) -> int:
        return time.time_ns() // 1000 + self.ahead_us

    def new_daemon(self) -> together.Together:
        """A fresh adapter on the same disk, as after a restart."""
        context = ProviderContext(
            jobs_dir=str(self.root / "jobs"),
            layers_dir=str(self.root / "layers"),
            settings={"base_url": self.emulator.base_url, **self.settings},
            now_us=self.now_us,
            secrets=self.secrets,
        )
        self.made.append(together.provider(context))
        return self.made[-1]

    async def file(self, role: str = "train", *, dataset: DatasetFacts = CHAT) -> UploadFile:
        count = dataset.rows if role == "train" else dataset.eval_rows
        line = partial(self.new_daemon().uploads.line, configuration=configuration())
        body = b"".join(line(row_of(dataset.row_kind, f"{role} {n}")) + b"\n" for n in range(count))
        digest = sha256(body).hexdigest()
        path = self.root / f"{digest[:16]}.jsonl"
        await to_thread.run_sync(path.write_bytes, body)
        return UploadFile(
            name=f"gn-{digest[:16]}",
            path=str(path),
            sha256=digest,
            size_bytes=len(body),
            rows=count,
            row_kind=dataset.row_kind,
        )

    async def uploaded(self, role: str = "train", *, dataset: DatasetFacts = CHAT) -> str:
        uploads, file = self.new_daemon().uploads, await self.file(role, dataset=dataset)
        outcome = await uploads.find(file) or await uploads.put(file)
        assert isinstance(outcome, Uploaded), outcome
        for _ in range(LOOKS):
            if (await uploads.state(outcome.provider_file_id)).ready:
                break
        return outcome.provider_file_id

    async def submission(
        self,
        wanted: JobConfiguration | None = None,
        *,
        dataset: DatasetFacts = CHAT,
        asked: Sequence[str] = (),
        attempt: int = 1,
    ) -> Submission:
        """With everything uploaded that it needs."""
        chosen = wanted or configuration()
        made = self.new_daemon().translate(chosen, dataset, asked=asked)
        return Submission(
            job_id=JOB,
            attempt=attempt,
            key=submission_key(JOB, attempt),
            configuration=chosen,
            payload=made.payload,
            row_kind=dataset.row_kind,
            train_path=str(self.root / "train.jsonl"),
            eval_path=None,
            rows=dataset.rows,
            eval_rows=dataset.eval_rows,
            dataset_sha256="00" * 32,
            files={role: await self.uploaded(role, dataset=dataset) for role in made.uploads},
        )

    async def submitted(self, wanted: JobConfiguration | None = None, *, dataset: DatasetFacts = CHAT) -> str:
        outcome = await self.new_daemon().submit(await self.submission(wanted, dataset=dataset))
        assert isinstance(outcome, Accepted), outcome
        return outcome.provider_job_id

    async def poll(self, theirs: str, cursor: str = "") -> Snapshot:
        return await self.new_daemon().poll(theirs, job_id=JOB, attempt=1, cursor=cursor)

    async def ended(self, theirs: str) -> list[Snapshot]:
        seen: list[Snapshot] = []
        with anyio.fail_after(PATIENCE_S):
            while not (seen and is_over(seen[-1])):
                seen.append(await self.poll(theirs, seen[-1].cursor if seen else ""))
        return seen

    async def artifact(self, theirs: str) -> Artifact:
        artifact = (await self.ended(theirs))[-1].artifact
        assert artifact is not None
        return artifact

    async def published(self, artifact: Artifact, layer_id: str = "layer-1") -> PublishedLayer:
        request = LayerRequest(layer_id=layer_id, destination=str(self.root / "layers" / layer_id), lineage={"of": JOB})
        return await self.new_daemon().publish(request, artifact=artifact, job_id=JOB, attempt=1)

    def created(self) -> Call:
        """The one create call."""
        (call,) = self.emulator.seen("create_job")
        return call

    def forget_slips(self) -> None:
        """As when the disk was lost."""
        for slip in (self.root / "jobs").glob("*/together-*.json"):
            slip.unlink()

    async def close(self) -> None:
        for made in self.made:
            await made.close()


@asynccontextmanager
async def bench_on(root: Path) -> AsyncIterator[Bench]:
    """On a clean way out nothing that was sent, and nothing that was answered, broke the published document."""
    emulator = TogetherEmulator()
    async with serving(emulator):
        held = {KEY: emulator.api_key, "env:WANDB": "wandb-canary-17", "env:HF": "hf-canary-23"}
        bench = Bench(emulator=emulator, root=root, secrets=PlainSecrets(held))
        try:
            yield bench
        finally:
            await bench.close()
