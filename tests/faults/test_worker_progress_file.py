"""A worker's progress file may hold anything: what is sound in it is told once, the rest costs the daemon nothing."""

import json
import random
import resource
from collections.abc import Iterator
from pathlib import Path

import anyio
import msgspec
import pytest
from tests.adapters.local_bench import JOB, STARTED, Bench, accepted, bench_in, poll_until, step_line
from tests.fault_record import record_fault

from genomed.adapters.local.progress_file import Line, read_lines
from genomed.adapters.local.progress_report import Cursor, Report, cursor_from
from genomed.entities.ports import Snapshot
from genomed.entities.types import JobStatus

pytestmark = [pytest.mark.fault, pytest.mark.usefixtures("no_blocking")]
MIB = 1 << 20


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with bench_in(tmp_path) as made:
        yield made


def told(number: int, kind: str, /, **facts: object) -> bytes:
    return json.dumps({"seq": number, "at": 2.5, "type": kind, **facts}).encode() + b"\n"


def step(number: int) -> bytes:
    return told(number, "step", step=number, loss=1.0)


def look(path: Path, cursor: Cursor, *, limit: int = 64, longest: int = 256) -> Report:
    report = Report(cursor)
    chunk = read_lines(path, offset=cursor.offset, limit_bytes=limit, inside=cursor.inside, longest_bytes=longest)
    report.read(chunk)
    return report


def looks(path: Path, cursor: Cursor | None = None, count: int = 40) -> tuple[list[int], list[str], Cursor]:
    """Steps told, codes of notices, and the cursor, over so many looks."""
    steps: list[int] = []
    codes: list[str] = []
    at = cursor or Cursor()
    for _ in range(count):
        report = look(path, at)
        seen, at = report.snapshot(), report.cursor
        steps += [point.step for point in seen.points]
        codes += [notice.code for notice in seen.notices]
    return steps, codes, at


