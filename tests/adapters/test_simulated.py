"""The simulated provider plays every fault it is asked for, survives restarts, and never passes for real."""

import time
from pathlib import Path

import msgspec
import pytest
from tests.adapters.local_bench import json_in
from tests.adapters.plain_secrets import PlainSecrets

from genomed.adapters import simulated
from genomed.adapters.simulated.remote import RemoteJob
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import InvalidRequest, Transient
from genomed.entities.facts import DatasetFacts
from genomed.entities.ids import submission_key
from genomed.entities.ports import (
    Absent,
    Accepted,
    Ambiguous,
    Deferred,
    Found,
    LayerRequest,
    LookupOutcome,
    Provider,
    ProviderContext,
    Rejected,
    Snapshot,
    Submission,
    SubmitOutcome,
    Unsearchable,
)
from genomed.entities.types import TERMINAL, JobStatus

JOB = "job-00000000000000000000000001"


class Play:
    """One job on the simulated provider; every call is made by a new adapter, as after a restart."""

    def __init__(self, root: Path, *, kind: str = "chat", eval_rows: int = 2, **knobs: object) -> None:
        self.root, self.ahead_s, self.cursor = root, 0.0, ""
        self.configuration = msgspec.convert(
            {
                "model": {"baseModel": "any"},
                "datasets": {"trainingFileId": "d"},
                "method": {"type": "lora"},
                "schedule": {"checkpoints": 2},
                "metadata": {"steps": 4, **knobs},
            },
            JobConfiguration,
        )
        self.dataset = msgspec.convert(
            {"datasetId": "d", "rowKind": kind, "rows": 4, "evalRows": eval_rows, "sizeBytes": 1}, DatasetFacts
        )

    @property
    def provider(self) -> Provider:
        context = ProviderContext(
            jobs_dir=str(self.root / "jobs"),
            layers_dir=str(self.root / "layers"),
            settings={},
            now_us=lambda: int((time.time() + self.ahead_s) * 1e6),
            secrets=PlainSecrets({}),
        )
        return simulated.provider(context)

    async def submit(self, attempt: int = 1, *, resume: bool = False) -> SubmitOutcome:
        payload = self.provider.translate(self.configuration, self.dataset, asked=()).payload
        return await self.provider.submit(
            Submission(
                job_id=JOB,
                attempt=attempt,
                key=submission_key(JOB, attempt),
                configuration=self.configuration,
                payload=payload,
                row_kind=self.dataset.row_kind,
                train_path="t",
                eval_path="e",
                rows=4,
                eval_rows=self.dataset.eval_rows,
                dataset_sha256="00",
                resume=resume,
            )
        )

    async def find(self, attempt: int = 1) -> LookupOutcome:
        return await self.provider.find(submission_key(JOB, attempt), job_id=JOB, intended_us=0)

    async def poll(self, attempt: int = 1) -> Snapshot:
        theirs = f"sim-{submission_key(JOB, attempt)}"
        snapshot = await self.provider.poll(theirs, job_id=JOB, attempt=attempt, cursor=self.cursor)
        self.cursor = snapshot.cursor
        return snapshot

    async def run(self, attempt: int = 1) -> list[Snapshot]:
        seen: list[Snapshot] = []
        self.cursor = ""
        while not seen or (seen[-1].status not in TERMINAL and seen[-1].worker_lost is None):
            seen.append(await self.poll(attempt))
        return seen

    def held(self, attempt: int = 1) -> RemoteJob:
        path = self.root / "jobs" / "simulated-provider" / f"{submission_key(JOB, attempt)}.json"
        return msgspec.json.decode(path.read_bytes(), type=RemoteJob)


async def test_a_plain_run_tells_steps_checkpoints_and_both_sides(tmp_path: Path) -> None:
    play = Play(tmp_path)
    assert await play.submit() == Accepted(provider_job_id=f"sim-{submission_key(JOB, 1)}")
    seen = await play.run()
    assert [point.step for each in seen for point in each.points] == [1, 2, 3, 4]
    assert [made.step for each in seen for made in each.checkpoints] == [2, 4]
    sides = {side: judged.exact_match for each in seen for side, judged in each.judgements.items()}
    assert sides == {"baseline": 0.25, "candidate": 0.75}
    assert [notice.code for each in seen for notice in each.notices] == ["simulated"]


async def test_the_same_job_gives_the_same_numbers(tmp_path: Path) -> None:
    runs = []
    for name in ("a", "b"):
        play = Play(tmp_path / name)
        await play.submit()
        runs.append([[point.value for point in each.points] for each in await play.run()])
    assert runs[0] == runs[1]


async def test_a_lost_reply_is_ambiguous_and_found_by_its_key(tmp_path: Path) -> None:
    play = Play(tmp_path, lostReply=True)
    assert isinstance(await play.submit(), Ambiguous)
    assert isinstance(await play.find(), Found)
    assert (play.held().create_calls, play.held().accepted) == (1, 1)


async def test_a_lost_request_is_ambiguous_and_absent(tmp_path: Path) -> None:
    play = Play(tmp_path, lostRequest=True)
    assert isinstance(await play.submit(), Ambiguous)
    assert await play.find() == Absent()
    assert isinstance(await play.submit(), Accepted)
    assert (play.held().create_calls, play.held().accepted) == (2, 1)


async def test_a_provider_that_forgets_keys_would_be_paid_twice(tmp_path: Path) -> None:
    play = Play(tmp_path, forgetsKeys=True, lostReply=True)
    await play.submit()
    await play.submit()
    assert play.held().accepted == 2


