"""The pool of inference workers over real processes, which have no model but speak as those do that have one."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from tests.patience import PATIENCE_S

from genomed.adapters.local import inference_start, inference_worker, memory
from genomed.adapters.local.inference import InferencePool
from genomed.adapters.local.sandbox import Choice, choose
from genomed.adapters.local.settings import settings_from
from genomed.entities.errors import Capacity, InvalidRequest, MalformedResponse, Transient, Unsupported
from genomed.entities.inference_port import Answer, Question

STAND_IN = Path(__file__).with_name("stand_in_inference.py")


class Free:
    async def choice(self, *, device: str) -> Choice:
        return Choice(level="none")


class Held(Free):
    def __init__(self, choice: Choice) -> None:
        self._choice = choice

    async def choice(self, *, device: str) -> Choice:
        return self._choice


class Bench:
    def __init__(self, root: Path, **settings: object) -> None:
        self.root = root
        self.available: int | None = None
        self.settings: dict[str, object] = {"worker": str(STAND_IN), "sandbox": "none", "python": sys.executable}
        self.settings |= settings
        self.pool = self.made(self.device)

    def made(self, device: Callable[[], Awaitable[str]]) -> InferencePool:
        return InferencePool(
            settings_from(self.settings),
            self.root / "inference",
            layers_dir=self.root / "layers",
            sandbox=Free(),
            device=device,
            available=lambda: self.available,
        )

    async def device(self) -> str:
        return "cpu"

    def model(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        return folder

    async def ask(
        self, prompt: str, *, model: str = "a", said: list[str] | None = None, layer: str | None = None
    ) -> Answer:
        async def say(text: str) -> None:
            assert said is not None
            said.append(text)

        question = Question(base_model=str(self.model(model)), engine="peft", kind="chat", prompt=prompt, layer=layer)
        return await self.pool.answer(question, say=None if said is None else say)

    async def seen(self, prompt: str) -> str | None:
        """The answer of a worker that is closed after it."""
        try:
            return (await self.ask(prompt)).text
        finally:
            await self.pool.close()

    async def models(self) -> set[str]:
        return {Path(worker.base_model).name for worker in await self.pool.status()}


@asynccontextmanager
async def bench(root: Path, **settings: object) -> AsyncIterator[Bench]:
    made = Bench(root, **settings)
    try:
        yield made
    finally:
        await made.pool.close()


async def appears(path: Path) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not await anyio.Path(path).exists():  # noqa: ASYNC110 - it is another process that makes it
            await anyio.sleep(0.005)


async def test_an_answer_comes_in_pieces_and_as_a_whole_from_one_worker_that_is_kept(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        said: list[str] = []
        whole = await it.ask("one layer two", said=said, layer="/l")
        assert (whole.text, said) == ("one /l two", ["one", "/l", "two"])
        assert (whole.finish_reason, whole.completion_tokens, whole.memory_bytes) == ("stop", 3, 7)
        first, second = await it.ask("pid"), await it.ask("pid")
        assert first.text == second.text
        [worker] = await it.pool.status()
        assert (worker.answered, worker.waiting, str(worker.pid)) == (3, 0, first.text)


async def test_a_worker_that_dies_fails_its_request_as_transient_and_is_replaced(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        before = (await it.ask("pid")).text
        with pytest.raises(Transient, match="the last word"):
            await it.ask("one die")
        assert (await it.ask("pid")).text != before


async def test_a_worker_that_says_no_word_any_more_and_had_to_be_killed_is_told_as_no_want_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference_worker, "LEAVE_S", 0.0)
    async with bench(tmp_path) as it:
        with pytest.raises(Transient, match="killed"):
            await it.ask("mute")
        assert (await it.ask("one")).text == "one"


async def test_a_worker_that_was_still_starting_when_all_were_ended_is_ended_too(tmp_path: Path) -> None:
    async with bench(tmp_path) as it, anyio.create_task_group() as tasks:
        starting, closed = anyio.Event(), anyio.Event()

        async def device() -> str:
            starting.set()
            await closed.wait()
            return "cpu"

        it.pool = it.made(device)
        refused = anyio.Event()

        async def ask() -> None:
            with pytest.raises(Transient):
                await it.ask("one")
            refused.set()

        tasks.start_soon(ask)
        await starting.wait()
        await it.pool.close()
        closed.set()
        with anyio.fail_after(PATIENCE_S):
            await refused.wait()
        assert await it.models() == set()
        assert not [path async for path in anyio.Path(tmp_path / "inference").iterdir()]


async def test_those_that_wait_behind_a_worker_that_dies_are_answered_by_the_next(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        answers: list[str | None] = []

        async def dies() -> None:
            with pytest.raises(Transient):
                await it.ask("slow die")

        async def waits() -> None:
            answers.append((await it.ask("hello")).text)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(dies)
            await appears(tmp_path / "a" / "slow")
            tasks.start_soon(waits)
            tasks.start_soon(waits)
            (tmp_path / "a" / "go").touch()
        assert answers == ["hello", "hello"]


async def test_one_that_is_killed_while_it_answers_says_that_memory_may_be_why(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        pid = int((await it.ask("pid")).text or "0")

        async def is_told() -> None:
            with pytest.raises(Capacity, match="want of memory") as lost:
                await it.ask("slow")
            assert lost.value.retryable

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(is_told)
            await appears(tmp_path / "a" / "slow")
            os.kill(pid, signal.SIGKILL)
        assert (await it.ask("one")).text == "one"


async def test_one_that_was_killed_before_it_was_asked_is_replaced_or_the_caller_is_told_to_ask_again(
    tmp_path: Path,
) -> None:
    """It may end between the look at it and the question, or with the question in its pipe."""
    async with bench(tmp_path) as it:
        os.kill(int((await it.ask("pid")).text or "0"), signal.SIGKILL)
        with suppress(Capacity, Transient):
            assert (await it.ask("one")).text == "one"
        assert (await it.ask("one")).text == "one"


async def test_a_worker_that_leaves_for_want_of_questions_is_replaced_without_a_word(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        before = (await it.ask("pid")).text
        (tmp_path / "a" / "leave").touch()
        assert (await it.ask("pid")).text != before


async def test_the_one_asked_longest_ago_makes_room_at_the_bound(tmp_path: Path) -> None:
    async with bench(tmp_path, inference_workers=2) as it:
        for model in ("a", "b", "a", "c"):
            await it.ask("one", model=model)
        assert await it.models() == {"a", "c"}


async def test_one_that_answers_is_not_sent_away_but_waited_for(tmp_path: Path) -> None:
    async with bench(tmp_path, inference_workers=1) as it:
        order: list[str] = []

        async def ask(prompt: str, model: str) -> None:
            await it.ask(prompt, model=model)
            order.append(model)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "slow one", "a")
            await appears(tmp_path / "a" / "slow")
            tasks.start_soon(ask, "one", "b")
            await anyio.lowlevel.checkpoint()
            (tmp_path / "a" / "go").touch()
        assert order == ["a", "b"]


async def test_short_memory_sends_idle_models_away_and_then_refuses(tmp_path: Path) -> None:
    async with bench(tmp_path, memory_reserve_bytes=0) as it:
        await it.ask("one", model="a")
        it.available = 1
        with pytest.raises(Capacity, match="GiB"):
            await it.ask("one", model="b")
        assert await it.models() == set()


async def test_a_request_that_is_cancelled_is_taken_back_and_the_next_is_answered_by_the_same_worker(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as it:
        before = (await it.ask("pid")).text
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(it.ask, "slow one")
            await appears(tmp_path / "a" / "slow")
            tasks.cancel_scope.cancel()
        assert (tmp_path / "a" / "taken-back").exists()
        assert (await it.ask("pid")).text == before


async def test_a_listener_that_fails_takes_its_request_back(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:

        async def gone(_: str) -> None:
            raise ConnectionResetError

        (tmp_path / "a").mkdir()
        question = Question(base_model=str(tmp_path / "a"), engine="peft", kind="chat", prompt="one slow two")
        with pytest.raises(ConnectionResetError):
            await it.pool.answer(question, say=gone)
        assert (await it.ask("two")).text == "two"


async def test_what_the_worker_refuses_arrives_in_its_kind(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        with pytest.raises(InvalidRequest, match="it is wrong"):
            await it.ask("wrong")
        with pytest.raises(MalformedResponse):
            await it.ask("garbage")
        with pytest.raises(Unsupported, match="cannot be loaded"):
            await it.ask("one", model="broken")
        with pytest.raises(InvalidRequest, match="no model folder"):
            await it.pool.answer(Question(base_model="/nowhere", engine="peft", kind="chat", prompt="one"))
        with pytest.raises(Unsupported, match="allow_hub"):
            await it.pool.answer(Question(base_model="some/model", engine="peft", kind="chat", prompt="one"))


async def test_closing_ends_every_worker_and_leaves_no_folder(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        pids = [int((await it.ask("pid", model=model)).text or "0") for model in ("a", "b")]
        await it.pool.close()
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        assert list((tmp_path / "inference").iterdir()) == []


async def test_a_worker_reads_its_model_and_the_layers_and_nothing_beside_them(tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    (tmp_path / "secret").write_text("a canary")
    settings = settings_from({"worker": str(STAND_IN), "python": sys.executable})
    choice = await to_thread.run_sync(choose, settings, house / "jobs", "cpu")
    if not choice.confines:
        pytest.skip(f"no sandbox works here: {choice.missing}")
    pool = InferencePool(
        settings, house / "inference", layers_dir=house / "layers", sandbox=Held(choice), device=Bench(tmp_path).device
    )
    (tmp_path / "a").mkdir()
    try:
        question = Question(base_model=str(tmp_path / "a"), engine="peft", kind="chat", prompt="base peek")
        assert (await pool.answer(question)).text == f"{tmp_path / 'a'} closed"
    finally:
        await pool.close()
    assert await Bench(tmp_path).seen("peek") == "open"


def test_a_worker_ends_with_a_daemon_that_is_killed(tmp_path: Path) -> None:
    """The other process stands for the daemon: it starts a worker, says its pid and is killed."""
    program = (
        "import anyio, sys\nfrom pathlib import Path\nfrom tests.adapters.test_local_inference import Bench\n"
        "async def main():\n    it = Bench(Path(sys.argv[1]))\n    print((await it.ask('pid')).text, flush=True)\n"
        "    await anyio.sleep_forever()\nanyio.run(main)\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert other.stdout is not None
    pid = int(other.stdout.readline())
    watched = os.pidfd_open(pid)
    other.kill()
    other.wait()
    other.stdout.close()
    import select

    assert select.select([watched], [], [], PATIENCE_S)[0], "the worker lives on"
    os.close(watched)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genomed.adapters.local.inference_watch.LOOK_S", 0.05)


@pytest.mark.usefixtures("often")
async def test_one_that_takes_more_memory_than_it_may_is_ended_in_the_middle_of_its_answer(tmp_path: Path) -> None:
    async with bench(tmp_path, memory_limit_bytes=1 << 20) as it:
        with pytest.raises(Capacity, match="memory_limit_bytes"):
            await it.ask("slow")
        assert await it.models() == set()


@pytest.mark.usefixtures("often")
async def test_one_that_answers_while_the_machine_runs_short_is_ended(tmp_path: Path) -> None:
    async with bench(tmp_path, memory_reserve_bytes=1 << 30) as it:
        it.available = 1 << 40
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_shortage_once_asked, it)
            with pytest.raises(Capacity, match="memory_reserve_bytes"):
                await it.ask("slow")


async def _shortage_once_asked(it: Bench) -> None:
    await appears(it.model("a") / "slow")
    it.available = 0


@pytest.mark.usefixtures("often")
async def test_one_that_says_nothing_for_too_long_is_ended_and_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path, hang_after_s=0.3) as it:
        with pytest.raises(Transient, match="hang_after_s"):
            await it.ask("slow")
        monkeypatch.setattr(it.pool, "_settings", settings_from(it.settings | {"hang_after_s": PATIENCE_S}))
        assert (await it.ask("one")).text == "one"


async def test_words_that_are_for_another_request_end_the_worker(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        with pytest.raises(MalformedResponse):
            await it.ask("mistaken")
        assert (await it.ask("one")).text == "one"


def test_the_size_of_a_model_is_told_by_its_own_files_and_not_by_all_that_lies_below(tmp_path: Path) -> None:
    """Whoever may ask may name any folder, the whole disk's too."""
    for folder in ("a", "a/part", "a/far/below"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "model.safetensors").write_bytes(bytes(1000))
    asked = Question(base_model=str(tmp_path / "a"), engine="peft", kind="chat")
    assert inference_start.need_bytes(asked) == memory.PROCESS_BYTES + 2000
