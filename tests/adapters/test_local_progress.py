"""A progress file is read by whole lines, each once, and every line ends up where it belongs."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.local_bench import JOB, Bench, poll_until

from genomed.adapters.local.progress_file import Line, read_lines
from genomed.adapters.local.progress_report import Cursor, Report, cursor_from, cursor_text
from genomed.entities.errors import ErrorKind
from genomed.entities.types import JobPhase, JobStatus

LINES = st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"")), max_size=20)


@given(lines=LINES, torn=st.binary(max_size=10), limit=st.integers(1, 64))
def test_any_portion_size_gives_each_whole_line_once(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], torn: bytes, limit: int
) -> None:
    path = tmp_path_factory.mktemp("progress") / "progress.jsonl"
    torn = torn.replace(b"\n", b"")
    path.write_bytes(b"".join(line + b"\n" for line in lines) + torn)
    seen: list[Line] = []
    offset, drained = 0, False
    while not drained:
        chunk = read_lines(path, offset=offset, limit_bytes=limit)
        seen += chunk.lines
        offset, drained = chunk.next_offset, chunk.drained
    assert [line.data for line in seen] == lines
    assert offset == path.stat().st_size - len(torn)


def test_a_missing_file_is_an_empty_one(tmp_path: Path) -> None:
    chunk = read_lines(tmp_path / "none", offset=7, limit_bytes=10)
    assert (chunk.lines, chunk.next_offset, chunk.drained) == ((), 7, True)


def report_of(*lines: Mapping[str, object]) -> Report:
    report = Report(Cursor())
    told = [{"seq": number, "at": 2.5, **line} for number, line in enumerate(lines, start=1)]
    report.take([Line(n, msgspec.json.encode(line)) for n, line in enumerate(told)], next_offset=99)
    return report


def test_every_measured_number_becomes_a_point_and_an_unmeasured_one_none() -> None:
    step: dict[str, object] = {"type": "step", "step": 3, "totalSteps": 9, "learningRate": 0.5, "gradNorm": 2.0}
    snapshot = report_of({**step, "loss": None, "tokensPerS": 7.0}, {"type": "evaluation", "step": 3, "evalLoss": 1.5})
    points = {point.name: (point.step, point.value, point.at_us) for point in snapshot.snapshot().points}
    assert points == {
        "learning_rate": (3, 0.5, 2_500_000),
        "grad_norm": (3, 2.0, 2_500_000),
        "tokens_per_s": (3, 7.0, 2_500_000),
        "val_loss": (3, 1.5, 2_500_000),
    }
    progress = snapshot.snapshot().progress
    assert progress is not None
    assert (progress.step, progress.total_steps, progress.loss, progress.fraction) == (3, 9, None, 3 / 9)


def test_a_setting_says_what_became_of_it() -> None:
    fields = [
        {"field": "schedule.epochs", "asked": 3, "sent": 3, "note": None},
        {"field": "schedule.checkpoints", "asked": 1, "sent": [4, 8], "note": "at these steps"},
        {"field": "totalSteps", "asked": None, "sent": 8, "note": None},
        {"field": "engine.kwargs", "asked": None, "sent": {"b": 1, "a": 0.5}, "note": None},
    ]
    effective = report_of({"type": "effective", "fields": fields}).snapshot().effective
    assert [(field.sent, field.disposition) for field in effective] == [
        (3, "sent"),
        (("4", "8"), "adjusted"),
        (8, "defaulted"),
        ('{"a":0.5,"b":1}', "defaulted"),
    ]


def test_judged_sides_carry_numbers_and_no_text() -> None:
    sample = {"id": "r1", "prompt": "p", "expected": "e", "answer": "a", "exact": False}
    judged = {"type": "judged", "side": "baseline", "rows": 2, "loss": 1.0, "exactMatch": 0.5, "samples": [sample]}
    snapshot = report_of(judged).snapshot()
    assert snapshot.judgements["baseline"].exact_match == 0.5
    assert b"expected" not in msgspec.json.encode(snapshot)


def test_a_line_nobody_understands_is_reported_and_the_next_is_read() -> None:
    snapshot = report_of({"type": "teleported"}, {"type": "phase", "phase": "saving"}).snapshot()
    assert [notice.code for notice in snapshot.notices] == ["progress_line_unread"]
    assert snapshot.phase is JobPhase.SAVING


def test_a_failure_keeps_its_kind_and_remedy() -> None:
    failed = {"type": "failed", "kind": "capacity", "message": "no room", "remedy": "less"}
    snapshot = report_of({"type": "started"}, failed).snapshot()
    assert snapshot.error is not None
    assert (snapshot.error.kind, snapshot.error.remedy) == (ErrorKind.CAPACITY, "less")
    assert snapshot.status is JobStatus.FAILED


def test_a_resume_and_a_rejected_checkpoint_are_noted() -> None:
    rejected = {"type": "checkpoint_rejected", "path": "/c/9", "reason": "hash differs"}
    snapshot = report_of({"type": "started", "resumedFromStep": 5}, rejected).snapshot()
    assert [notice.code for notice in snapshot.notices] == ["resumed", "checkpoint_rejected"]


def test_a_cursor_survives_its_text() -> None:
    cursor = Cursor(offset=5, ending=3, status=JobStatus.PAUSED, phase=JobPhase.PAUSED, word="paused")
    assert cursor_from(cursor_text(cursor)) == cursor
    assert cursor_from("") == Cursor()


async def test_a_run_is_told_from_its_start_to_its_artifact(bench: Bench) -> None:
    provider = bench.provider()
    await provider.submit(bench.submission())
    seen = await poll_until(provider, lambda snapshot: snapshot.artifact is not None)
    losses = [(point.step, point.value) for each in seen for point in each.points if point.name == "loss"]
    assert losses == [(1, 2.0), (2, 1.5)]
    assert [made.step for each in seen for made in each.checkpoints] == [1]
    last = seen[-1]
    assert (last.status, last.provider_status) == (JobStatus.SUCCEEDED, "finished")
    assert last.artifact is not None
    assert (last.artifact.format, last.artifact.train_loss) == ("peft_lora", 1.25)
    assert last.artifact.size_bytes == sum(path.stat().st_size for path in (bench.attempt / "result").iterdir())
    again = await bench.provider().poll("local-x", job_id=JOB, attempt=1, cursor=last.cursor)
    assert (again.artifact, again.points, again.cursor) == (last.artifact, (), last.cursor)


async def test_a_torn_last_line_waits_and_a_dead_worker_s_is_never_read(bench: Bench) -> None:
    bench.script(("tear", '{"seq":1,"at":1,"type":"st'), ("die", 1))
    provider = bench.provider()
    await provider.submit(bench.submission())
    last = (await poll_until(provider, lambda snapshot: snapshot.worker_lost is not None))[-1]
    assert last.notices == ()
    assert cursor_from(last.cursor).offset == 0
