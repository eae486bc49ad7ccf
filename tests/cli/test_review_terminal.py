"""`genome review` in a real terminal, against the real doors: keys decide; the terminal is left as it was."""

import codecs
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import aiohttp
import anyio
import anyio.to_thread
import pytest
from tests.commands.reviewing import a_batch, item_of, regenerated, states, sum_row
from tests.daemon.daemon_rig import Rig, listening, running
from tests.patience import PATIENCE_S

from genomed.cli.face import ALTERNATE, CLEAR, MAIN
from genomed.entities.review import note_of, read_body
from genomed.entities.rows import ChatRow, Message, RecordRow
from genomed.entities.types import ReviewPolicy

R = TypeVar("R")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[tuple[Rig, str]]:
    """The daemon's parts behind their doors, and the socket."""
    async with running(tmp_path / "d", courier=False, triggers=False) as rig, listening(rig) as client:
        connector = client.connector
        assert isinstance(connector, aiohttp.UnixConnector)
        yield rig, connector.path


async def beside(work: Callable[[], R]) -> R:
    """Blocking work, while the daemon goes on in this loop."""
    return await anyio.to_thread.run_sync(work)


class Sitting:
    """`genome review` in a pseudo terminal of 90 columns and 30 rows."""

    def __init__(self, socket: str, *words: str, editor: str = "false") -> None:
        self._reader, self._terminal = pty.openpty()
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
        self._before = termios.tcgetattr(self._terminal)
        environment = os.environ | {"GENOMED_SOCKET": socket, "EDITOR": editor, "VISUAL": "", "TERM": "xterm"}
        environment |= {"COLUMNS": "90", "LINES": "30"}  # as shells leave them, whatever the window does later
        environment.pop("PYTHONUNBUFFERED", None)  # few people's shells have it
        command = [sys.executable, "-m", "genomed.cli", "review", *words]
        self.process = subprocess.Popen(
            command,
            stdin=self._terminal,
            stdout=self._terminal,
            stderr=self._terminal,
            env=environment,
            process_group=0,
        )
        self.written = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def until(self, *wanted: str) -> str:
        """The screen as soon as all of it stands there."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            screen = self.written.rpartition(CLEAR)[2]
            if all(one in screen for one in wanted):
                return screen
            self.read()
        raise AssertionError(f"{wanted} did not come up; the screen is:\n{self.written.rpartition(CLEAR)[2]}")

    def press(self, keys: str, *wanted: str) -> str:
        os.write(self._reader, keys.encode())
        return self.until(*wanted)

    def ended(self) -> int:
        """The exit code; all that was written is read then."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read()
        while self.read():
            pass
        return self.process.wait(timeout=PATIENCE_S)

    def is_as_before(self) -> bool:
        left = self.written.rpartition(ALTERNATE)[2]
        return termios.tcgetattr(self._terminal) == self._before and MAIN in left

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)
        os.close(self._reader)

    def read(self) -> bool:
        """What is there, or comes soon; whether there was anything."""
        if not select.select([self._reader], [], [], 0.1)[0]:
            return False
        self.written += self._decoder.decode(os.read(self._reader, 65536))
        return True

    def stopped(self) -> bool:
        """Whether Ctrl-Z stopped it; waits until it did, or ended."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found, status = os.waitpid(self.process.pid, os.WUNTRACED | os.WNOHANG)
            more = self.read()
            if found:
                while more:
                    more = self.read()
                return os.WIFSTOPPED(status)
        return False


def gone_through(socket: str, *words: str, editor: str = "false") -> Callable[[Callable[[Sitting], R]], R]:
    """Runs the steps at a sitting that is closed whatever happens."""

    def run(steps: Callable[[Sitting], R]) -> R:
        sitting = Sitting(socket, *words, editor=editor)
        try:
            return steps(sitting)
        finally:
            sitting.close()

    return run


async def test_a_person_goes_through_a_batch_with_single_keys(house: tuple[Rig, str]) -> None:
    rig, socket = house
    ids = await a_batch(rig, rows=4, confidences=[0.5] * 4, suggestions=["approve"] * 4)

    def steps(sitting: Sitting) -> str:
        sitting.until("1/4", "0+0", "judge: approve", "[a]pprove")
        sitting.press("a", "2/4", "1+1")
        sitting.press("r", "3/4", "2+2")
        sitting.press("s", "4/4", "3+3")
        sitting.press("g", "what was wrong?")
        sitting.press("say it in words\n", "end of the queue")
        sitting.press("q")
        assert sitting.ended() == 0
        assert sitting.is_as_before()
        return sitting.written.rpartition(MAIN)[2]

    last = await beside(lambda: gone_through(socket, "rev-1")(steps))
    assert "1 approved, 1 rejected, 1 to be made again; 1 still waiting" in last
    assert list((await states(rig)).values()) == ["approved", "rejected", "pending", "regenerating"]
    item, _ = await item_of(rig, ids[3])
    assert item.note_sha256 is not None
    raw = await rig.journal.blob(item.note_sha256)
    assert raw is not None
    assert note_of(raw) == "say it in words"


async def test_the_last_decision_is_undone_and_another_is_made_on_the_way_back(house: tuple[Rig, str]) -> None:
    rig, socket = house
    await a_batch(rig, rows=3)

    def steps(sitting: Sitting) -> None:
        sitting.until("1/3")
        sitting.press("a", "2/3")
        sitting.press("r", "3/3")
        sitting.press("u", "2/3", "taken back")
        sitting.press("\x1b[D", "1/3", "approved")
        sitting.press("r", "2/3")
        sitting.press("q")
        sitting.ended()

    await beside(lambda: gone_through(socket, "rev-1")(steps))
    assert list((await states(rig)).values()) == ["rejected", "pending", "pending"]


async def test_a_row_is_edited_until_it_is_fit_and_is_approved_as_corrected(
    house: tuple[Rig, str], tmp_path: Path
) -> None:
    rig, socket = house
    [item_id] = await a_batch(rig, rows=[RecordRow(task="relations", data={"from": "Ada"})])
    editor = tmp_path / "editor"
    editor.write_text(
        "import sys, pathlib\n"
        "path, tries = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[0] + '.tries')\n"
        "tries.write_text((tries.read_text() if tries.exists() else '') + 'x')\n"
        "n = len(tries.read_text())\n"
        'path.write_text([\'{broken\', \'{"task": "relations", "data": {}}\','
        ' \'{"task": "relations", "data": {"from": "Eve"}}\'][n - 1])\n'
    )

    def steps(sitting: Sitting) -> None:
        sitting.until("1/1", "Ada")
        sitting.press("e", "this is no JSON", "[e] edit again")
        sitting.press("e", f"corrections.{item_id}.data: is empty", "[e] edit again")
        sitting.press("e", "end of the queue")
        sitting.press("q")
        assert sitting.ended() == 0
        assert sitting.is_as_before()

    await beside(lambda: gone_through(socket, editor=f"{sys.executable} {editor}")(steps))
    item, _ = await item_of(rig, item_id)
    assert item.corrected_sha256 is not None
    raw = await rig.journal.blob(item.corrected_sha256)
    assert raw is not None
    assert read_body(raw).row == {"task": "relations", "data": {"from": "Eve"}}


@pytest.mark.parametrize(
    ("editor", "told"),
    [("false", "nothing was changed"), ("true", "nothing was changed"), ("/nowhere/ed", "does not start")],
)
async def test_an_editor_that_changes_nothing_or_does_not_start_leaves_the_row_waiting(
    house: tuple[Rig, str], editor: str, told: str
) -> None:
    rig, socket = house
    [item_id] = await a_batch(rig, rows=1)

    def steps(sitting: Sitting) -> None:
        sitting.until("1/1")
        sitting.press("e", told, "1/1")
        sitting.press("q")
        assert sitting.ended() == 0

    await beside(lambda: gone_through(socket, editor=editor)(steps))
    assert await states(rig) == {item_id: "pending"}


async def test_what_another_person_decided_meanwhile_is_told_and_not_overruled(house: tuple[Rig, str]) -> None:
    rig, socket = house
    [item_id] = await a_batch(rig, rows=1)
    sitting = Sitting(socket, "rev-1")
    try:
        await beside(lambda: sitting.until("1/1"))
        await rig.call("review-decide", {"itemIds": [item_id], "decision": "reject", "reviewer": "eve"})
        screen = await beside(lambda: sitting.press("a", "eve decided already", "rejected"))
        assert "1/1" in screen
        await beside(lambda: sitting.press("q"))
        assert await beside(sitting.ended) == 0
    finally:
        await beside(sitting.close)
    assert await states(rig) == {item_id: "rejected"}


async def test_a_row_that_was_made_again_comes_back_to_the_queue_of_the_same_sitting(house: tuple[Rig, str]) -> None:
    rig, socket = house
    [item_id] = await a_batch(rig, rows=1, policy=ReviewPolicy.THRESHOLD)
    sitting = Sitting(socket)
    try:
        await beside(lambda: sitting.until("1/1"))
        await beside(lambda: sitting.press("g", "what was wrong?"))
        await beside(lambda: sitting.press("\n", "end of the queue"))
        await regenerated(rig, item_id, "itm-child", sum_row(7))
        await beside(lambda: sitting.press("s", "7+7", "try 2"))
        await beside(lambda: sitting.press("a", "end of the queue"))
        await beside(lambda: sitting.press("q"))
        await beside(sitting.ended)
    finally:
        await beside(sitting.close)
    assert await states(rig) == {item_id: "regenerated", "itm-child": "approved"}


async def test_letters_that_the_terminal_does_not_know_are_replaced_and_the_others_shown(
    house: tuple[Rig, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, socket = house
    asked, answer = Message(role="user", content="?"), Message(role="assistant", content="caf\u00e9 \u2603")
    await a_batch(rig, rows=[ChatRow(messages=(asked, answer))])
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")

    def steps(sitting: Sitting) -> None:
        sitting.until("1/1", "caf? ?", "[q]uit")
        sitting.press("q")
        assert sitting.ended() == 0

    await beside(lambda: gone_through(socket)(steps))


def given_up(sitting: Sitting) -> None:
    """The question for what was wrong, left by ctrl-c."""
    sitting.until("1/1")
    sitting.press("g", "what was wrong?")
    sitting.process.send_signal(signal.SIGINT)
    sitting.until("left as it was")


async def test_a_line_that_is_given_up_decides_nothing(house: tuple[Rig, str]) -> None:
    rig, socket = house
    [item_id] = await a_batch(rig, rows=1)

    def steps(sitting: Sitting) -> None:
        given_up(sitting)
        sitting.press("?", "approve: the row may be trained on")
        sitting.press("x", "0+0")
        sitting.press("q")
        assert sitting.ended() == 0

    await beside(lambda: gone_through(socket)(steps))
    assert await states(rig) == {item_id: "pending"}


@pytest.mark.parametrize(("ending", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0), (None, 0)])
async def test_however_it_ends_the_terminal_is_as_before_and_what_was_decided_stands(
    house: tuple[Rig, str], ending: signal.Signals | None, code: int
) -> None:
    rig, socket = house
    await a_batch(rig, rows=2)

    def steps(sitting: Sitting) -> None:
        sitting.until("1/2")
        sitting.press("a", "2/2")
        if ending is None:
            sitting.press("\x04")
        else:
            sitting.process.send_signal(ending)
        assert sitting.ended() == code
        assert sitting.is_as_before()
        assert "Traceback" not in sitting.written
        assert "1 approved; 1 still waiting" in sitting.written

    await beside(lambda: gone_through(socket)(steps))
    assert list((await states(rig)).values()) == ["approved", "pending"]


async def test_ctrl_z_gives_the_terminal_to_the_shell_and_coming_back_takes_it_again(house: tuple[Rig, str]) -> None:
    rig, socket = house
    await a_batch(rig, rows=2)

    def steps(sitting: Sitting) -> None:
        sitting.until("1/2")
        sitting.process.send_signal(signal.SIGTSTP)
        assert sitting.stopped()
        sitting.press("", MAIN)
        assert sitting.is_as_before()
        sitting.process.send_signal(signal.SIGCONT)
        while not sitting.written.endswith("[q]uit"):
            sitting.press("", "1/2")
            sitting.read()
        sitting.press("a", "2/2")
        sitting.press("q")
        assert sitting.ended() == 0
        assert sitting.is_as_before()

    await beside(lambda: gone_through(socket)(steps))


async def test_ctrl_z_in_the_middle_of_a_page_stops_it_too(house: tuple[Rig, str]) -> None:
    rig, socket = house
    text = "\n".join("a line of a long answer" for _ in range(2000))
    await a_batch(
        rig, rows=[ChatRow(messages=(Message(role="user", content="?"), Message(role="assistant", content=text)))]
    )

    def steps(sitting: Sitting) -> None:
        sitting.until("1/1")
        sitting.resize(2000, 90)  # a page that fills the terminal's buffer many times
        sitting.until("1/1", "a line of")
        sitting.process.send_signal(signal.SIGTSTP)
        assert sitting.stopped()
        assert sitting.is_as_before()
        sitting.written = ""
        sitting.process.send_signal(signal.SIGCONT)
        sitting.resize(30, 90)
        sitting.until("1/1", "[q]uit")
        sitting.press("s", "end of the queue")
        sitting.press("q")
        assert sitting.ended() == 0

    await beside(lambda: gone_through(socket)(steps))


async def test_ctrl_z_at_a_question_leads_back_to_the_question(house: tuple[Rig, str]) -> None:
    rig, socket = house
    [item_id] = await a_batch(rig, rows=1)

    def steps(sitting: Sitting) -> None:
        sitting.until("1/1")
        sitting.press("g", "what was wrong?")
        sitting.process.send_signal(signal.SIGTSTP)
        assert sitting.stopped()
        assert sitting.is_as_before()
        sitting.written = ""
        sitting.process.send_signal(signal.SIGCONT)
        sitting.until("what was wrong?")
        sitting.press("too shorT\x7ft\n", "end of the queue")
        sitting.press("q")
        assert sitting.ended() == 0

    await beside(lambda: gone_through(socket)(steps))
    item, _ = await item_of(rig, item_id)
    assert item.note_sha256 is not None
    raw = await rig.journal.blob(item.note_sha256)
    assert raw is not None
    assert note_of(raw) == "too short"


async def test_a_failure_in_the_middle_gives_the_terminal_back_too(house: tuple[Rig, str]) -> None:
    rig, socket = house
    ids = await a_batch(rig, rows=2)
    sitting = Sitting(socket)
    try:
        await beside(lambda: sitting.until("1/2"))
        await beside(Path(socket).unlink)
        await beside(lambda: sitting.press("a", "no daemon answers", "1/2"))
        await beside(lambda: sitting.press("q"))
        assert await beside(sitting.ended) == 0
        assert sitting.is_as_before()
    finally:
        await beside(sitting.close)
    assert await states(rig) == dict.fromkeys(ids, "pending")


def widest(screen: str) -> int:
    bare = screen.replace("\x1b[0m", "").replace("\x1b[1m", "")
    return max(map(len, bare.split("\r\n")))


def filled_again(sitting: Sitting, rows: int, columns: int, last: str = "[q]uit") -> None:
    """Waits for `last` on a screen of the window's new size; one of the old size may still be on its way."""
    sitting.resize(rows, columns)
    deadline = time.monotonic() + PATIENCE_S
    while widest(sitting.until(last)) > columns:
        assert time.monotonic() < deadline, "it was not filled again"
        sitting.read()