def add(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_a_torn_last_line_waits_for_its_end_and_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    whole = step(2)
    for cut in range(1, len(whole)):
        path.write_bytes(step(1) + whole[:cut])
        steps, codes, cursor = looks(path, count=3)
        assert (steps, codes, cursor.offset) == ([1], [], len(step(1)))
        add(path, whole[cut:])
        assert looks(path, cursor, count=2)[:2] == ([2], [])
    record_fault("worker", "torn last line of a progress file", "waits for its end, told once", times=len(whole) - 1)


def test_a_line_without_end_is_passed_over_as_it_grows_and_what_follows_is_read(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    path.write_bytes(step(1) + b"x" * 1000)
    steps, codes, cursor = looks(path)
    assert (steps, codes, cursor.inside) == ([1], ["progress_line_unread"], True)
    before = cursor.offset
    add(path, b"y" * 5000)
    report = look(path, cursor)
    assert before < report.cursor.offset <= path.stat().st_size
    add(path, b"\n" + step(2))
    assert looks(path, report.cursor)[:2] == ([2], [])


async def test_a_worker_that_writes_a_line_of_a_hundred_megabytes_is_read_on_in_little_memory(bench: Bench) -> None:
    bench.script(STARTED, step_line(1), ("flood", 100 * MIB), ("tear", "\n"), step_line(2), ("obey", None))
    await accepted(bench, bench.submission())
    seen = await poll_until(bench.provider(), lambda each: any(p.step == 2 for p in each.points))
    assert [point.step for each in seen for point in each.points if point.name == "loss"] == [1, 2]
    notices = [notice for each in seen for notice in each.notices]
    assert [notice.code for notice in notices] == ["progress_line_unread"]
    record_fault("worker", "a line of 100 MiB in a progress file", "passed over, said in an event, goes on")


def test_a_worker_that_raves_does_not_fill_the_log(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    path.write_bytes(step(1) + b"{}\n" * 5000 + b"\n" * 5000 + step(2))
    steps, codes, cursor = looks(path, count=1000)
    assert steps == [1, 2]
    assert cursor.unread == 10_000
    assert 1 <= len(codes) <= 5
    record_fault("worker", "10,000 lines of garbage in a progress file", "a few notices, what is sound is told")


@pytest.mark.parametrize("left", ["nothing", "a line", "half a line"])
def test_a_file_that_was_cut_is_read_again_and_nothing_is_told_twice(tmp_path: Path, left: str) -> None:
    path = tmp_path / "progress.jsonl"
    path.write_bytes(b"".join(step(number) for number in range(1, 6)))
    steps, _, cursor = looks(path)
    kept = {"nothing": b"", "a line": step(1), "half a line": step(1)[:-9]}[left]
    path.write_bytes(kept)
    again, codes, cursor = looks(path, cursor)
    add(path, b"\n" + step(6) + step(7))
    later, more, cursor = looks(path, cursor)
    assert steps + again + later == [1, 2, 3, 4, 5, 6, 7]
    assert codes == ["progress_file_exchanged"]
    assert set(more) <= {"progress_line_unread"}
    assert cursor.offset == path.stat().st_size
    record_fault("worker", "a progress file that was cut", "read again, nothing told twice")


def test_a_file_that_was_exchanged_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    path.write_bytes(step(1) + step(2))
    cursor = looks(path)[2]
    other = tmp_path / "other"
    other.write_bytes(told(1, "phase", phase="a longer name than any step has") + step(2) + step(3))
    other.replace(path)
    steps, codes, _ = looks(path, cursor)
    assert (steps, codes) == ([3], ["progress_file_exchanged"])
    record_fault("worker", "a progress file that was exchanged", "read from its start, nothing told twice")


async def test_a_garbage_control_file_neither_stops_the_daemon_nor_the_cancel(bench: Bench) -> None:
    bench.script(STARTED, step_line(1), ("sleep", 60))
    provider = bench.provider()
    await accepted(bench, bench.submission())
    await poll_until(provider, lambda each: each.progress is not None)
    for garbage in (b"", b"{", b"\xff\xfe", b'{"want":"dance"}'):
        await anyio.Path(bench.attempt / "control.json").write_bytes(garbage)
        seen = await provider.poll("local-x", job_id=JOB, attempt=1, cursor="")
        assert seen.status is JobStatus.RUNNING
    await provider.cancel("local-x", job_id=JOB, attempt=1)
    bench.ahead_s = 600
    await poll_until(provider, lambda each: each.status is JobStatus.CANCELLED)
    record_fault("worker", "garbage in the control file", "overwritten by the next wish", times=4)


SOUND = [
    told(1, "started", resume=True, resumedFromStep=3),
    told(2, "effective", fields=[{"field": "a", "asked": 1, "sent": [1, {"b": 2}]}]),
    told(3, "step", step=1, totalSteps=9, loss=1.5, learningRate=0.1, tokensSeen=77),
    told(4, "checkpoint", step=1, path="/c/1", sha256="ab", loss=0.5),
    told(5, "judged", side="baseline", rows=2, loss=1.0, samples=[]),
    told(6, "failed", kind="capacity", message="m", remedy="r"),
]


def spoiled(dice: random.Random) -> bytes:
    """One sound line with a few bytes changed, or a number far too large in it."""
    line = bytearray(dice.choice(SOUND))
    if dice.random() < 0.4:
        digits = [at for at, byte in enumerate(line) if chr(byte).isdigit()]
        at = dice.choice(digits)
        line[at : at + 1] = dice.choice([b"1e308", b"9" * 19, b"9" * 40, b"-1", b"1e999", b"NaN", b"0.5"])
        return bytes(line[:-1])
    for _ in range(dice.randint(1, 3)):
        line[dice.randrange(len(line))] = dice.randrange(256)
    return bytes(line).replace(b"\n", b" ")


def storable(seen: Snapshot) -> None:
    """As the daemon writes it: encoded, and numbers in a database's columns."""
    msgspec.json.decode(msgspec.json.encode(seen))
    for point in seen.points:
        assert 0 <= point.step < 2**63
        assert 0 <= point.at_us < 2**63
    if seen.progress is not None:
        assert 0 <= seen.progress.step < 2**63


def test_whatever_a_line_holds_it_is_told_or_reported_and_can_be_stored() -> None:
    dice, times = random.Random(5), 4000
    for _ in range(times):
        report = Report(Cursor())
        report.take([Line(0, spoiled(dice))], next_offset=1)
        storable(report.snapshot())
        assert cursor_from(msgspec.json.encode(report.cursor).decode()) == report.cursor
    record_fault("worker", "a spoiled line in a progress file", "told or reported, and can be stored", times=times)


def test_a_line_that_never_ends_is_held_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    with path.open("wb") as file:
        file.truncate(2048 * MIB)  # a hole: it takes no space and reads as zeros
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    at = Cursor()
    for _ in range(6):
        report = look(path, at, limit=MIB, longest=8 * MIB)
        at = report.cursor
    assert at.inside
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
