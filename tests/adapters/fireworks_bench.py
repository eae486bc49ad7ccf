"""Fireworks' adapter on a bench: its real SDK, its emulator on the loopback, short ways to ask."""

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
from tests.emulators.fireworks_emulator import ACCOUNT, SMALL, FireworksEmulator
from tests.patience import PATIENCE_S

from genomed.adapters import fireworks
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

KEY, WANDB_KEY = "env:FIREWORKS_API_KEY", "env:WANDB_API_KEY"
WANDB_SECRET = "wandb-canary-0123456789"
LOOKS = 5
"""More than the emulator wants before a dataset is ready."""

JOB = "job-00000000000000000000000042"
JOB_KEY = submission_key(JOB, 1)
CHAT = DatasetFacts(dataset_id="dataset-1", row_kind=RowKind.CHAT, rows=8, eval_rows=3, size_bytes=800)
UNJUDGED = replace(CHAT, eval_rows=0)
PREFERENCE = replace(CHAT, row_kind=RowKind.PREFERENCE)
EVALUATOR = f"accounts/{ACCOUNT}/evaluators/strict"


def configuration(**sections: object) -> JobConfiguration:
    whole = {
        "model": {"baseModel": SMALL},
        "datasets": {"trainingFileId": "dataset-1"},
        "method": {"type": "lora"},
        "optimizer": {"learningRate": 0.0002},
        **sections,
    }
    return msgspec.convert(whole, JobConfiguration)


REINFORCED = configuration(metadata={"evaluator": EVALUATOR})


@dataclass
class Bench:
    emulator: FireworksEmulator
    root: Path
    secrets: PlainSecrets
    settings: dict[str, object] = field(default_factory=dict)
    made: list[fireworks.Fireworks] = field(default_factory=list)
    now: int = 1_000_000

    def new_daemon(self, **settings: object) -> fireworks.Fireworks:
        """A fresh adapter on the same disk, as after a restart."""
        plain = {"base_url": self.emulator.base_url, "account_id": ACCOUNT, "settle_pause_s": 0}
        context = ProviderContext(
            jobs_dir=str(self.root / "jobs"),
            layers_dir=str(self.root / "layers"),
            settings={**plain, **self.settings, **settings},
            now_us=lambda: self.now,
            secrets=self.secrets,
        )
        self.made.append(fireworks.provider(context))
        return self.made[-1]

    async def file(self, role: str = "train", *, dataset: DatasetFacts = CHAT) -> UploadFile:
        count = dataset.rows if role == "train" else dataset.eval_rows
        line = partial(self.new_daemon().uploads.line, configuration=configuration())
        return await self.file_of(
            b"".join(line(row_of(dataset.row_kind, f"{role} {n}")) + b"\n" for n in range(count)), rows=count
        )

    async def file_of(self, body: bytes, *, rows: int) -> UploadFile:
        digest = sha256(body).hexdigest()
        path = self.root / f"{digest[:16]}.jsonl"
        await to_thread.run_sync(path.write_bytes, body)
        return UploadFile(
            name=f"gn-{digest[:16]}",
            path=str(path),
            sha256=digest,
            size_bytes=len(body),
            rows=rows,
            row_kind=RowKind.CHAT,
        )

    async def uploaded(self, role: str = "train", *, dataset: DatasetFacts = CHAT) -> str:
        uploads, file = self.new_daemon().uploads, await self.file(role, dataset=dataset)
        outcome = await uploads.find(file) or await uploads.put(file)
        assert isinstance(outcome, Uploaded), outcome
        assert await self.ready(outcome.provider_file_id)
        return outcome.provider_file_id

    async def ready(self, theirs: str) -> bool:
        uploads = self.new_daemon().uploads
        for _ in range(LOOKS):
            if (await uploads.state(theirs)).ready:
                return True
        return False

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

    async def artifact(self) -> Artifact:
        artifact = (await self.ended(await self.submitted()))[-1].artifact
        assert artifact is not None
        return artifact

    async def published(self, artifact: Artifact, layer_id: str = "layer-1") -> PublishedLayer:
        request = LayerRequest(layer_id=layer_id, destination=str(self.root / "layers" / layer_id), lineage={"of": JOB})
        return await self.new_daemon().publish(request, artifact=artifact, job_id=JOB, attempt=1)

    def created(self) -> Call:
        """The one create call."""
        (call,) = self.emulator.seen("create_job")
        return call

    async def close(self) -> None:
        for made in self.made:
            await made.close()


@asynccontextmanager
async def bench_on(root: Path) -> AsyncIterator[Bench]:
    """On a clean way out nothing that was sent, and nothing that was answered, broke the published document."""
    emulator = FireworksEmulator()
    async with serving(emulator):
        bench = Bench(
            emulator=emulator, root=root, secrets=PlainSecrets({KEY: emulator.api_key, WANDB_KEY: WANDB_SECRET})
        )
        try:
            yield bench
        finally:
            await bench.close()
