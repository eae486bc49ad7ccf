"""What the laws run over: an adapter, how to make it again, and what stands on the other side.

A Subject is made by an async context manager, in the event loop of the test, so that an emulator may live there:

    @asynccontextmanager
    async def acme_subject(root: Path) -> AsyncIterator[Subject]:
        async with serving(AcmeEmulator()) as emulator:
            context = ProviderContext(..., settings={"base_url": emulator.base_url})
            yield Subject(
                make=lambda: acme.provider(context),            # a fresh adapter, as after a restart; closed for you
                configuration=..., endless=..., wrong=..., wrong_fields=frozenset({...}),
                dataset=DatasetFacts(...), layers_dir=..., files=root,
                faults=...,                                     # FaultControls: how to break things, or None
                secret_values=("emulated-key-0123456789",),     # what must never be seen in anything
                written_by_us={"training_type.type": "..."},    # payload paths that come from no field, and why
                carried_elsewhere={"method.type": "..."},       # fields whose value stands in no leaf, and why
            )

and run by a class with a fixture, in a project that has `pytest` and `anyio` (ours, and nobody else's, set
`anyio_mode = "auto"`: the laws bring their own mark and backend):

    class TestAcme(ProviderLaws):
        @pytest.fixture
        async def subject(self, tmp_path: Path) -> AsyncIterator[Subject]:
            async with acme_subject(tmp_path) as subject:
                yield subject

A provider that can never run a job (it has no such API) is held to `NeverTrainsLaws` instead.
Knows the port; does not know any provider.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import anyio
import pytest
from anyio import to_thread

from genomed.entities.capabilities import Translation
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import Transient
from genomed.entities.facts import Artifact, DatasetFacts
from genomed.entities.ids import submission_key
from genomed.entities.ports import (
    Accepted,
    LookupOutcome,
    Provider,
    Snapshot,
    Submission,
    Uploaded,
    UploadFile,
    Uploads,
)
from genomed.entities.rows import ChatRow, LabelledRow, Message, PreferenceRow, Row
from genomed.entities.types import TERMINAL, JobPhase, JobStatus, RowKind

LIMIT_S = 240.0
"""When a wait is a hang. Slow machines take their time, and no law here is about speed."""
BETWEEN_LOOKS_S = 0.01


class Trouble(StrEnum):
    """What can go wrong, once, at the next such call. The first two words are the call, the rest is what happens."""

    CREATE_REQUEST_LOST = "the create call breaks off before it arrives"
    CREATE_REPLY_LOST = "the create call is accepted and its answer is lost"
    CREATE_BROKEN = "the create call is answered with 500, and nothing was made"
    CREATE_BUSY = "the create call is answered with 429"
    CREATE_DENIED = "the create call is answered with 401"
    LOOKUP_LOST = "the look-up by key breaks off"
    POLL_LOST = "a poll breaks off"
    POLL_BUSY = "a poll is answered with 503"
    POLL_DENIED = "a poll is answered with 401"
    POLL_STRANGE = "a poll shows the status word STRANGE_WORD"
    JOB_GONE = "from now on the job's own address answers 404"
    UPLOAD_REPLY_LOST = "the upload arrives and its answer is lost"
    FILE_BAD = "the next file is found bad by the provider"


STRANGE_WORD = "REBALANCING"


class FaultControls(Protocol):
    """How the far side is made to fail, and what it counted."""

    @property
    def able(self) -> frozenset[Trouble]:
        """What `cause` can bring about; laws about the rest are skipped."""
        ...

    def configuration(self, trouble: Trouble) -> JobConfiguration | None:
        """Where the job itself must be one that meets this trouble; None where any job does."""
        ...

    def cause(self, trouble: Trouble) -> None:
        """The next such call meets it; once, but for JOB_GONE."""
        ...

    def jobs(self) -> int:
        """How many jobs the far side has made: what would be paid for."""
        ...

    def uploads(self) -> int:
        """How often a file's bytes arrived there."""
        ...


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An adapter under the laws.

    endless: a configuration whose run goes on until it is told to stop. wrong: one with these fields refused.
    keyless: makes the adapter where its key is not set. holds: it keeps jobs that `proceed` lets go on.
    accelerator: what its results may be served on. now_us: the adapter's clock. written_by_us: payload paths (`a.b`,
    list places left out, all below included) -> why no field of the configuration says them, or says them otherwise.
    carried_elsewhere: fields that are sent, though no payload leaf has their value -> how. done_anyway: fields of which
    nothing is sent, though they are asked for and not refused, since the provider does just that by itself -> how.
    package: the adapter's own, in which nothing may block. made: adapters that are still to be closed.
    """

    make: Callable[[], Provider]
    configuration: JobConfiguration
    wrong: JobConfiguration
    wrong_fields: frozenset[str]
    dataset: DatasetFacts
    layers_dir: Path
    files: Path
    endless: JobConfiguration | None = None
    faults: FaultControls | None = None
    keyless: Callable[[], Provider] | None = None
    holds: bool = False
    accelerator: str | None = None
    secret_values: tuple[str, ...] = ()
    written_by_us: Mapping[str, str] = field(default_factory=dict)
    carried_elsewhere: Mapping[str, str] = field(default_factory=dict)
    done_anyway: Mapping[str, str] = field(default_factory=dict)
    now_us: Callable[[], int] = lambda: time.time_ns() // 1000
    package: str = "genomed"
    job_id: str = "job-00000000000000000000000042"
    made: list[Provider] = field(default_factory=list)

    def new_daemon(self) -> Provider:
        """A fresh adapter on the same state, as after a restart. `close` ends it."""
        self.made.append(self.make())
        return self.made[-1]

    async def close(self) -> None:
        while self.made:
            await self.made.pop().close()

    @property
    def key(self) -> str:
        return submission_key(self.job_id, 1)

    @property
    def unending(self) -> JobConfiguration:
        assert self.endless is not None, "this subject has no run that goes on; see NeverTrainsLaws"
        return self.endless

    def faults_for(self, trouble: Trouble) -> FaultControls:
        """Skips the test where nobody can bring it about."""
        if self.faults is None or trouble not in self.faults.able:
            pytest.skip(f"nothing here can make it so that {trouble.value}")
        return self.faults

    async def submission_into(self, trouble: Trouble) -> Submission:
        """Ready to be handed in, and the trouble about to come."""
        faults = self.faults_for(trouble)
        submission = await self.submission(faults.configuration(trouble))
        faults.cause(trouble)
        return submission

    async def submitted_into(self, trouble: Trouble) -> str:
        """Accepted, and the trouble about to come."""
        faults = self.faults_for(trouble)
        theirs = await self.submitted(faults.configuration(trouble))
        faults.cause(trouble)
        return theirs

    def jobs(self) -> int | None:
        """What the far side counts as made, where it can be asked."""
        return None if self.faults is None else self.faults.jobs()

    def translated(self, configuration: JobConfiguration | None = None, *, asked: Sequence[str] = ()) -> Translation:
        return self.new_daemon().translate(configuration or self.configuration, self.dataset, asked=asked)

    async def submission(self, configuration: JobConfiguration | None = None, *, attempt: int = 1) -> Submission:
        """Ready to be handed in: what has to be uploaded first, was."""
        chosen = configuration or self.configuration
        translation = self.translated(chosen)
        return Submission(
            job_id=self.job_id,
            attempt=attempt,
            key=submission_key(self.job_id, attempt),
            configuration=chosen,
            payload=translation.payload,
            row_kind=self.dataset.row_kind,
            train_path=str(self.files / "train.jsonl"),
            eval_path=str(self.files / "eval.jsonl"),
            rows=self.dataset.rows,
            eval_rows=self.dataset.eval_rows,
            dataset_sha256="00" * 32,
            files={role: await self.uploaded(role) for role in translation.uploads},
        )

    async def submitted(self, configuration: JobConfiguration | None = None) -> str:
        outcome = await self.new_daemon().submit(await self.submission(configuration))
        assert isinstance(outcome, Accepted), outcome
        return outcome.provider_job_id

    async def uploaded(self, role: str) -> str:
        """The provider's name for that part, sent if it is not there yet, and ready."""
        uploads = self.uploads()
        file = await self.file(role)
        outcome = await uploads.find(file) or await uploads.put(file)
        assert isinstance(outcome, Uploaded), outcome
        await self.ready(outcome.provider_file_id)
        return outcome.provider_file_id

    async def ready(self, theirs: str) -> None:
        uploads = self.uploads()
        with anyio.fail_after(LIMIT_S):
            while not (state := await uploads.state(theirs)).ready:
                assert state.error is None, state
                assert not state.gone, state
                await anyio.sleep(BETWEEN_LOOKS_S)

    def uploads(self) -> Uploads:
        """Skips the test where the provider reads our files itself."""
        uploads = self.new_daemon().uploads
        if uploads is None:
            pytest.skip("this provider is sent no files")
        return uploads

    async def file(self, role: str) -> UploadFile:
        """That part of the dataset as the core would prepare it: by content, in the provider's own lines."""
        line = partial(self.uploads().line, configuration=self.configuration)
        count = self.dataset.rows if role == "train" else self.dataset.eval_rows
        body = b"".join(line(row_of(self.dataset.row_kind, f"{role} {n}")) + b"\n" for n in range(max(1, count)))
        digest = sha256(body).hexdigest()
        name = f"gn-{digest[:16]}"
        path = self.files / name
        await to_thread.run_sync(path.write_bytes, body)
        return UploadFile(
            name=name,
            path=str(path),
            sha256=digest,
            size_bytes=len(body),
            rows=max(1, count),
            row_kind=self.dataset.row_kind,
        )

    async def found(self, key: str | None = None, *, job_id: str | None = None, intended_us: int = 0) -> LookupOutcome:
        """A look-up of an intention as old as the hills, asked again while the answer is 'not yet'."""
        with anyio.fail_after(LIMIT_S):
            while True:
                try:
                    return await self.new_daemon().find(
                        key or self.key, job_id=job_id or self.job_id, intended_us=intended_us
                    )
                except Transient:
                    await anyio.sleep(BETWEEN_LOOKS_S)

    async def poll(self, theirs: str, cursor: str = "") -> Snapshot:
        return await self.new_daemon().poll(theirs, job_id=self.job_id, attempt=1, cursor=cursor)

    async def ended(self, theirs: str) -> list[Snapshot]:
        """Every snapshot until it is over, each polled by a new daemon with the stored cursor.

        As the core does it: a job that waits for its start is let go on; success without a result is no end.
        """
        seen: list[Snapshot] = []
        with anyio.fail_after(LIMIT_S):
            while not (seen and is_over(seen[-1])):
                seen.append(await self.poll(theirs, seen[-1].cursor if seen else ""))
                if seen[-1].phase is JobPhase.AWAITING_START:
                    await self.new_daemon().proceed(theirs, job_id=self.job_id, attempt=1)
                await anyio.sleep(BETWEEN_LOOKS_S)
        return seen

    async def artifact(self) -> Artifact:
        """The result of an undisturbed run."""
        artifact = (await self.ended(await self.submitted()))[-1].artifact
        assert artifact is not None
        return artifact


def is_over(snapshot: Snapshot) -> bool:
    if snapshot.status is JobStatus.SUCCEEDED:
        return snapshot.artifact is not None
    return snapshot.status in TERMINAL | {JobStatus.PAUSED}


def row_of(kind: RowKind, text: str) -> Row:
    """A row that is like no other."""
    asked = Message(role="user", content=f"Say {text}.")
    answer = Message(role="assistant", content=text)
    if kind is RowKind.CHAT:
        return ChatRow(messages=(asked, answer))
    if kind is RowKind.LABELLED:
        return LabelledRow(prompt=(asked,), completion=(answer,), label=True)
    return PreferenceRow(prompt=(asked,), chosen=(answer,), rejected=(Message(role="assistant", content="No."),))
