"""Workers that a service manager starts for each connection: real trainings behind systemd's own tool, and refusals."""

import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import anyio
import pytest
from tests.adapters.local_bench import JOB, Bench, poll_until
from tests.patience import PATIENCE_S

from genomed.adapters.local.attempt_folder import AttemptFolder, attempt_folder
from genomed.adapters.local.settings import WORKER, settings_from
from genomed.adapters.local.trainer_socket import TrainerAway, through
from genomed.adapters.local.worker_process import Start, Workers
from genomed.entities.errand_port import Errand, RunsErrands
from genomed.entities.errors import InvalidRequest
from genomed.entities.ports import Accepted, Deferred
from genomed.entities.types import TERMINAL, JobStatus

TRAINER = WORKER.with_name("started_by_systemd.py")
NOBODY = 65534

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="systemd-socket-activate is not here"
)


@pytest.fixture
def house() -> Iterator[Path]:
    """A data folder with a short name, for the socket's sake."""
    with tempfile.TemporaryDirectory(prefix="gn", dir="/tmp") as folder:
        yield Path(folder)


@contextmanager
def trainer(data_dir: Path) -> Iterator[Path]:
    """The trainer's socket, as genomed-trainer.socket and genomed-trainer@.service offer it."""
    path, tool_of = data_dir / "trainer.sock", ("systemd-socket-activate", "--accept", "--inetd")
    with (data_dir / "trainer.log").open("wb") as log:
        tool = subprocess.Popen(
            [*tool_of, "-l", str(path), "-E", "PATH", sys.executable, str(TRAINER), "--data-dir", str(data_dir)],
            stdin=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        deadline = monotonic() + PATIENCE_S
        while not listened_to(path):
            assert monotonic() < deadline, (data_dir / "trainer.log").read_text()
            sleep(0.01)
        yield path
    finally:
        tool.kill()
        tool.wait()


def listened_to(path: Path) -> bool:
    """A socket has its name before anybody may connect. Source: proc(5), /proc/net/unix; __SO_ACCEPTCON in net.h."""
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    return any(line[-1] == str(path) and line[3] == "00010000" for line in lines)


@pytest.fixture
def base_model(house: Path) -> Path:
    out = house / "tiny"
    build = [sys.executable, str(WORKER), "build-tiny", "--steps", "0", "--size", "mini", "--out", str(out)]
    subprocess.run(build, check=True, capture_output=True)
    turns = [{"role": "user", "content": "question"}, {"role": "assistant", "content": "answer"}]
    for name, rows in (("train", 4), ("eval", 2)):
        lines = (json.dumps({"id": f"r{n}", "messages": turns}) + "\n" for n in range(rows))
        (house / f"{name}.jsonl").write_text("".join(lines))
    return out


@needs_systemd
@pytest.mark.long
@pytest.mark.training
async def test_a_real_training_runs_in_a_process_that_the_service_manager_started(
    house: Path, base_model: Path
) -> None:
    with trainer(house) as path:
        bench = Bench(house, launch=f"socket:{path}", poll_s=0.1)
        bench.model, provider = base_model, bench.provider()
        assert (await provider.capabilities()).versions["torch"]
        submission = bench.submission(
            method={"type": "lora", "loraConfig": {"rank": 2, "alpha": 4}},
            schedule={"epochs": 1, "batchSize": 2, "sequenceLength": 512, "checkpoints": 1, "evaluations": 0},
            metadata={"threads": 1, "maxNewTokens": 2},
        )
        assert isinstance(await provider.submit(submission), Accepted)
        worker = attempt_folder(house / "jobs", JOB, 1)
        assert _parent(json.loads(worker.started.read_bytes())["pid"]) != os.getpid()
        again = await provider.submit(submission)
        assert isinstance(again, Accepted)
        assert again.adopted
        later_daemon = bench.provider()
        seen = await poll_until(later_daemon, lambda each: each.status in TERMINAL)
        assert seen[-1].status is JobStatus.SUCCEEDED, (seen[-1], worker.log.read_text())
        deadline = monotonic() + PATIENCE_S
        while Workers().alive(worker):
            assert monotonic() < deadline, "the worker has told its end and does not end"
            await anyio.sleep(0.05)


@needs_systemd
@pytest.mark.long
@pytest.mark.training
async def test_work_on_a_layer_runs_in_such_a_process_too_and_only_among_errands(house: Path) -> None:
    with trainer(house) as path:
        provider = Bench(house, launch=f"socket:{path}").provider()
        assert isinstance(provider, RunsErrands)
        await provider.errands.start(Errand(errand_id="errand-1", kind="merge", options={"odd": 1}))
        pid = json.loads((house / "errands" / "errand-1" / "attempt-1.started.json").read_bytes())["pid"]
        assert _parent(pid) != os.getpid()
        with anyio.fail_after(PATIENCE_S):
            while True:
                look = await provider.errands.look("errand-1")
                if look.state != "running":
                    break
                await anyio.sleep(0.05)
        assert look.error is not None, look
        assert "the options are wrong" in look.error.message


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def attempt_in(data_dir: Path) -> AttemptFolder:
    """An attempt as the daemon leaves it right before the start; its specification asks for nothing."""
    folder = attempt_folder(data_dir / "jobs", "job-1", 1)
    folder.root.mkdir(parents=True)
    folder.spec.write_text("{}")
    folder.log.touch()
    folder.lock.touch()
    return folder


def said_to(request: bytes, descriptors: Sequence[int], *, data_dir: str) -> dict[str, object]:
    """What the trainer's program answers to one request of our own."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, str(TRAINER), "--data-dir", data_dir], stdin=theirs.fileno(), stderr=subprocess.DEVNULL
        )
        theirs.close()
        socket.send_fds(ours, [request], descriptors)
        ours.shutdown(socket.SHUT_WR)
        ours.settimeout(PATIENCE_S)
        said = b""
        while more := ours.recv(65536):
            said += more
        process.wait(PATIENCE_S)
    answer: dict[str, object] = json.loads(said)
    return answer


@pytest.mark.parametrize("held", [True, False])
def test_only_an_attempt_whose_lock_the_caller_holds_is_started(house: Path, held: bool) -> None:
    folder = attempt_in(house)
    with folder.lock.open("rb+") as lock, folder.log.open("ab") as log:
        if held:
            fcntl.flock(lock, fcntl.LOCK_EX)
        request = json.dumps({"folder": str(folder.root)}).encode() + b"\n"
        answer = said_to(request, [lock.fileno(), log.fileno()], data_dir=str(house))
    assert ("pid" in answer) is held
    # An empty specification is refused by the worker itself, in its own file, as for any worker.
    assert folder.progress.exists() is held


def test_another_file_in_place_of_the_lock_is_refused(house: Path) -> None:
    folder = attempt_in(house)
    with (house / "other").open("wb") as other, folder.log.open("ab") as log:
        fcntl.flock(other, fcntl.LOCK_EX)
        request = json.dumps({"folder": str(folder.root)}).encode() + b"\n"
        refusal = said_to(request, [other.fileno(), log.fileno()], data_dir=str(house))
    assert "attempt-1.lock" in str(refusal["refused"])


def test_folders_outside_the_data_folder_are_refused_also_behind_links(house: Path) -> None:
    inside, outside = attempt_in(house), attempt_in(house / "elsewhere")
    link = house / "jobs" / "job-2" / "attempt-1"
    link.parent.mkdir()
    link.symlink_to(outside.root)
    with inside.lock.open("rb+") as lock, inside.log.open("ab") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for named in (str(outside.root), str(link), f"{inside.root}/../../..", "jobs/job-1/attempt-1", 7, None):
            request = json.dumps({"folder": named}).encode() + b"\n"
            answer = said_to(request, [lock.fileno(), log.fileno()], data_dir=str(house))
            assert "refused" in answer, named
    assert not inside.progress.exists()


@pytest.mark.parametrize("request_", [b"\xff\n", b"[1]\n", b"[" * 50_000 + b"\n", b"", b'{"folder": "/x"}\n'])
def test_what_is_no_request_is_refused_in_words(house: Path, request_: bytes) -> None:
    assert "refused" in said_to(request_ or b"\n", [], data_dir=str(house))


@needs_systemd
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can call as somebody else")
def test_another_user_is_refused_whatever_they_ask(house: Path) -> None:
    house.chmod(0o755)
    code = (
        "import socket, sys\n"
        "one = socket.socket(socket.AF_UNIX); one.connect(sys.argv[1]); one.sendall(b'{\"probe\": true}\\n')\n"
        "print(one.recv(65536).decode())"
    )
    with trainer(house) as path:
        path.chmod(0o666)
        done = subprocess.run(
            ["/usr/bin/env", "python3", "-c", code, str(path)],
            user=NOBODY,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
    assert f"uid {NOBODY} is not the daemon's" in done.stdout, done.stderr


async def test_a_trainer_that_is_away_keeps_the_job_waiting_and_says_where_it_looked(house: Path) -> None:
    path = house / "nobody.sock"
    with pytest.raises(TrainerAway, match=r"nobody\.sock"):
        through(path)(Start(command=(), environment={}, folder=house, lock=0, log=house / "log"))
    bench = Bench(house, launch=f"socket:{path}")
    answer = await bench.provider().submit(bench.submission())
    assert isinstance(answer, Deferred)
    assert str(path) in answer.reason
    capabilities = await bench.provider().capabilities()
    assert not capabilities.available
    assert str(path) in str(capabilities.reason)


@pytest.mark.parametrize("launch", ["fork", "socket:relative", "socket:"])
def test_a_launch_that_is_none_is_refused(launch: str) -> None:
    with pytest.raises(InvalidRequest, match="launch"):
        settings_from({"launch": launch})
