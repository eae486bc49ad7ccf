"""Errands as real processes of the stand-in worker: found again, cancelled, lost, confined, published or not at all."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path, PosixPath
from typing import ClassVar, Self

import anyio
import msgspec
import pytest
from anyio import from_thread
from msgspec.structs import replace
from tests.adapters.local_bench import STAND_IN, Bench, Step, exists, json_in, names_in
from tests.patience import PATIENCE_S

from genomed.adapters.local.availability import Interpreter
from genomed.adapters.local.errands import LocalErrands
from genomed.adapters.local.memory_guard import MemoryGuard
from genomed.adapters.local.sandbox import Choice, Sandbox
from genomed.adapters.local.settings import LocalSettings
from genomed.adapters.local.worker_process import Workers
from genomed.entities.errand_port import Errand, ErrandLook, ErrandRunner, ExportRequest, RunsErrands
from genomed.entities.errors import Conflict, MalformedResponse, Unsupported

ID = "errand-1"
FILES = {"model.onnx": b"graph", "tokenizer/vocab.txt": b"words"}
HASHES = {name: sha256(body).hexdigest() for name, body in FILES.items()}
DONE: Step = ("done", [{name: body.hex() for name, body in FILES.items()}, {"largestDifference": 1e-6}])
NOTICE: Step = ("tell", {"type": "notice", "code": "c", "message": "m"})


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield Bench(tmp_path, cancel_grace_s=0.2)
    for lock in (tmp_path / "errands").glob("*/*.started.json"):
        pid = int(json_in(lock)["pid"])
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def runner_of(bench: Bench) -> ErrandRunner:
    """A new daemon on the same files."""
    provider = bench.provider()
    assert isinstance(provider, RunsErrands)
    return provider.errands


def errand(*script: Step, **more: object) -> Errand:
    return Errand(errand_id=ID, kind="export", options={"script": [list(step) for step in script]}, **more)  # type: ignore[arg-type]


async def look_until(runner: ErrandRunner, *states: str, attempt: int = 1) -> ErrandLook:
    with anyio.fail_after(PATIENCE_S):
        while True:
            look = await runner.look(ID, attempt=attempt)
            if look.state in states:
                return look
            await anyio.sleep(0.01)


def published(look: ErrandLook, destination: Path) -> ExportRequest:
    return ExportRequest(
        errand_id=ID, attempt=1, destination=str(destination), files=look.files, told={"kind": "export"}
    )


async def test_what_was_never_started_is_absent(bench: Bench) -> None:
    assert (await runner_of(bench).look(ID)).state == "absent"


async def test_an_errand_that_did_its_work_tells_its_files_and_facts_and_is_published_whole(bench: Bench) -> None:
    runner = runner_of(bench)
    await runner.start(errand(("tell", {"type": "phase", "phase": "exporting"}), NOTICE, DONE))
    look = await look_until(runner, "finished")
    assert (look.files, look.facts) == (HASHES, {"largestDifference": 1e-6})
    assert look.notices == (("c", "m"),)

    exports = bench.root / "exports"
    there = await runner.publish(published(look, exports / ID))
    assert names_in(exports) == [ID], "nothing half-made is left beside it"
    assert names_in(exports / ID) == ["genomed-export.json", "model.onnx", "tokenizer"]
    manifest = json_in(exports / ID / "genomed-export.json")
    assert (manifest["errandId"], manifest["files"], manifest["told"]["kind"]) == (ID, HASHES, "export")
    assert await runner.publish(published(look, exports / ID)) == there, "again finds what is there"
    assert await runner.clear(ID) > 0
    assert await runner.clear(ID) == 0


async def test_starting_twice_starts_one_process_and_a_later_daemon_finds_it(bench: Bench) -> None:
    go = bench.root / "go"
    asked = errand(("look", str(go)), DONE)
    runner = runner_of(bench)
    await runner.start(asked)
    pid = json_in(bench.root / "errands" / ID / "attempt-1.started.json")["pid"]
    await runner.start(asked)

    later = runner_of(bench)
    assert (await later.look(ID)).state == "running"
    await later.start(asked)
    assert json_in(bench.root / "errands" / ID / "attempt-1.started.json")["pid"] == pid
    await anyio.Path(go).touch()
    assert (await look_until(later, "finished")).files == HASHES


@pytest.mark.parametrize(
    "script",
    [pytest.param([("obey", None)], id="it obeys"), pytest.param([("deaf", None), ("sleep", 60)], id="by force")],
)
async def test_a_cancelled_errand_ends(bench: Bench, script: Sequence[Step], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genomed.adapters.local.observation.KILL_AFTER_TERM_S", 0.1)
    runner = runner_of(bench)
    await runner.start(errand(*script))
    await runner.cancel(ID)
    assert (await look_until(runner, "cancelled", "lost")).state == "cancelled"


async def test_a_process_that_is_gone_without_a_word_is_lost_and_another_attempt_may_follow(bench: Bench) -> None:
    runner = runner_of(bench)
    await runner.start(errand(("print", "no room for me"), ("die", 3)))
    look = await look_until(runner, "lost")
    assert look.message is not None
    assert "no room for me" in look.message
    await runner.start(errand(DONE, attempt=2))
    assert (await look_until(runner, "finished", attempt=2)).files == HASHES


class AskedForItsParent(PosixPath):
    """A path that tells, once, when it is asked for the folder above it and that is gone."""

    tells: ClassVar[list[Callable[[], object]]] = []

    @property
    def parent(self) -> Self:
        found = super().parent
        if self.tells and not found.exists():
            self.tells.pop()()
        return found


def plain_errands(
    home: Path, settings: LocalSettings, *, interpreter: Interpreter | None = None, sandbox: Sandbox | None = None
) -> LocalErrands:
    """With parts of their own, as the provider gives them."""
    workers = Workers()
    return LocalErrands(
        home,
        settings,
        interpreter=interpreter or Interpreter(settings, clock_us),
        sandbox=sandbox or Sandbox(settings, home, clock_us),
        workers=workers,
        guard=MemoryGuard(workers, settings),
        now_us=clock_us,
        redact=str,
    )


def clock_us() -> int:
    return time.time_ns() // 1000


async def test_scratch_goes_while_another_errand_is_looked_at_for_the_first_time(bench: Bench) -> None:
    settings = LocalSettings(worker=STAND_IN, memory_reserve_bytes=0, sandbox="none")
    runner = plain_errands(AskedForItsParent(bench.root / "errands"), settings)
    await runner.start(errand(DONE))
    await runner.start(replace(errand(DONE), errand_id="errand-2"))
    await look_until(runner, "finished")
    AskedForItsParent.tells.append(lambda: from_thread.run(runner.look, "errand-2"))
    assert await runner.clear(ID) > 0
    assert AskedForItsParent.tells == [], "somebody looked in between"
    assert not exists(bench.root / "errands" / ID)


class HeldSandbox(Sandbox):
    def __init__(self, settings: LocalSettings, jobs_dir: Path) -> None:
        super().__init__(settings, jobs_dir, clock_us)
        self.asked, self.go = anyio.Event(), anyio.Event()

    async def choice(self, *, device: str) -> Choice:
        self.asked.set()
        await self.go.wait()
        return await super().choice(device=device)


def interpreter_at(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)
    return path


async def lies_there(path: Path) -> None:
    with anyio.fail_after(PATIENCE_S):
        while True:
            if exists(path):
                return
            await anyio.sleep(0.01)


async def test_an_errand_is_started_with_the_interpreter_that_said_it_can_train(bench: Bench) -> None:
    """The configured one cannot. While it is asked anew, an errand begins that had its answer before."""
    anew, asked, go = (bench.root / name for name in ("anew", "asked", "go"))
    poor = interpreter_at(
        bench.root / "configured",
        '[ "$2" = probe ] || exit 1',
        f"if [ -e {anew} ]; then : > {asked}; while [ ! -e {go} ]; do sleep 0.01; done; fi",
        """echo '{"problems": ["no torch"]}'""",
    )
    able = interpreter_at(bench.root / "installed", f'exec {sys.executable} "$@"')
    settings = LocalSettings(python=str(poor), worker=STAND_IN, memory_reserve_bytes=0, sandbox="none")
    ahead_us = 0
    interpreter = Interpreter(settings, lambda: clock_us() + ahead_us, installed=able)
    sandbox = HeldSandbox(settings, bench.root / "jobs")
    runner = plain_errands(bench.root / "errands", settings, interpreter=interpreter, sandbox=sandbox)
    assert (await interpreter.probe()).reason is None
    await anyio.Path(anew).touch()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runner.start, errand(DONE))
        await sandbox.asked.wait()
        ahead_us = int(settings.probe_ttl_s * 1e6) + 1
        tasks.start_soon(interpreter.probe)
        await lies_there(asked)
        sandbox.go.set()
        assert (await look_until(runner, "finished", "lost")).state == "finished"
        await anyio.Path(go).touch()


async def test_a_failure_in_its_own_words_is_told(bench: Bench) -> None:
    runner = runner_of(bench)
    await runner.start(errand(("tell", {"type": "failed", "kind": "unsupported", "message": "no", "remedy": "yes"})))
    look = await look_until(runner, "failed")
    assert look.error is not None
    assert (look.error.kind, look.error.message, look.error.remedy) == ("unsupported", "no", "yes")


async def test_a_secret_is_in_the_environment_of_the_process_and_in_no_file(bench: Bench) -> None:
    runner = runner_of(bench)
    await runner.start(errand(("environment", "HF_TOKEN"), DONE, network=True, environment={"HF_TOKEN": "hush-hush"}))
    look = await look_until(runner, "finished")
    assert ("environment", "HF_TOKEN=hush-hush") in look.notices
    files = [path for path in (bench.root / "errands").rglob("*") if path.is_file() and path.name != "progress.jsonl"]
    assert files
    assert not any(b"hush-hush" in path.read_bytes() for path in files)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda result: (result / "model.onnx").write_bytes(b"other"), "sha256"),
        (lambda result: (result / "more.py").write_text("import os"), "not named"),
        (lambda result: (result / "model.onnx").unlink(), "missing"),
    ],
    ids=["a changed file", "a file more", "a file less"],
)
async def test_a_result_that_is_not_what_was_said_publishes_nothing(bench: Bench, spoil: object, says: str) -> None:
    runner = runner_of(bench)
    await runner.start(errand(DONE))
    look = await look_until(runner, "finished")
    assert callable(spoil)
    assert look.result is not None
    spoil(Path(look.result))
    with pytest.raises(MalformedResponse, match=says):
        await runner.publish(published(look, bench.root / "exports" / ID))
    assert not exists(bench.root / "exports" / ID)


async def test_words_longer_than_the_log_takes_are_cut(bench: Bench) -> None:
    long = "x" * 100_000
    runner = runner_of(bench)
    steps: tuple[Step, ...] = (
        ("tell", {"type": long}),
        ("tell", {"type": "phase", "phase": long}),
        ("tell", {"type": "notice", "code": long, "message": long}),
        ("tell", {"type": "failed", "kind": "training_failed", "message": long, "remedy": long}),
    )
    await runner.start(errand(*steps))
    look = await look_until(runner, "failed")
    assert len(msgspec.json.encode(look)) < 16_000
    assert look.error is not None
    assert look.error.message.startswith("xxx")
    assert [code[:10] for code, _ in look.notices] == ["unreadable", "xxxxxxxxxx"]


async def test_facts_that_are_nested_too_deeply_are_a_line_that_cannot_be_read(bench: Bench) -> None:
    runner = runner_of(bench)
    deep: object = 1
    for _ in range(200):
        deep = [deep]
    told = {"type": "finished", "step": 1, "files": {}, "facts": {"deep": deep}}
    failed = {"type": "failed", "kind": "training_failed", "message": "no"}
    await runner.start(errand(("tell", told), ("tell", failed)))
    look = await look_until(runner, "finished", "failed")
    assert (look.state, [code for code, _ in look.notices]) == ("failed", ["unreadable_line"])


async def test_a_folder_of_the_result_that_is_a_link_publishes_nothing(bench: Bench) -> None:
    runner = runner_of(bench)
    await runner.start(errand(DONE))
    look = await look_until(runner, "finished")
    assert look.result is not None
    inside = Path(look.result) / "tokenizer"
    inside.rename(bench.root / "elsewhere")
    (bench.root / "elsewhere" / "secret.json").write_bytes(b"{}")
    inside.symlink_to(bench.root / "elsewhere")
    stolen = {"model.onnx": look.files["model.onnx"], "tokenizer/secret.json": sha256(b"{}").hexdigest()}
    request = published(replace(look, files=stolen), bench.root / "exports" / ID)
    with pytest.raises(MalformedResponse, match="link"):
        await runner.publish(request)


async def test_a_publication_that_fails_half_way_leaves_nothing_behind(bench: Bench) -> None:
    runner = runner_of(bench)
    await runner.start(errand(DONE))
    look = await look_until(runner, "finished")
    wrong = dict.fromkeys(look.files, "0" * 64)
    with pytest.raises(MalformedResponse, match="sha256"):
        await runner.publish(published(replace(look, files=wrong), bench.root / "exports" / ID))
    assert names_in(bench.root / "exports") == []


async def test_a_result_of_a_kind_that_may_hold_code_publishes_nothing(bench: Bench) -> None:
    runner = runner_of(bench)
    await runner.start(errand(("done", [{"model.pkl": b"x".hex()}, {}])))
    look = await look_until(runner, "finished")
    with pytest.raises(MalformedResponse, match="may hold code"):
        await runner.publish(published(look, bench.root / "exports" / ID))


async def test_a_layer_that_is_not_what_was_published_is_not_opened(bench: Bench) -> None:
    folder = bench.root / "layers" / "layer-1"
    folder.mkdir(parents=True)
    (folder / "genomed-layer.json").write_text("{}")
    with pytest.raises(Conflict, match="not opened"):
        await runner_of(bench).start(errand(DONE, verify={str(folder): "0" * 64}))
    assert (await runner_of(bench).look(ID)).state == "absent"


@pytest.mark.parametrize("sandbox", ["auto", "rlimits"])
async def test_a_confined_errand_reads_what_it_was_given_and_no_more(tmp_path: Path, sandbox: str) -> None:
    bench = Bench(tmp_path, sandbox=sandbox)
    given, closed = tmp_path / "given", tmp_path / "jobs" / "closed"
    closed.parent.mkdir()
    given.write_text("for you")
    closed.write_text("not for you")
    runner = runner_of(bench)
    await runner.start(errand(("read", str(given)), ("read", str(closed)), DONE, reads=(str(given),)))
    look = await look_until(runner, "finished", "failed", "lost")
    assert look.state == "finished", look
    assert look.notices[0] == ("read", "for you")
    level = json_in(tmp_path / "errands" / ID / "attempt-1.started.json")["confinement"]["level"]
    assert look.notices[1] == (("read", "not for you") if level == "rlimits" else look.notices[1])
    assert level == "rlimits" or look.notices[1][1] in ("PermissionError", "FileNotFoundError")


async def test_an_errand_may_not_read_the_whole_data_folder(tmp_path: Path) -> None:
    bench = Bench(tmp_path, sandbox="auto")
    runner = runner_of(bench)
    with pytest.raises(Unsupported, match="holds the data folder"):
        await runner.start(errand(DONE, reads=(str(tmp_path),)))