async def test_a_window_that_changes_is_filled_again(house: tuple[Rig, str]) -> None:
    rig, socket = house
    await a_batch(rig, rows=1)

    def steps(sitting: Sitting) -> None:
        assert widest(sitting.until("1/1", "[q]uit")) > 40
        filled_again(sitting, 10, 40)
        sitting.press("q")
        sitting.ended()

    await beside(lambda: gone_through(socket)(steps))


async def test_what_was_said_stands_until_a_key_is_pressed_whatever_the_window_does(house: tuple[Rig, str]) -> None:
    rig, socket = house
    await a_batch(rig, rows=1)

    def steps(sitting: Sitting) -> None:
        given_up(sitting)
        filled_again(sitting, 20, 50, "left as it was")
        sitting.press("?", "approve: the row")
        filled_again(sitting, 20, 40, "approve: the row")
        sitting.press("x", "0+0", "[q]uit")
        sitting.press("q")
        sitting.ended()

    await beside(lambda: gone_through(socket)(steps))


async def test_a_window_that_changes_gives_up_no_edit(house: tuple[Rig, str], tmp_path: Path) -> None:
    rig, socket = house
    [item_id] = await a_batch(rig, rows=1)
    editor = tmp_path / "editor"
    editor.write_text(
        "import sys, pathlib\n"
        "row = pathlib.Path(sys.argv[1])\n"
        "row.write_text('[]' if row.read_text() == '{broken' else '{broken')\n"
    )

    def steps(sitting: Sitting) -> None:
        sitting.until("1/1")
        sitting.press("e", "this is no JSON", "[e] edit again")
        filled_again(sitting, 20, 50, "[e] edit again")
        sitting.press("e", "a row is a JSON object", "[e] edit again")
        sitting.press("x", "left as it was")
        sitting.press("q")
        sitting.ended()

    await beside(lambda: gone_through(socket, editor=f"{sys.executable} {editor}")(steps))
    assert await states(rig) == {item_id: "pending"}


