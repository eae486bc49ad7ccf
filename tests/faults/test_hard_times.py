"""A daemon that is stopped, slowed down or spoken to by the rude: it answers when it can, and does what it took on."""

import signal
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from threading import Event, Thread

import anyio
import msgspec
import pytest
from tests.daemon.daemon_process import DaemonProcess, Json, daemon_process
from tests.daemon.daemon_rig import Rig, running
from tests.fault_record import record_fault
from tests.faults.crowd import caller, received
from tests.faults.vfs import watched
from tests.patience import PATIENCE_S

pytestmark = [pytest.mark.fault]

SLOW_SYNC_S = 3.0
CAPTURE = {"personaId": "ada", "domain": "sums", "baseModel": "tiny", "input": "1+1", "output": "2"}


def post(name: str, params: object, key: str) -> bytes:
    body = msgspec.json.encode(params)
    head = (
        f"POST /genome/{name} HTTP/1.1\r\nHost: genome\r\nIdempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with daemon_process() as one:
        yield one


def interactions(daemon: DaemonProcess) -> int:
    return int(daemon.call("overview")["totals"]["interactions"])


def test_a_stopped_daemon_answers_once_it_goes_on_and_nothing_is_done_twice(daemon: DaemonProcess) -> None:
    assert daemon.process is not None
    before, answers = interactions(daemon), list[Json]()
    daemon.process.send_signal(signal.SIGSTOP)
    asking = [
        Thread(target=lambda n=n: answers.append(daemon.call("capture-interaction", CAPTURE, key=f"s{n}")))
        for n in range(5)
    ]
    for thread in asking:
        thread.start()
    assert not answers
    daemon.process.send_signal(signal.SIGCONT)
    for thread in asking:
        thread.join()
    assert len({answer["interactionId"] for answer in answers}) == 5
    assert interactions(daemon) == before + 5
    record_fault("process", "SIGSTOP, then SIGCONT", "carries on; clients get their answers")


def test_what_a_client_asked_for_before_it_vanished_is_done_once_and_its_answer_is_kept(daemon: DaemonProcess) -> None:
    before = interactions(daemon)
    for n in range(20):
        with caller(daemon.socket, post("capture-interaction", CAPTURE, f"v{n}")):
            pass  # gone before the answer
    answers = [daemon.answer("capture-interaction", CAPTURE, key=f"v{n}") for n in range(20)]
    assert all("result" in answer for answer in answers)
    assert interactions(daemon) == before + 20
    assert daemon.call("log-verify")["ok"] is True
    record_fault(
        "socket", "clients vanish in the middle of a command", "done once; the answer waits under its key", times=20
    )


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("nested 100,000 deep", b"[" * 100_000 + b"]" * 100_000),
        ("objects nested 50,000 deep", b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        ("a number of a million digits", b'{"limit":' + b"9" * 1_000_000 + b"}"),
        ("a string of 7 MiB where an id belongs", b'{"jobId":"' + b"x" * (7 << 20) + b'"}'),
        ("half a million keys", b"{" + b",".join(b'"k%d":1' % n for n in range(500_000)) + b"}"),
        ("larger than any request may be", b"x" * (9 << 20)),
        ("lone surrogates and zeros", b'{"jobId":"\\ud800\\u0000"}'),
    ],
)
def test_hostile_json_is_refused_as_data_and_the_daemon_lives(daemon: DaemonProcess, what: str, body: bytes) -> None:
    position = daemon.position()
    status, said = daemon.request("POST", "/genome/job-status", body)
    assert 400 <= status < 500, what
    assert msgspec.json.decode(said)["error"]["kind"] in ("invalid_request", "not_found")
    assert daemon.position() == position
    record_fault("socket", f"JSON {what}", "refused as data")


def test_a_request_that_is_cut_off_in_its_head_or_body_harms_nobody(daemon: DaemonProcess) -> None:
    whole = post("capture-interaction", CAPTURE, "cut")
    before = interactions(daemon)
    for end in range(1, len(whole), 7):
        with caller(daemon.socket, whole[:end]):
            pass
    assert interactions(daemon) == before
    record_fault("socket", "requests cut off half-way", "nothing is done", times=len(range(1, len(whole), 7)))


async def test_with_a_disk_that_syncs_in_seconds_commands_wait_and_questions_do_not(tmp_path: Path) -> None:
    """Reads, health and the event stream go on while one commit hangs; it is acknowledged when it is durable."""
    with watched(tmp_path) as disk:
        async with running(tmp_path / "d") as rig, received(rig) as house, anyio.create_task_group() as tasks:
            await rig.capture(1)
            go_on = Event()
            slow = disk.fail("sync", delay_s=SLOW_SYNC_S, until=go_on, once=True)
            done = anyio.Event()

            async def slow_capture() -> None:
                await rig.capture(2)
                done.set()

            tasks.start_soon(slow_capture)
            with anyio.fail_after(PATIENCE_S):
                while not slow.hits:  # noqa: ASYNC110 - told by SQLite's thread
                    await anyio.sleep(0.01)
            answered = await asked(rig, house.path)
            assert answered == ["healthz", "overview"]
            assert not done.is_set()
            go_on.set()
            await done.wait()
            assert (await rig.call("overview"))["totals"]["interactions"] == 2
    record_fault("disk", "a sync takes 3 s", "commands wait, questions are answered")


async def asked(rig: Rig, path: Path) -> list[str]:
    answered = ["healthz"] if await anyio.to_thread.run_sync(health, path) == 200 else []
    await rig.call("overview")
    return [*answered, "overview"]


def health(path: Path) -> int:
    connection = HTTPConnection("daemon", timeout=PATIENCE_S)
    with caller(path) as line:
        line.setblocking(True)
        connection.sock = line
        connection.request("GET", "/healthz")
        return connection.getresponse().status
