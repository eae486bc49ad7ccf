"""A Mistral adapter and what it needs around it, for one test. Each `provider` is a new adapter, as after a restart."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import anyio
from tests.adapters.plain_secrets import PlainSecrets
from tests.contract.wishes import configuration
from tests.emulators.emulator import serving
from tests.emulators.mistral_emulator import MistralEmulator
from tests.patience import PATIENCE_S

from genomed.adapters import mistral
from genomed.adapters.mistral import Mistral
from genomed.entities.configuration import JobConfiguration
from genomed.entities.facts import DatasetFacts
from genomed.entities.ids import submission_key
from genomed.entities.ports import Accepted, ProviderContext, Snapshot, Submission, Uploaded, UploadFile, Uploads
from genomed.entities.rows import ChatRow, Message
from genomed.entities.types import JobPhase, JobStatus, RowKind

JOB = "job-00000000000000000000000001"
KEY = "env:MISTRAL_API_KEY"
WANDB_KEY = "w" * 40


class MistralBench:
    """now_us: the adapter's clock, which a test may move."""

    def __init__(self, root: Path, emulator: MistralEmulator, **settings: object) -> None:
        self.root = root
        self.emulator = emulator
        self.ahead_s = 0.0
        self.secrets = PlainSecrets({KEY: emulator.api_key, "env:WANDB": WANDB_KEY, "env:LONG": "w" * 86})
        self.settings: dict[str, object] = {"base_url": emulator.base_url, **settings}
        self.made: list[Mistral] = []

    def now_us(self) -> int:
        return int((time.time() + self.ahead_s) * 1e6)

    @property
    def provider(self) -> Mistral:
        context = ProviderContext(
            jobs_dir=str(self.root / "jobs"),
            layers_dir=str(self.root / "layers"),
            settings=self.settings,
            now_us=self.now_us,
            secrets=self.secrets,
        )
        self.made.append(mistral.provider(context))
        return self.made[-1]

    @property
    def uploads(self) -> Uploads:
        uploads = self.provider.uploads
        assert uploads is not None
        return uploads

    async def file(self, role: str, *, rows: int = 3) -> UploadFile:
        line = self.uploads.line(
            ChatRow(messages=(Message(role="user", content=role), Message(role="assistant", content="yes"))),
            configuration=configuration("open-mistral-7b"),
        )
        body = (line + b"\n") * rows
        digest = sha256(body).hexdigest()
        path = anyio.Path(self.root / f"{role}.jsonl")
        await path.write_bytes(body)
        return UploadFile(
            name=f"gn-{digest[:16]}",
            path=str(path),
            sha256=digest,
            size_bytes=len(body),
            rows=rows,
            row_kind=RowKind.CHAT,
        )

    async def sent(self, role: str) -> str:
        outcome = await self.uploads.put(await self.file(role))
        assert isinstance(outcome, Uploaded), outcome
        return outcome.provider_file_id

    async def submission(
        self, wish: JobConfiguration | None = None, *, attempt: int = 1, eval_rows: int = 2
    ) -> Submission:
        wish = wish or configuration("open-mistral-7b")
        facts = DatasetFacts(dataset_id="d", row_kind=RowKind.CHAT, rows=3, eval_rows=eval_rows, size_bytes=300)
        translation = self.provider.translate(wish, facts, asked=())
        return Submission(
            job_id=JOB,
            attempt=attempt,
            key=submission_key(JOB, attempt),
            configuration=wish,
            payload=translation.payload,
            row_kind=RowKind.CHAT,
            train_path=str(self.root / "train.jsonl"),
            eval_path=None,
            rows=3,
            eval_rows=eval_rows,
            dataset_sha256="00" * 32,
            files={role: await self.sent(role) for role in translation.uploads},
        )

    async def submitted(self, wish: JobConfiguration | None = None) -> str:
        outcome = await self.provider.submit(await self.submission(wish))
        assert isinstance(outcome, Accepted), outcome
        return outcome.provider_job_id

    async def poll(self, theirs: str, cursor: str = "") -> Snapshot:
        return await self.provider.poll(theirs, job_id=JOB, attempt=1, cursor=cursor)

    async def proceed(self, theirs: str) -> None:
        await self.provider.proceed(theirs, job_id=JOB, attempt=1)

    async def until(self, theirs: str, *words: str) -> list[Snapshot]:
        """Polls, letting it go on where it waits for that, up to the first of these words."""
        seen: list[Snapshot] = []
        with anyio.fail_after(PATIENCE_S):
            while not seen or seen[-1].provider_status not in words:
                seen.append(await self.poll(theirs, seen[-1].cursor if seen else ""))
                if seen[-1].phase is JobPhase.AWAITING_START and "VALIDATED" not in words:
                    await self.proceed(theirs)
        return seen

    async def finished(self, theirs: str) -> list[Snapshot]:
        seen = await self.until(theirs, "SUCCESS")
        assert seen[-1].status is JobStatus.SUCCEEDED
        return seen

    async def close(self) -> None:
        while self.made:
            await self.made.pop().close()


@asynccontextmanager
async def mistral_bench(
    root: Path, *, emulator: MistralEmulator | None = None, **settings: object
) -> AsyncIterator[MistralBench]:
    async with serving(emulator or MistralEmulator()) as served:
        bench = MistralBench(root, served, **settings)
        try:
            yield bench
        finally:
            await bench.close()
