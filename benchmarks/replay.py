"""Folding a million events of jobs: our codec and folds beside reading them only, and beside stdlib json into dicts.

The log is made once by the journal itself, with the events that the courier writes for a job from wish to layer.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import cast

import anyio
import msgspec

from benchmarks.appends import CAUSE, NoModels
from benchmarks.side_by_side import Contender, Goal, Sample, Scope, Table, interleaved
from genomed.daemon.assembly import new_event_id, now_us
from genomed.daemon.journal.database import DATABASE_FILE, open_snapshot
from genomed.daemon.journal.event_rows import envelope_from
from genomed.daemon.journal.journal import Journal, open_journal
from genomed.daemon.journal.projector import Projector, stored_rows
from genomed.daemon.read_models import GenomeReadModels
from genomed.entities.configuration import (
    DatasetsSection,
    JobConfiguration,
    MethodSection,
    ModelSection,
)
from genomed.entities.envelope import Write
from genomed.entities.event_codec import decode
from genomed.entities.events import (
    CheckpointCommitted,
    ConfigurationResolved,
    Event,
    JobCreated,
    JobEvent,
    JobSubmitted,
    JobSucceeded,
    ProgressReported,
    SideJudged,
    StatusReported,
    SubmissionIntended,
    TrainingFinished,
    VerdictReached,
)
from genomed.entities.facts import Artifact, EffectiveField, Judgement, Progress, Verdict
from genomed.entities.job import Job, evolve
from genomed.entities.journal_port import Loaded
from genomed.entities.types import JobPhase, JobStatus, RowKind, TrainingMethod

EVENTS, QUICK_EVENTS = 1_000_000, 40_000
PROGRESS_REPORTS = 28
"""Per job; with the twelve others 40 events, so a million events are 25,000 jobs."""
JOBS_PER_APPEND = 10

SELECT_ONLY, DECODED = "SELECT", "SELECT + msgspec decode"
FOLDED, PROJECTED = "genomed: codec and folds", "genomed: as a rebuild folds, envelopes and rows made"
STDLIB = "SELECT + stdlib json + fold of dicts"

COLUMNS = "SELECT stream, type, schema, at_us, CAST(data AS BLOB) FROM events ORDER BY pos"
GOALS = "reference/eventlog.md section 2, 4"


def run(scope: Scope) -> list[Table]:
    count = QUICK_EVENTS if scope.quick else EVENTS
    folder = scope.disk / "replay"
    size = anyio.run(_make, folder, count)
    database = folder / DATABASE_FILE
    ways: dict[str, Callable[[sqlite3.Connection], int]] = {
        DECODED: _decoded,
        FOLDED: _folded,
        PROJECTED: _projected,
        STDLIB: _stdlib,
        SELECT_ONLY: _selected,
    }
    contenders = [Contender(name, partial(_timed, database, way, count)) for name, way in ways.items()]
    samples = interleaved(contenders, rounds=scope.rounds)
    return [
        Table(
            title=f"fold of {count:,} events of {count // len(job_life(0)):,} jobs",
            unit="events/s",
            more_is_better=True,
            reference=DECODED,
            samples=samples,
            facts=[f"The events' JSON has {size / count:.0f} bytes on average; the file is in the page cache."],
            goals=[
                Goal(FOLDED, DECODED, "at least", 0.7, GOALS),
                Goal(FOLDED, STDLIB, "at least", 2.5, GOALS),
            ],
        )
    ]


async def _make(folder: Path, count: int) -> int:
    """The log, and how many bytes of JSON it holds."""
    async with open_journal(folder, read_models=NoModels(), now_us=now_us, new_event_id=new_event_id) as journal:
        jobs = count // len(job_life(0))
        async with anyio.create_task_group() as tasks:
            for lane in range(2):  # one is prepared while the other is written
                tasks.start_soon(_fill, journal, range(lane * JOBS_PER_APPEND, jobs, 2 * JOBS_PER_APPEND), jobs)
        ((size,),) = await journal.query("SELECT sum(length(CAST(data AS BLOB))) FROM events")
        assert isinstance(size, int)
        return size


async def _fill(journal: Journal, starts: range, jobs: int) -> None:
    for start in starts:
        numbers = range(start, min(start + JOBS_PER_APPEND, jobs))
        writes = [Write(stream=f"job/job-{n:026d}", expected=0, events=tuple(job_life(n))) for n in numbers]
        await journal.append(writes, cause=CAUSE)


def job_life(number: int) -> list[Event]:
    """A job from its wish to its layer, as the courier writes it."""
    configuration = JobConfiguration(
        model=ModelSection(base_model="benchmark-model"),
        datasets=DatasetsSection(training_file_id=f"ds-{number:026d}"),
        method=MethodSection(type=TrainingMethod.LORA),
    )
    judged = Judgement(rows=10, loss=0.731234, exact_match=0.8)
    artifact = Artifact(
        format="peft_lora",
        location=f"/layers/{number}",
        files={"adapter_model.safetensors": "0" * 64},
        size_bytes=98765,
    )
    verdict = Verdict(
        adopt=True, metric="exact_match", candidate=judged, baseline=judged, baseline_layer_id=None, lift=0.3,
        loss_change=-0.4, reasons=("exact match rose from 0.50 to 0.80",),
    )  # fmt: skip
    effective = tuple(EffectiveField(field=name, asked=3, sent=3) for name in ("schedule.epochs", "schedule.batchSize"))
    created = JobCreated(
        persona_id="ada", provider="local", configuration=configuration, asked=("model.baseModel", "method.type"),
        dataset_id=f"ds-{number:026d}", row_kind=RowKind.CHAT, rows=40, eval_rows=10, origin="trigger",
    )  # fmt: skip
    return [
        created,
        ConfigurationResolved(attempt=1, source="translation", fields=effective),
        SubmissionIntended(attempt=1, submission_key=f"gn{number:026d}", payload_sha256="0" * 64),
        JobSubmitted(attempt=1, provider_job_id=f"worker-{number}"),
        _status(JobStatus.RUNNING, JobPhase.LOADING),
        SideJudged(attempt=1, side="baseline", judgement=judged),
        *[_progress(step) for step in range(1, PROGRESS_REPORTS + 1)],
        CheckpointCommitted(attempt=1, step=PROGRESS_REPORTS, path=f"/jobs/{number}", sha256="0" * 64, loss=0.7),
        _status(JobStatus.RUNNING, JobPhase.EVALUATING),
        SideJudged(attempt=1, side="candidate", judgement=judged),
        TrainingFinished(attempt=1, artifact=artifact),
        VerdictReached(attempt=1, verdict=verdict),
        JobSucceeded(attempt=1, layer_id=f"layer-{number:026d}", adopted=True),
    ]


def _status(status: JobStatus, phase: JobPhase) -> StatusReported:
    return StatusReported(attempt=1, status=status, phase=phase, provider_status=phase.value)


def _progress(step: int) -> ProgressReported:
    progress = Progress(
        step=step, total_steps=PROGRESS_REPORTS, epoch=step / 10, loss=2.5 / step, learning_rate=1e-4 / step,
        tokens_per_s=812.5, eta_s=0.5 * step,
    )  # fmt: skip
    return ProgressReported(attempt=1, progress=progress)


def _timed(database: Path, way: Callable[[sqlite3.Connection], int], count: int) -> Sample:
    ours = way in (_folded, _projected)
    with closing(open_snapshot(database) if ours else sqlite3.connect(database)) as snapshot:
        began = time.perf_counter()
        found = way(snapshot)
        spent = time.perf_counter() - began
    return Sample(count / spent, f"{spent:.2f} s, {found:,} at the end")


def _rows(snapshot: sqlite3.Connection) -> Iterator[tuple[str, str, int, int, bytes]]:
    return iter(snapshot.execute(COLUMNS))


def _selected(snapshot: sqlite3.Connection) -> int:
    return sum(1 for _ in _rows(snapshot))


def _decoded(snapshot: sqlite3.Connection) -> int:
    read = msgspec.json.Decoder(Event).decode
    events = 0
    for _, _, _, _, data in _rows(snapshot):
        read(data)
        events += 1
    return events


def _folded(snapshot: sqlite3.Connection) -> int:
    jobs: dict[str, Job] = {}
    for stream, type_, schema, at_us, data in _rows(snapshot):
        event = cast("JobEvent", decode(type_, schema, data))  # as the read models take it
        jobs[stream] = evolve(jobs.get(stream), event, at_us=at_us)
    return len(jobs)


def _projected(snapshot: sqlite3.Connection) -> int:
    """What a rebuild does with each event, short of writing its rows."""
    projector = Projector(GenomeReadModels())
    states: dict[str, Loaded] = {}
    rows = 0
    for row in stored_rows(snapshot):
        envelope = envelope_from(row)
        before = states.get(envelope.stream)
        state, writes = projector.project_or_skip(before.state if before else None, envelope)
        states[envelope.stream] = Loaded(version=envelope.version, state=state)
        rows += len(writes)
    return rows


def _stdlib(snapshot: sqlite3.Connection) -> int:
    """The least that a fold without types does: the newest value of every field, by kind of event."""
    jobs: dict[str, dict[str, object]] = {}
    for stream, type_, _, at_us, data in _rows(snapshot):
        event = json.loads(data)
        job = jobs.get(stream)
        if type_ == "job.created":
            jobs[stream] = {**event, "createdUs": at_us, "updatedUs": at_us, "status": "queued", "attempts": []}
            continue
        if job is None:
            raise ValueError(stream)
        job["updatedUs"] = at_us
        match type_:
            case "job.status_reported":
                job["status"], job["phase"] = event["status"], event["phase"]
            case "job.progress_reported":
                job["progress"] = event["progress"]
            case "job.succeeded":
                job["status"], job["layerId"], job["finishedUs"] = "succeeded", event["layerId"], at_us
            case _:
                job[type_] = event
    return len(jobs)
