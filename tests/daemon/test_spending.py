"""Money over the daemon's real parts: reserved with the job, settled with its end, and never beyond a cap.

The simulated provider is given a price, so that it counts as paid; what it costs is play money.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from tests.daemon.daemon_rig import ADMIN, Json, Rig, listening, running, simulated

from genomed.commands import spending
from genomed.commands.context import Caller
from genomed.daemon.courier.settlement import requoted
from genomed.daemon.dispatch import Reply
from genomed.daemon.journal.journal import Journal
from genomed.daemon.journal.plan import STREAM_MAX_EVENTS
from genomed.entities.budget import OVERALL, Budget, Caps, Scope
from genomed.entities.envelope import Appended, Cause, Write
from genomed.entities.errors import BudgetExceeded, ErrorBody
from genomed.entities.events import JobCreated
from genomed.entities.experience_events import TriggerHeldBack
from genomed.entities.facts import Estimate
from genomed.entities.spend import BUDGET_STREAM, Ledger, ledger_stream
from genomed.entities.spend_events import BudgetSet, SpendReleased, SpendReserved, SpendSettled
from genomed.entities.types import JobStatus, Role

AGENT = Caller(actor="uid:7", role=Role.CAPTURE)


def paid(price: float | str = 1.0, **more: object) -> Json:
    """A configuration with a paid provider. Keywords: caps over all, or further play money."""
    money = {name: more.pop(name) for name in ("quote_usd", "cost_usd") if name in more}
    return {"providers": {"simulated": {"price_usd": price, **money}}, "budget": {"overall": more}}


def stream(rig: Rig) -> str:
    return ledger_stream(rig.clock())


async def ledger(rig: Rig) -> Ledger:
    state = (await rig.journal.load(stream(rig))).state
    return state if isinstance(state, Ledger) else Ledger()


async def wish(rig: Rig, **metadata: object) -> Json:
    configuration = simulated(await rig.dataset(), **metadata)
    return {"personaId": "ada", "provider": "simulated", "configuration": configuration}


def kinds(replies: Sequence[Reply]) -> Counter[str]:
    return Counter(str(reply.error.kind) if isinstance(reply.error, ErrorBody) else "accepted" for reply in replies)


async def test_fifty_at_once_under_a_cap_that_admits_seven_are_exactly_seven(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=paid(1.0, dayUsd=7.5)) as rig:
        params = await wish(rig, secondsPerStep=3600)
        replies: list[Reply] = []

        async def one(n: int) -> None:
            replies.append(await rig.execute("job-create", params, key=f"k{n}" if n % 2 else None))

        async with anyio.create_task_group() as tasks:
            for n in range(50):
                tasks.start_soon(one, n)
        assert kinds(replies) == {"accepted": 7, "budget_exceeded": 43}
        held = await ledger(rig)
        assert (held.reserved(OVERALL), len(held.open)) == (7_000_000, 7)
        rows = await rig.journal.query("SELECT job_id FROM jobs")
        assert sorted(held.open) == sorted(str(job_id) for (job_id,) in rows)


async def test_fifty_at_once_over_the_socket_are_exactly_seven_too(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=paid(0.3, monthUsd=2.1)) as rig, listening(rig) as client:
        body = msgspec.json.encode(await wish(rig, secondsPerStep=3600))
        answers: list[tuple[int, str]] = []

        async def one() -> None:
            async with client.post("/genome/job-create", data=body) as response:
                answer = msgspec.json.decode(await response.read())
                answers.append((response.status, answer.get("error", {}).get("kind", "accepted")))

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(one)
        assert Counter(kind for _, kind in answers) == {"accepted": 7, "budget_exceeded": 43}
        assert len({status for status, _ in answers}) == 2
        assert (await ledger(rig)).reserved(OVERALL) == 2_100_000


async def test_fifty_at_once_that_all_fit_are_all_accepted_though_they_meet_in_one_ledger(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=paid(1.0, dayUsd=50), courier=False) as rig:
        params = await wish(rig)
        replies: list[Reply] = []

        async def one() -> None:
            replies.append(await rig.execute("job-create", params))

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(one)
        assert kinds(replies) == {"accepted": 50}


async def test_the_reservation_is_in_the_append_that_creates_the_job(tmp_path: Path) -> None:
    appends: list[set[str]] = []

    class Watched:
        def __init__(self, journal: Journal) -> None:
            self._journal = journal

        def __getattr__(self, name: str) -> Any:
            return getattr(self._journal, name)

        async def append(self, writes: Sequence[Write], **more: Any) -> Appended:
            appends.append({write.stream.partition("/")[0] for write in writes if write.events})
            return await self._journal.append(writes, **more)

    watched: Any = Watched
    async with running(tmp_path / "d", given=paid(), courier=False, journal_seen_by_parts=watched) as rig:
        created = await rig.call("job-create", await wish(rig))
        assert appends[-1] == {"job", "spend"}
        job = await rig.job(created["jobId"])
        assert (job.ledger, job.estimate) == (stream(rig), await estimate_of(rig))
        [reserved] = await rig.events(stream(rig), SpendReserved)
        assert (reserved.job_id, reserved.usd, reserved.attempt_of, reserved.persona_id) == (
            created["jobId"],
            1.0,
            "create",
            "ada",
        )


async def estimate_of(rig: Rig) -> Estimate:
    basis = "simulated money: price_usd of [providers.simulated]"
    assert rig.settings.providers["simulated"]["price_usd"] == 1.0
    return Estimate(usd=1.0, basis=basis, source="price_table")


async def test_a_daemon_that_stops_between_the_reservation_and_the_create_call_neither_leaks_nor_counts_twice(
    tmp_path: Path,
) -> None:
    given = paid(1.0, dayUsd=1.0)
    async with running(tmp_path / "d", given=given, courier=False) as rig:
        job_id = str((await rig.call("job-create", await wish(rig)))["jobId"])
    async with running(tmp_path / "d", given=given) as rig:
        assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED
        held = await ledger(rig)
        assert (held.open, held.settled(OVERALL)) == ({}, 1_000_000)
        assert await rig.types(stream(rig)) == ["spend.reserved", "spend.settled"]
        assert (await rig.refused("job-create", await wish(rig))).kind == "budget_exceeded"


async def test_what_is_free_never_touches_the_ledger(tmp_path: Path) -> None:
    given = {"budget": {"overall": {"jobUsd": 0, "dayUsd": 0, "monthUsd": 0}}}
    async with running(tmp_path / "d", given=given) as rig:
        job_id = await rig.create_job()
        job = await rig.ended(job_id)
        assert (job.status, job.ledger) == (JobStatus.SUCCEEDED, None)
        assert await rig.journal.query("SELECT * FROM ledgers") == []


@pytest.mark.parametrize(
    ("money", "metadata", "settled", "basis"),
    [
        ({}, {}, 1.0, "estimate"),
        ({"cost_usd": 0.25}, {}, 0.25, "reported"),
        ({"quote_usd": 1.75}, {}, 1.75, "quote"),
        ({"quote_usd": 1.75, "cost_usd": 1.5}, {}, 1.5, "reported"),
        ({"cost_usd": 0.0}, {"failAtStep": 2}, 0.0, "reported"),
        ({}, {"failAtStep": 2}, 1.0, "estimate"),
    ],
)
async def test_an_end_is_settled_with_what_the_provider_says_else_with_what_was_reserved(
    tmp_path: Path, money: Json, metadata: Json, settled: float, basis: str
) -> None:
    async with running(tmp_path / "d", given=paid(1.0, dayUsd=9, **money)) as rig:
        job_id = await rig.create_job(**metadata)
        await rig.ended(job_id)
        [end] = await rig.events(stream(rig), SpendSettled)
        assert (end.job_id, end.usd, end.basis) == (job_id, settled, basis)
        held = await ledger(rig)
        assert held.open == {}
        for scope in (OVERALL, Scope(kind="persona", name="ada"), Scope(kind="provider", name="simulated")):
            assert held.settled(scope) == round(settled * 1_000_000)


async def test_what_was_never_sent_is_released_and_another_may_have_the_money(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=paid(1.0, dayUsd=1)) as rig:
        waiting = await rig.execute("job-create", await wish(rig), caller=AGENT)
        assert isinstance(waiting.result, msgspec.Raw)
        job_id = msgspec.json.decode(waiting.result)["jobId"]
        assert (await rig.refused("job-create", await wish(rig))).kind == "budget_exceeded"
        await rig.call("job-cancel", {"jobId": job_id})
        await rig.ended(job_id)
        [end] = await rig.events(stream(rig), SpendReleased)
        assert (end.job_id, (await ledger(rig)).open) == (job_id, {})
        await rig.call("job-create", await wish(rig))


async def test_a_rejected_create_call_costs_nothing(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=paid()) as rig:
        await rig.ended(await rig.create_job(rejectCreate=True))
        assert await rig.types(stream(rig)) == ["spend.reserved", "spend.released"]


async def test_a_cancelled_run_without_a_price_stays_at_its_estimate(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=paid()) as rig:
        job_id = await rig.create_job(secondsPerStep=3600)
        await rig.job_when(job_id, lambda job: job.status is JobStatus.RUNNING)
        await rig.call("job-cancel", {"jobId": job_id})
        await rig.ended(job_id)
        [end] = await rig.events(stream(rig), SpendSettled)
        assert (end.usd, end.basis) == (1.0, "estimate")


async def test_a_retry_reserves_again_and_is_refused_where_nothing_is_left(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=paid(1.0, jobUsd=2)) as rig:
        job_id = await rig.create_job(failAtStep=1, faultyAttempts=9)
        await rig.ended(job_id)
        await rig.call("job-retry", {"jobId": job_id})
        await rig.ended(job_id)
        reserved = await rig.events(stream(rig), SpendReserved)
        assert [(one.attempt_of, one.first_attempt, one.earlier_usd) for one in reserved] == [
            ("create", 1, 0.0),
            ("retry", 2, 1.0),
        ]
        assert (await ledger(rig)).jobs == {job_id: 2_000_000}
        error = await rig.refused("job-retry", {"jobId": job_id})
        assert (error.kind, error.field) == ("budget_exceeded", "budget.overall.jobUsd")


async def test_a_job_that_goes_on_after_its_end_reserves_again(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=paid(1.0, dayUsd=2)) as rig:
        job_id = await rig.create_job(steps=6, failAtStep=5)
        assert (await rig.ended(job_id)).checkpoint is not None
        await rig.call("job-resume", {"jobId": job_id})
        assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED
        reserved = await rig.events(stream(rig), SpendReserved)
        assert [(one.attempt_of, one.first_attempt) for one in reserved] == [("create", 1), ("resume", 2)]
        assert (await ledger(rig)).settled(OVERALL) == 2_000_000


async def test_a_paused_job_goes_on_with_the_money_it_holds(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=paid(1.0, dayUsd=1)) as rig:
        job_id = await rig.create_job(steps=300)
        await rig.job_when(job_id, lambda job: job.progress is not None)
        await rig.call("job-pause", {"jobId": job_id})
        await rig.job_when(job_id, lambda job: job.status is JobStatus.PAUSED)
        await rig.call("job-resume", {"jobId": job_id})
        assert (await rig.ended(job_id)).ledger == stream(rig)
        assert await rig.types(stream(rig)) == ["spend.reserved", "spend.settled"]


async def test_a_pause_that_ends_by_itself_keeps_the_reservation(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=paid(1.0, dayUsd=1)) as rig:
        job_id = await rig.create_job(steps=300)
        await rig.job_when(job_id, lambda job: job.progress is not None)
        await rig.call("job-pause", {"jobId": job_id, "ttlS": 0.1})
        await rig.job_when(job_id, lambda job: len(job.attempts) == 2)
        await rig.ended(job_id)
        assert await rig.types(stream(rig)) == ["spend.reserved", "spend.settled"]


async def test_a_cap_that_was_lowered_meanwhile_makes_the_command_decide_again(tmp_path: Path) -> None:
    lowered = BudgetSet(budget=Budget(overall=Caps(day_usd=0.5)), reason="in between")

    class Meddled:
        """Somebody sets the caps after the command has read them and before it writes."""

        def __init__(self, journal: Journal) -> None:
            self._journal, self._done = journal, False

        def __getattr__(self, name: str) -> Any:
            return getattr(self._journal, name)

        async def append(self, writes: Sequence[Write], **more: Any) -> Appended:
            if not self._done and any(isinstance(event, JobCreated) for write in writes for event in write.events):
                self._done = True
                cause = Cause(actor="uid:0")
                await self._journal.append([Write(stream=BUDGET_STREAM, expected=0, events=(lowered,))], cause=cause)
            return await self._journal.append(writes, **more)

    meddled: Any = Meddled
    async with running(tmp_path / "d", given=paid(), courier=False, journal_seen_by_parts=meddled) as rig:
        reply = await rig.execute("job-create", await wish(rig))
        assert isinstance(reply.error, ErrorBody)
        assert reply.error.kind == "budget_exceeded"
        assert (await ledger(rig)).open == {}


async def test_a_trigger_over_the_cap_is_held_back_with_the_reason(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=paid(1.0, dayUsd=0.5)) as rig:
        bucket_id = await rig.rule(minExamples=12)
        await rig.captures(12)

        async def held_back() -> bool:
            return bool(await rig.events(f"bucket/{bucket_id}", TriggerHeldBack))

        await rig.until(held_back, "the refusal")
        [held] = await rig.events(f"bucket/{bucket_id}", TriggerHeldBack)
        assert "the cap of a day for all jobs together is $0.50" in held.message


@pytest.mark.parametrize(
    ("given", "waits"),
    [
        (paid(), True),
        (paid() | {"policies": {"simulated": {"confirm": False}}}, False),
        ({}, False),
        ({"policies": {"simulated": {"confirm": True}}}, True),
    ],
)
async def test_what_a_trigger_starts_waits_where_it_costs_money_unless_the_operator_says_otherwise(
    tmp_path: Path, given: Json, waits: bool
) -> None:
    async with running(tmp_path / "d", given=given, courier=False) as rig:
        await rig.rule(minExamples=12)
        await rig.captures(12)

        async def fired() -> bool:
            return (await rig.bucket())["lastJobId"] is not None

        await rig.until(fired, "the trigger")
        job = await rig.job((await rig.bucket())["lastJobId"])
        assert (job.awaiting_approval, job.phase == "awaiting_approval") == (waits, waits)


async def test_a_full_ledger_refuses_before_an_end_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert spending.LEDGER_EVENTS == STREAM_MAX_EVENTS
    monkeypatch.setattr(spending, "LEDGER_EVENTS", 2 * spending.EVENTS_OF_ONE)
    async with running(tmp_path / "d", given=paid(), courier=False) as rig:
        await rig.call("job-create", await wish(rig))
        assert (await rig.refused("job-create", await wish(rig))).kind == "capacity"


async def test_the_providers_own_price_takes_the_estimates_place_or_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=paid(1.0, dayUsd=2), courier=False) as rig:
        job_id = str((await rig.call("job-create", await wish(rig)))["jobId"])
        job, budget = await rig.job(job_id), rig.settings.budget
        fits = Estimate(usd=1.5, basis="its own", source="provider")
        writes = await requoted(rig.journal, budget, job_id, job, fits)
        await rig.journal.append(writes, cause=Cause(actor="daemon"))
        assert (await ledger(rig)).reserved(OVERALL) == 1_500_000
        assert await requoted(rig.journal, budget, job_id, job, fits) == ()
        with pytest.raises(BudgetExceeded):
            await requoted(rig.journal, budget, job_id, job, Estimate(usd=2.5, basis="its own", source="provider"))


async def test_a_quote_over_the_cap_ends_the_job_before_it_is_sent_and_frees_the_money(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=paid(1.0, dayUsd=2, quote_usd=2.5)) as rig:
        job_id = await rig.create_job()
        job = await rig.ended(job_id)
        assert job.error is not None
        assert (job.status, job.error.kind, job.error.retryable) == (JobStatus.FAILED, "budget_exceeded", False)
        assert await rig.types(stream(rig)) == ["spend.reserved", "spend.released"]
        assert not (rig.data_dir / "jobs" / "simulated-provider").exists()


async def test_the_read_models_of_money_follow_from_the_log_alone(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=paid()) as rig:
        await rig.ended(await rig.create_job())
        await rig.create_job(secondsPerStep=3600)
        await rig.call("budget-set", {"budget": {"overall": {"dayUsd": 9}}})
        before = await rig.call("budget-status")
        rows = await rig.journal.query("SELECT * FROM ledgers")
        assert rows == [(stream(rig), 1)]
        await rig.journal.rebuild()
        assert await rig.journal.query("SELECT * FROM ledgers") == rows
        after = await rig.call("budget-status")
        assert before | {"asOf": 0} == after | {"asOf": 0}
        assert ADMIN.actor == after["setBy"]
