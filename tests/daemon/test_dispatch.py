"""The one executor behind every door: it never raises, decides again when overtaken, and runs a keyed wish once."""

from collections.abc import Iterable
from pathlib import Path
from sqlite3 import Cursor
from threading import Event

import anyio
import msgspec
import pytest
from blockbuster import blockbuster_ctx
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.daemon.daemon_rig import Rig, running
from tests.patience import PATIENCE_S

from genomed import commands
from genomed.commands.context import Caller
from genomed.daemon.dispatch import MAX_DECISIONS, Reply
from genomed.daemon.journal.database import WritingConnection
from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.types import Role

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
MANY = 5 * MAX_DECISIONS
NAMES = [module.NAME for module in commands.commands() if module.NAME != "genome/log-export"]


def plausible(name: str) -> st.SearchStrategy[object]:
    """Objects with the command's own field names and anything in them."""
    module = commands.command(name)
    assert module is not None
    fields = [field.encode_name for field in msgspec.structs.fields(module.Params)]
    return st.dictionaries(st.sampled_from([*fields, "surprise"]), JSON, max_size=len(fields) + 1)


async def test_no_params_whatever_make_it_raise_or_call_itself_broken(tmp_path: Path) -> None:
    """Hypothesis draws; one rig answers, so that what one call left behind meets the next."""
    wishes: list[tuple[str, object]] = []

    @settings(max_examples=400, database=None)
    @given(data=st.data())
    def draw(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(NAMES))
        wishes.append((name, data.draw(plausible(name) | JSON)))

    draw()
    async with running(tmp_path / "d") as rig:
        for name, params in wishes:
            reply = await rig.execute(name, params)
            if isinstance(reply.error, ErrorBody):
                assert reply.error.kind is not ErrorKind.INTERNAL, (name, params)
        assert (await rig.call("log-verify"))["ok"] is True


async def test_an_id_that_no_stream_can_have_is_nobodys_defect(tmp_path: Path) -> None:
    """One at a time, so that the refusal of one does not hide what another does."""
    async with running(tmp_path / "d") as rig:
        for name in NAMES:
            module = commands.command(name)
            assert module is not None
            for field in msgspec.structs.fields(module.Params):
                for one in ("a\0b", "\0", "a/b", "x" * 512) if field.encode_name.endswith("Id") else ():
                    reply = await rig.execute(name, {field.encode_name: one})
                    if isinstance(reply.error, ErrorBody):
                        assert reply.error.kind is not ErrorKind.INTERNAL, (name, field.encode_name, one)


async def test_an_unforeseen_error_is_told_without_its_secrets(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path / "d", courier=False) as rig:
        dataset_id = await rig.dataset()
        (rig.data_dir / "datasets" / dataset_id / "train.jsonl").unlink()
        reply = await rig.execute("dataset-show", {"datasetId": dataset_id})
    assert isinstance(reply.error, ErrorBody)
    assert reply.error.kind is ErrorKind.INTERNAL
    assert str(tmp_path) not in reply.error.message
    assert "command failed command=genome/dataset-show" in caplog.text


@pytest.mark.parametrize("params", [[], "text", 5, True])
async def test_params_that_are_no_object_are_refused(tmp_path: Path, params: object) -> None:
    async with running(tmp_path / "d") as rig:
        assert (await rig.refused("overview", params)).kind == "invalid_request"


@pytest.mark.parametrize("key", ["", "k" * 257])
async def test_a_key_of_no_or_too_many_characters_is_refused(tmp_path: Path, key: str) -> None:
    async with running(tmp_path / "d") as rig:
        reply = await rig.execute("overview", key=key)
        assert isinstance(reply.error, ErrorBody)
        assert reply.error.field == "idempotencyKey"


async def test_a_key_whose_first_use_was_refused_may_be_used_again(tmp_path: Path) -> None:
    async with running(tmp_path / "d", triggers=False) as rig:
        bucket_id = await rig.rule()
        refused = await rig.execute("bucket-flush", {"bucketId": bucket_id}, key="k")
        assert isinstance(refused.error, ErrorBody)
        await rig.captures(12)
        assert await rig.call("bucket-flush", {"bucketId": bucket_id}, key="k")