async def piped(socket: str, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "genomed.cli", "review", *words]
    environment = os.environ | {"GENOMED_SOCKET": socket}
    return await beside(
        lambda: subprocess.run(
            command, input=text, capture_output=True, text=True, env=environment, check=False, timeout=PATIENCE_S
        )
    )


async def test_without_a_terminal_lines_are_read_and_what_stands_behind_the_key_is_the_rest(
    house: tuple[Rig, str],
) -> None:
    rig, socket = house
    ids = await a_batch(rig, rows=5)
    done = await piped(socket, "a\nr\ng too long\ne two times three\ne\n", "rev-1")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "3 approved" not in done.stdout
    assert "2 approved, 1 rejected, 1 to be made again, 1 of them corrected; 1 still waiting" in done.stdout
    assert "type the corrected row, or just its answer" in done.stdout
    assert list((await states(rig)).values()) == ["approved", "rejected", "regenerating", "approved", "pending"]
    item, _ = await item_of(rig, ids[3])
    raw = await rig.journal.blob(item.current_sha256)
    assert raw is not None
    assert b"two times three" in raw


async def test_a_batch_is_found_by_its_beginning_or_by_being_the_only_one(house: tuple[Rig, str]) -> None:
    rig, socket = house
    await a_batch(rig, "rev-aa1", rows=1)
    await a_batch(rig, "rev-ab2", rows=1, draft_id="dr-2")
    assert "itm-rev-aa1" in (await piped(socket, "", "aa")).stdout
    assert "itm-rev-ab2" in (await piped(socket, "", "dr-2")).stdout
    several = await piped(socket, "")
    assert several.returncode == 2
    assert "rev-ab2, rev-aa1" in several.stderr
    await rig.call("review-decide", {"batchId": "rev-aa1", "decision": "approve"})
    assert "itm-rev-ab2" in (await piped(socket, "")).stdout
    await rig.call("review-decide", {"batchId": "rev-ab2", "decision": "approve"})
    assert "nothing waits for approval" in (await piped(socket, "")).stderr
    assert (await piped(socket, "", "rev-none")).returncode == 4
    assert (await piped(socket, "", "--json")).returncode == 2
