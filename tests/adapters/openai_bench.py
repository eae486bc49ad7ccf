"""The `openai` adapter, its emulator and what a job needs, for one test. Each `provider` is as after a restart."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path

import anyio
from tests.adapters.plain_secrets import PlainSecrets
from tests.contract.wishes import configuration
from tests.emulators.emulator import serving
from tests.emulators.openai_emulator import BASE_MODEL, OpenAIEmulator
from tests.patience import PATIENCE_S

from genomed.adapters import openai
from genomed.adapters.openai import OpenAI
from genomed.adapters.openai.uploads import OpenAIUploads
from genomed.entities.configuration import JobConfiguration
from genomed.entities.facts import Artifact, DatasetFacts
from genomed.entities.ids import submission_key
from genomed.entities.ports import (
    Accepted,
    LookupOutcome,
    ProviderContext,
    Snapshot,
    Submission,
    SubmitOutcome,
    Uploaded,
    UploadFile,
)
from genomed.entities.rows import ChatRow, Message, PreferenceRow, Row
from genomed.entities.types import RowKind

JOB = "job-00000000000000000000000001"
KEY = "env:OPENAI_API_KEY"
HOUR_US = 3_600_000_000


def facts(kind: RowKind = RowKind.CHAT, *, rows: int = 12, eval_rows: int = 2) -> DatasetFacts:
    return DatasetFacts(dataset_id="d", row_kind=kind, rows=rows, eval_rows=eval_rows, size_bytes=1200)


def row(kind: RowKind, text: str) -> Row:
    asked = Message(role="user", content=f"Say {text}.")
    answer = Message(role="assistant", content=text)
    if kind is RowKind.CHAT:
        return ChatRow(messages=(asked, answer))
    return PreferenceRow(prompt=(asked,), chosen=(answer,), rejected=(Message(role="assistant", content="No."),))


class OpenAIBench:
    """ahead_s: how far the adapter's clock is ahead of ours."""

    def __init__(self, root: Path, emulator: OpenAIEmulator, **settings: object) -> None:
        self.root, self.emulator = root, emulator
        self.ahead_s = 0.0
        self.secrets = PlainSecrets({KEY: emulator.api_key})
        self.settings: dict[str, object] = {"base_url": emulator.base_url, "timeout_s": PATIENCE_S, **settings}
        self.made: list[OpenAI] = []

    def now_us(self) -> int:
        return int((time.time() + self.ahead_s) * 1e6)

    @property
    def provider(self) -> OpenAI:
        context = ProviderContext(
            jobs_dir=str(self.root / "jobs"),
            layers_dir=str(self.root / "layers"),
            settings=self.settings,
            now_us=self.now_us,
            secrets=self.secrets,
        )
        self.made.append(openai.provider(context))
        return self.made[-1]

    @property
    def uploads(self) -> OpenAIUploads:
        uploads = self.provider.uploads
        assert isinstance(uploads, OpenAIUploads)
        return uploads

    async def file(self, role: str, *, kind: RowKind = RowKind.CHAT, rows: int = 12) -> UploadFile:
        line = partial(self.uploads.line, configuration=configuration(BASE_MODEL))
        body = b"".join(line(row(kind, f"{role} {n}")) + b"\n" for n in range(rows))
        return await self.file_of(body, rows=rows, kind=kind)

    async def file_of(self, body: bytes, *, rows: int = 1, kind: RowKind = RowKind.CHAT) -> UploadFile:
        digest = sha256(body).hexdigest()
        path = anyio.Path(self.root / digest)
        await path.write_bytes(body)
        return UploadFile(
            name=f"gn-{digest[:16]}",
            path=str(path),
            sha256=digest,
            size_bytes=len(body),
            rows=rows,
            row_kind=kind,
        )

    async def sent(self, role: str, *, kind: RowKind = RowKind.CHAT) -> str:
        file = await self.file(role, kind=kind)
        outcome = await self.uploads.find(file) or await self.uploads.put(file)
        assert isinstance(outcome, Uploaded), outcome
        return outcome.provider_file_id

    async def submission(
        self,
        wish: JobConfiguration | None = None,
        *,
        dataset: DatasetFacts | None = None,
        asked: Sequence[str] = (),
        attempt: int = 1,
        resume: bool = False,
        parent: Artifact | None = None,
    ) -> Submission:
        wish, dataset = wish or configuration(BASE_MODEL), dataset or facts()
        translation = self.provider.translate(wish, dataset, asked=asked)
        return Submission(
            job_id=JOB,
            attempt=attempt,
            key=submission_key(JOB, attempt),
            configuration=wish,
            payload=translation.payload,
            row_kind=dataset.row_kind,
            train_path=str(self.root / "train.jsonl"),
            eval_path=None,
            rows=dataset.rows,
            eval_rows=dataset.eval_rows,
            dataset_sha256="00" * 32,
            files={role: await self.sent(role, kind=dataset.row_kind) for role in translation.uploads},
            resume=resume,
            warm_start=parent is not None,
            parent=parent,
        )

    async def submit(self, wish: JobConfiguration | None = None, *, attempt: int = 1) -> SubmitOutcome:
        return await self.provider.submit(await self.submission(wish, attempt=attempt))

    async def submitted(self, wish: JobConfiguration | None = None) -> str:
        outcome = await self.submit(wish)
        assert isinstance(outcome, Accepted), outcome
        return outcome.provider_job_id

    async def find(self, *, attempt: int = 1, since_s: float = 3600) -> LookupOutcome:
        """since_s: how long ago the create call was intended."""
        intended_us = self.now_us() - int(since_s * 1e6)
        return await self.provider.find(submission_key(JOB, attempt), job_id=JOB, intended_us=intended_us)

    async def poll(self, theirs: str, cursor: str = "") -> Snapshot:
        return await self.provider.poll(theirs, job_id=JOB, attempt=1, cursor=cursor)

    async def until(self, theirs: str, *words: str) -> list[Snapshot]:
        """Polls with the stored cursor, up to the first of these words."""
        seen: list[Snapshot] = []
        with anyio.fail_after(PATIENCE_S):
            while not seen or seen[-1].provider_status not in words:
                seen.append(await self.poll(theirs, seen[-1].cursor if seen else ""))
        return seen

    async def close(self) -> None:
        while self.made:
            await self.made.pop().close()


@asynccontextmanager
async def openai_bench(
    root: Path, *, emulator: OpenAIEmulator | None = None, **settings: object
) -> AsyncIterator[OpenAIBench]:
    async with serving(emulator or OpenAIEmulator()) as served:
        bench = OpenAIBench(root, served, **settings)
        try:
            yield bench
        finally:
            await bench.close()
