"""What the journal owes its callers: order, conflicts one by one, everything or nothing, and an answer for each."""

import logging
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from tests.daemon.journal_rig import CAUSE, Notebook, fill, note, opened, pause, put

from genomed.daemon.journal.checkpoint import CHECKPOINT_PAGES
from genomed.daemon.journal.errors import JournalStopped
from genomed.daemon.journal.journal import EVENT_MAX_BYTES, Journal
from genomed.daemon.journal.plan import STREAM_MAX_EVENTS
from genomed.daemon.journal.writer import QUEUE_LIMIT
from genomed.entities.envelope import ANY_VERSION, Envelope, Receipt, Write, blob_of
from genomed.entities.errors import Capacity, Conflict, GenomeError, Internal, InvalidRequest, StreamConflict
from genomed.entities.journal_port import SideWrite

pytestmark = pytest.mark.anyio

PAGE_BYTES = 4096
POINT = "INSERT INTO metric_points(job_id, attempt, name, step, value, at_us) VALUES (?, ?, ?, ?, ?, ?)"


async def put_or_refusal(journal: Journal, answers: dict[int, object], number: int, write: Write) -> None:
    try:
        answers[number] = await journal.append([write], cause=CAUSE)
    except GenomeError as refusal:
        answers[number] = refusal


async def put_together(journal: Journal, writes: list[Write]) -> dict[int, object]:
    """All at once, so that they share a transaction; each one's answer or refusal."""
    answers: dict[int, object] = {}
    async with anyio.create_task_group() as tasks:
        for number, write in enumerate(writes):
            tasks.start_soon(put_or_refusal, journal, answers, number, write)
    return answers