async def test_writers_of_one_stream_that_meet_all_get_their_turn(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        one = (await rig.capture(1))["interactionId"]

        async def judge(n: int) -> None:
            await rig.call("capture-feedback", {"interactionId": one, "kind": "score", "score": n / MANY})

        async with anyio.create_task_group() as tasks:
            for n in range(MANY):
                tasks.start_soon(judge, n)
        assert (await rig.types(f"interaction/{one}")).count("interaction.feedback_given") == MANY


async def test_every_role_may_do_what_lies_below_it_and_nothing_above(tmp_path: Path) -> None:
    rank = list(Role)
    async with running(tmp_path / "d") as rig:
        for module in commands.commands():
            for role in Role:
                reply = await rig.execute(module.NAME, {"surprise": 1}, caller=Caller(actor="uid:7", role=role))
                assert isinstance(reply.error, ErrorBody)
                allowed = rank.index(role) >= rank.index(module.ROLE)
                assert (reply.error.kind is ErrorKind.FORBIDDEN) is not allowed, (module.NAME, role)


async def test_what_a_command_wrote_and_its_answer_are_one_transaction(tmp_path: Path) -> None:
    """The receipt of an answered key lies in the journal, so that a new daemon replays it."""
    said = {"personaId": "ada", "domain": "sums", "input": "1", "output": "2"}
    async with running(tmp_path / "d") as rig:
        first = await rig.execute("capture-interaction", said, key="k")
        head = rig.journal.head()
    async with running(tmp_path / "d") as rig:
        again = await rig.execute("capture-interaction", said, key="k")
        assert isinstance(first.result, msgspec.Raw)
        assert isinstance(again.result, msgspec.Raw)
        assert (bytes(again.result), again.replayed, rig.journal.head()) == (bytes(first.result), True, head)


async def test_nothing_of_a_busy_life_blocks_the_event_loop(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        await busy_life(rig, persona="warming")  # modules that load when first used may block once
        with blockbuster_ctx("genomed"):
            await busy_life(rig, persona="ada")


async def busy_life(rig: Rig, *, persona: str) -> None:
    """Captures, a trigger, a job that fails, its retry, a dataset, an overview."""
    template = {"method": {"type": "lora"}, "metadata": {"failAtStep": 2}}
    rule = {"provider": "simulated", "minExamples": 12, "template": template}
    where = {"personaId": persona, "domain": "sums", "baseModel": "tiny"}
    bucket_id = (await rig.call("trigger-set", where | {"rule": rule}))["bucketId"]
    await rig.captures(12, persona=persona)

    async def fired() -> bool:
        [bucket] = (await rig.call("bucket-status", {"bucketId": bucket_id}))["buckets"]
        return bucket["lastJobId"] is not None

    await rig.until(fired, "the trigger")
    [bucket] = (await rig.call("bucket-status", {"bucketId": bucket_id}))["buckets"]
    assert (await rig.ended(bucket["lastJobId"])).status == "failed"
    await rig.call("dataset-create", {"bucketId": bucket_id})
    await rig.call("job-retry", {"jobId": bucket["lastJobId"]})
    assert (await rig.ended(bucket["lastJobId"])).status == "succeeded"
    await rig.call("overview")


async def test_who_was_not_overtaken_does_not_wait_for_those_who_were(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, rig.parts.dispatch._line:
        await rig.capture(1)


class SlowDisk:
    """The writing connection stands in its thread before a transaction, once it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stopped, self.reached, self.moves = False, Event(), Event()
        real = WritingConnection.executemany

        def executemany(connection: WritingConnection, label: str, parameters: Iterable[object], /) -> Cursor:
            if self.stopped:
                self.reached.set()
                self.moves.wait(PATIENCE_S)
            return real(connection, label, parameters)

        monkeypatch.setattr(WritingConnection, "executemany", executemany)


async def test_who_asks_again_after_hanging_up_before_the_answer_was_written_is_told_that_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    said = {"personaId": "ada", "domain": "sums", "input": "1", "output": "2"}
    async with running(tmp_path / "d", courier=False, triggers=False) as rig:
        replies: list[Reply] = []
        left = anyio.CancelScope()

        async def ask() -> None:
            replies.append(await rig.execute("capture-interaction", said, key="k"))

        async def ask_and_leave() -> None:
            with left:
                await ask()

        async def begun() -> bool:
            return disk.reached.is_set()

        async def at_the_door() -> bool:
            """It waits for the first, or behind it."""
            first = rig.parts.dispatch._running.get("uid:1000:k")
            return bool(rig.journal.waiting() or (first and first.statistics().tasks_waiting))

        async with anyio.create_task_group() as tasks:
            disk.stopped = True
            tasks.start_soon(ask_and_leave)
            await rig.until(begun, "the transaction")
            left.cancel()
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(ask)
            await rig.until(at_the_door, "the second wish")
            disk.moves.set()
        assert isinstance(replies[-1].result, msgspec.Raw), replies[-1].error
        assert replies[-1].replayed
        assert [one.type for one in await rig.journal.read_all()].count("interaction.captured") == 1