async def test_too_many_requests_defer_with_the_hint(tmp_path: Path) -> None:
    play = Play(tmp_path, failCreateTimes=2, retryAfterS=7)
    for _ in range(2):
        answer = await play.submit()
        assert isinstance(answer, Deferred)
        assert answer.retry_after_s == 7
        assert await play.find() == Absent()
    assert isinstance(await play.submit(), Accepted)


async def test_a_refused_create_is_final(tmp_path: Path) -> None:
    answer = await Play(tmp_path, rejectCreate=True).submit()
    assert isinstance(answer, Rejected)
    assert not answer.error.retryable


async def test_an_unsearchable_provider_says_so(tmp_path: Path) -> None:
    play = Play(tmp_path, searchable=False, lostReply=True)
    await play.submit()
    assert await play.find() == Unsearchable()


async def test_a_late_look_up_is_trouble_and_not_an_absence(tmp_path: Path) -> None:
    play = Play(tmp_path, delayLookupTimes=2, lostReply=True)
    await play.submit()
    for _ in range(2):
        with pytest.raises(Transient):
            await play.find()
    assert isinstance(await play.find(), Found)


async def test_broken_polls_are_no_verdict_and_cost_no_step(tmp_path: Path) -> None:
    play = Play(tmp_path, serverErrors=3, retryAfterS=2)
    await play.submit()
    for _ in range(3):
        with pytest.raises(Transient) as broken:
            await play.poll()
        assert broken.value.retry_after_s == 2
    assert (await play.run())[-1].status is JobStatus.SUCCEEDED


async def test_a_word_nobody_knows_is_kept_verbatim(tmp_path: Path) -> None:
    play = Play(tmp_path, unknownStatusAtPoll=2)
    await play.submit()
    seen = await play.run()
    assert [(each.status, each.provider_status) for each in seen][1] == (None, "REBALANCING")
    assert seen[-1].status is JobStatus.SUCCEEDED


async def test_a_failure_at_a_step_comes_once_and_a_retry_ends_well(tmp_path: Path) -> None:
    play = Play(tmp_path, failAtStep=2)
    await play.submit()
    last = (await play.run())[-1]
    assert last.status is JobStatus.FAILED
    assert last.error is not None
    assert "step 2" in last.error.message
    await play.submit(2)
    assert (await play.run(2))[-1].status is JobStatus.SUCCEEDED


async def test_a_vanished_run_goes_on_from_where_it_stood(tmp_path: Path) -> None:
    play = Play(tmp_path, loseWorkerAtStep=2)
    await play.submit()
    assert (await play.run())[-1].worker_lost is not None
    await play.submit(2, resume=True)
    resumed = await play.run(2)
    assert [point.step for each in resumed for point in each.points] == [3, 4]


async def test_a_paused_run_is_resumed_as_a_new_attempt(tmp_path: Path) -> None:
    play = Play(tmp_path)
    await play.submit()
    await play.poll()
    await play.provider.pause(f"sim-{submission_key(JOB, 1)}", job_id=JOB, attempt=1)
    assert (await play.poll()).status is JobStatus.PAUSED
    await play.submit(2, resume=True)
    assert [point.step for each in await play.run(2) for point in each.points] == [2, 3, 4]


async def test_a_cancel_may_come_too_late(tmp_path: Path) -> None:
    play = Play(tmp_path, ignoreCancel=True)
    await play.submit()
    await play.provider.cancel(f"sim-{submission_key(JOB, 1)}", job_id=JOB, attempt=1)
    assert (await play.run())[-1].status is JobStatus.SUCCEEDED


async def test_an_end_may_be_taken_back(tmp_path: Path) -> None:
    play = Play(tmp_path, flipAfterEnd=True)
    await play.submit()
    await play.run()
    assert (await play.poll()).status is JobStatus.RUNNING


async def test_time_may_move_it_instead_of_polls(tmp_path: Path) -> None:
    play = Play(tmp_path, secondsPerStep=100)
    await play.submit()
    assert (await play.poll()).progress is None
    play.ahead_s = 250
    progress = (await play.poll()).progress
    assert progress is not None
    assert progress.step == 2


async def test_preference_rows_are_judged_by_reward(tmp_path: Path) -> None:
    play = Play(tmp_path, kind="preference", candidateExactMatch=0.5)
    await play.submit()
    candidate = (await play.run())[-1].judgements["candidate"]
    assert (candidate.exact_match, candidate.reward_accuracy) == (None, 0.5)


async def test_without_held_out_rows_nothing_is_judged(tmp_path: Path) -> None:
    play = Play(tmp_path, eval_rows=0)
    await play.submit()
    assert all(not each.judgements for each in await play.run())


async def test_a_broken_fetch_is_trouble_and_the_next_one_publishes(tmp_path: Path) -> None:
    play = Play(tmp_path, publishFailTimes=1)
    await play.submit()
    artifact = (await play.run())[-1].artifact
    assert artifact is not None
    request = LayerRequest(layer_id="layer-1", destination=str(tmp_path / "layers" / "layer-1"), lineage={})
    with pytest.raises(Transient):
        await play.provider.publish(request, artifact=artifact, job_id=JOB, attempt=1)
    layer = await play.provider.publish(request, artifact=artifact, job_id=JOB, attempt=1)
    manifest = json_in(f"{layer.path}/genomed-layer.json")
    assert manifest["simulated"] is True
    assert manifest["files"] == {}


async def test_a_job_it_never_had_has_failed(tmp_path: Path) -> None:
    snapshot = await Play(tmp_path).poll()
    assert snapshot.status is JobStatus.FAILED
    assert snapshot.error is not None


def test_parameters_it_does_not_know_are_not_translated(tmp_path: Path) -> None:
    play = Play(tmp_path, colour="red")
    with pytest.raises(InvalidRequest) as refused:
        play.provider.translate(play.configuration, play.dataset, asked=())
    assert refused.value.field == "metadata.colour"