async def test_events_are_read_as_they_were_appended(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        first = await put(journal, "job/a", note("one"), pause(), expected=0)
        second = await put(journal, "job/b", note("two"), expected=0)
        envelopes = await journal.read_all()
        assert (first.first_position, first.last_position, second.last_position) == (1, 2, 3)
        assert [(e.position, e.stream, e.version, e.type) for e in envelopes] == [
            (1, "job/a", 1, "job.noted"),
            (2, "job/a", 2, "job.paused"),
            (3, "job/b", 1, "job.noted"),
        ]
        assert await journal.read("job/a") == envelopes[:2]
        assert await journal.read("job/a", after_version=1) == envelopes[1:2]
        assert envelopes[0].event == note("one")
        assert (envelopes[0].actor, envelopes[0].command_id) == (CAUSE.actor, CAUSE.command_id)
        assert journal.head() == second.head


async def test_a_name_with_a_nul_in_it_is_no_streams_and_not_that_of_its_beginning(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        await put(journal, "job/a", note("one"), expected=0)
        loaded = await journal.load("job/a\0b")
        assert (loaded.version, loaded.state) == (0, None)
        with pytest.raises(InvalidRequest, match="printable"):
            await put(journal, "job/a\0b", note("two"), expected=0)


async def test_what_is_read_from_the_file_equals_what_was_published(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        await fill(journal, events=50)
        published = await journal.read_all()
    async with opened(tmp_path / "data") as journal:
        assert await journal.read_all() == published


async def test_a_wrong_expected_version_is_a_conflict_that_names_the_actual_one(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        await put(journal, "job/a", note(), note(), expected=0)
        for wrong in (0, 1, 3):
            with pytest.raises(StreamConflict) as refusal:
                await put(journal, "job/a", note(), expected=wrong)
            assert (refusal.value.expected, refusal.value.actual) == (wrong, 2)
        await put(journal, "job/a", note(), expected=2)
        await put(journal, "job/a", note(), expected=ANY_VERSION)
        assert (await journal.load("job/a")).version == 4


async def test_a_conflict_is_refused_alone_and_not_its_batch(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        writes = [Write(stream=f"job/{n % 3}", expected=0, events=(note(str(n)),)) for n in range(6)]
        answers = await put_together(journal, writes)
        assert [isinstance(answers[n], StreamConflict) for n in range(6)] == [False, False, False, True, True, True]
        assert journal.commits() == 1
        assert [envelope.event for envelope in await journal.read_all()] == [note("0"), note("1"), note("2")]


async def test_waiting_callers_share_commits(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        for round_ in range(4):
            writes = [Write(stream=f"job/{n}", expected=round_, events=(note(),)) for n in range(128)]
            await put_together(journal, writes)
        assert journal.head().position == 512
        assert journal.commits() <= 8


async def test_an_append_to_several_streams_is_whole_or_not_at_all(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        await put(journal, "job/b", note())
        side = [SideWrite(sql=POINT, rows=(("a", 1, "loss", 1, 0.5, 1),))]
        writes = [Write(stream=f"job/{name}", expected=0, events=(note(),)) for name in "ab"]
        with pytest.raises(StreamConflict):
            await journal.append(writes, cause=CAUSE, side=side, blobs=[blob_of("x")])
        assert (await journal.load("job/a")).version == 0
        assert await journal.query("SELECT count(*) FROM metric_points") == [(0,)]
        assert await journal.blob(blob_of("x").sha256) is None
        appended = await journal.append(
            [Write(stream="job/a", expected=0, events=(note(),)), Write(stream="job/b", expected=1, events=(note(),))],
            cause=CAUSE,
            side=side,
            blobs=[blob_of("x")],
        )
        assert (appended.first_position, appended.last_position) == (2, 3)
        assert await journal.query("SELECT job_id, value FROM metric_points") == [("a", 0.5)]
        assert await journal.blob(blob_of("x").sha256) == b'"x"'


async def test_an_append_without_events_is_durable_too(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        appended = await journal.append([], cause=CAUSE, blobs=[blob_of("only a body")])
        assert appended.first_position > appended.last_position
        assert await journal.blob(blob_of("only a body").sha256)


async def test_an_answered_key_is_refused_as_a_whole_and_its_answer_stays(tmp_path: Path) -> None:
    receipt = Receipt(key="k-1", name="genome/job-create", body_hash="00", reply=b'{"job":"a"}')
    write = Write(stream="job/a", expected=ANY_VERSION, events=(note(),))
    async with opened(tmp_path / "data") as journal:
        await journal.append([write], cause=CAUSE, receipt=receipt)
        with pytest.raises(Conflict, match="k-1"):
            await journal.append([write], cause=CAUSE, receipt=receipt)
    async with opened(tmp_path / "data") as journal:
        with pytest.raises(Conflict, match="k-1"):
            await journal.append([write], cause=CAUSE, receipt=receipt)
        assert await journal.receipt("k-1") == receipt
        assert await journal.receipt("k-2") is None
        assert journal.head().position == 1


async def test_of_two_appends_with_one_key_in_one_batch_the_first_wins(tmp_path: Path) -> None:
    receipt = Receipt(key="k", name="n", body_hash="00", reply=b"{}")
    outcomes: list[str] = []

    async def append(journal: Journal, stream: str) -> None:
        try:
            await journal.append([Write(stream=stream, expected=0, events=(note(),))], cause=CAUSE, receipt=receipt)
            outcomes.append("appended")
        except Conflict:
            outcomes.append("refused")

    async with opened(tmp_path / "data") as journal:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(append, journal, "job/a")
            tasks.start_soon(append, journal, "job/b")
        assert sorted(outcomes) == ["appended", "refused"]
        assert journal.head().position == 1


@pytest.mark.parametrize(
    "bad",
    [
        SideWrite(sql="INSERT INTO nowhere VALUES (?)", rows=((1,),)),
        SideWrite(sql=POINT, rows=(("a", 1, "loss", None, 0.5, 1),)),
        SideWrite(sql=POINT, rows=(("a", 1, "loss", 2**70, 0.5, 1),)),
        SideWrite(sql=POINT, rows=(("\ud800", 1, "loss", 1, 0.5, 1),)),
    ],
    ids=["no such table", "null", "integer beyond 64 bits", "half a surrogate"],
)
async def test_one_callers_bad_side_write_is_refused_alone(tmp_path: Path, bad: SideWrite) -> None:
    refusals: list[GenomeError] = []

    async def append(journal: Journal, number: int) -> None:
        write = Write(stream=f"job/{number}", expected=0, events=(note(),))
        try:
            await journal.append([write], cause=CAUSE, side=[bad] if number == 2 else [])
        except GenomeError as refusal:
            refusals.append(refusal)

    async with opened(tmp_path / "data") as journal:
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(append, journal, number)
        assert len(refusals) == 1
        assert {e.stream for e in await journal.read_all()} == {"job/0", "job/1", "job/3", "job/4"}
        assert [e.position for e in await journal.read_all()] == [1, 2, 3, 4]
        await put(journal, "job/2", note(), expected=0)
        assert (await journal.verify()).ok


async def test_an_event_that_its_fold_refuses_is_refused_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        events = (note("fine"), note(code="impossible"))
        answers = await put_together(
            journal, [Write(stream=f"job/{n}", expected=0, events=(events[n],)) for n in (0, 1)]
        )
        assert isinstance(answers[1], Internal)
        assert [e.stream for e in await journal.read_all()] == ["job/0"]


async def test_a_cancelled_caller_does_not_take_back_its_append(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await put(journal, "job/a", note())
        assert scope.cancelled_caught
        await put(journal, "job/b", note())
        assert [e.stream for e in await journal.read_all()] == ["job/a", "job/b"]


async def test_a_cancelled_daemon_still_writes_what_was_queued(tmp_path: Path) -> None:
    async def daemon(host: anyio.CancelScope) -> None:
        with host:
            async with opened(tmp_path / "data") as journal, anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(put, journal, f"job/{number}", note())
                await anyio.lowlevel.checkpoint()
                host.cancel()
                await anyio.sleep_forever()

    await daemon(anyio.CancelScope())
    async with opened(tmp_path / "data") as journal:
        assert journal.head().position == 20


async def test_a_closed_journal_refuses(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        pass
    with pytest.raises(JournalStopped):
        await put(journal, "job/a", note())


async def test_a_full_queue_is_told_and_not_waited_for(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        writes = [Write(stream=f"note/{n}", expected=0, events=(note(),)) for n in range(QUEUE_LIMIT + 10)]
        answers = await put_together(journal, writes)
        assert sum(isinstance(answer, Capacity) for answer in answers.values()) == 10
        assert journal.head().position == QUEUE_LIMIT


async def test_an_event_beyond_its_size_is_refused_before_the_log(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        with pytest.raises(InvalidRequest, match="at most"):
            await put(journal, "job/a", note("x" * EVENT_MAX_BYTES))
        with pytest.raises(InvalidRequest, match="Unicode"):
            await put(journal, "job/a", note("\ud800"))
        with pytest.raises(InvalidRequest, match="stream"):
            await put(journal, "", note())
        await put(journal, "job/a", note("x" * (EVENT_MAX_BYTES - 200)), expected=0)


async def test_a_stream_is_bounded_and_says_so_early(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(tmp_path / "data") as journal:
        for _ in range(STREAM_MAX_EVENTS // 1000):
            await put(journal, "note/long", *[note()] * 1000)
        with pytest.raises(Conflict, match="at most") as refusal:
            await put(journal, "note/long", note())
        assert refusal.value.remedy
    assert [r.message for r in caplog.records if r.levelno == logging.WARNING] == [
        "long stream stream=note/long events=2000 limit=10000"
    ]


async def test_states_are_folded_and_survive_cold_loads(tmp_path: Path) -> None:
    expected = Notebook(notes=("one", "two"), pauses=1)
    async with opened(tmp_path / "data") as journal:
        await put(journal, "job/a", note("one"), pause(), note("two"))
        await put(journal, "other/b", note())
        assert await journal.load("job/none") == type(await journal.load("job/a"))(version=0, state=None)
        assert (await journal.load("job/a")).state == expected
        assert (await journal.load("other/b")).state is None
    async with opened(tmp_path / "data") as journal:
        assert (await journal.load("job/a")).state == expected
        assert (await journal.load("other/b")).version == 1
        await put(journal, "job/a", pause(), expected=3)
        assert (await journal.load("job/a")).state == Notebook(notes=("one", "two"), pauses=2)


async def test_an_erased_body_is_gone_and_its_row_stays(tmp_path: Path) -> None:
    blob = blob_of("a secret that somebody wants forgotten")
    async with opened(tmp_path / "data") as journal:
        await journal.append([], cause=CAUSE, blobs=[blob, blob])
        assert await journal.blob(blob.sha256) == blob.body
        await journal.erase_blob(blob.sha256)
        await journal.erase_blob(blob.sha256)
        assert await journal.blob(blob.sha256) is None
        await journal.append([], cause=CAUSE, blobs=[blob])
        assert await journal.blob(blob.sha256) is None, "what was erased stays erased"
        rows = await journal.query("SELECT size_bytes, body, erased_us IS NOT NULL FROM blobs")
        assert rows == [(len(blob.body), None, 1)]
        report = await journal.verify()
        assert (report.ok, report.erased_blobs) == (True, 1)
    assert not any(blob.body in path.read_bytes() for path in (tmp_path / "data").iterdir())


async def test_a_reader_cannot_write(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        with pytest.raises(Internal):
            await journal.query("DELETE FROM receipts")
        with pytest.raises(Internal):
            await journal.query("SELECT * FROM nowhere")
        await put(journal, "job/a", note())


async def test_a_subscriber_sees_every_event_once_and_in_order(tmp_path: Path) -> None:
    seen: list[Envelope] = []
    total = 6000

    async def follow(journal: Journal) -> None:
        subscription = journal.subscribe(after=0)
        while len(seen) < total:
            seen.extend(await subscription.next(limit=97))

    async with opened(tmp_path / "data") as journal:
        await fill(journal, events=5000, per_append=1000)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow, journal)
            await fill(journal, events=1000, per_append=37)
        assert [e.position for e in seen] == list(range(1, total + 1))


async def test_nothing_is_published_before_it_is_durable(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal, anyio.create_task_group() as tasks:
        tasks.start_soon(put, journal, "job/a", note())
        await journal.wait_beyond(0)
        assert await journal.query("SELECT count(*) FROM events") == [(1,)]


async def test_the_event_loop_is_never_blocked(tmp_path: Path, no_blocking: None) -> None:
    async with opened(tmp_path / "data") as journal:
        await fill(journal, events=300, per_append=50)
        await journal.rebuild()
        assert (await journal.verify()).ok
        await journal.export(tmp_path / "log.jsonl")
        await journal.backup(tmp_path / "copy.db")


async def test_the_wal_is_checkpointed_between_batches(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        for _ in range(160):
            await put(journal, "note/a", *[note("x" * 4000)] * 60)
        assert (tmp_path / "data" / "journal.db-wal").stat().st_size < 1.5 * CHECKPOINT_PAGES * PAGE_BYTES
        assert (tmp_path / "data" / "journal.db").stat().st_size > 5_000_000
