"""The files between worker and daemon: whole lines, numbers that go on, wishes, identity, heartbeat."""

import json
import os
import threading
from pathlib import Path

import pytest

from genomed.training.protocol import Heartbeat, Progress, Wishes, start_ticks, write_atomically


def told(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def tell_often(progress: Progress) -> None:
    for _ in range(50):
        progress.tell("step", text="x" * 3000)


def test_sequence_numbers_go_on_over_an_existing_file(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    first = Progress(path)
    first.tell("phase", phase="loading")
    first.tell("phase", phase="training")
    first.close()
    again = Progress(path)
    again.tell("phase", phase="saving")
    again.close()
    assert [line["seq"] for line in told(path)] == [1, 2, 3]


def test_a_torn_last_line_is_closed_and_the_next_one_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    path.write_bytes(b'{"seq":7,"type":"phase"}\n{"seq":8,"ty')
    progress = Progress(path)
    progress.tell("phase", phase="loading")
    progress.close()
    lines = path.read_bytes().splitlines()
    assert lines[1] == b'{"seq":8,"ty'
    assert json.loads(lines[2])["seq"] == 8


def test_lines_of_many_threads_are_whole_and_gap_free(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    progress = Progress(path)
    threads = [threading.Thread(target=tell_often, args=(progress,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    progress.close()
    assert [line["seq"] for line in told(path)] == list(range(1, 201))


@pytest.mark.parametrize("unknown", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_null(tmp_path: Path, unknown: float) -> None:
    progress = Progress(tmp_path / "p")
    progress.tell("step", gradNorm=unknown, loss=None)
    progress.close()
    (line,) = told(tmp_path / "p")
    assert line["gradNorm"] is None
    assert line["loss"] is None


def test_text_that_is_no_unicode_does_not_break_the_line(tmp_path: Path) -> None:
    progress = Progress(tmp_path / "p")
    progress.tell("judged", answer="a\ud800b\n")
    progress.close()
    assert len((tmp_path / "p").read_bytes().splitlines()) == 1
    assert len(told(tmp_path / "p")) == 1


def test_the_latest_wish_counts_and_nonsense_is_no_wish(tmp_path: Path) -> None:
    control = tmp_path / "control.json"
    wishes = Wishes(control)
    assert wishes.now() is None
    write_atomically(control, {"want": "pause"})
    assert wishes.now() == "pause"
    write_atomically(control, {"want": "cancel"})
    assert wishes.now() == "cancel"
    write_atomically(control, {"want": "dance"})
    assert wishes.now() is None


def test_the_pulse_is_there_from_the_start(tmp_path: Path) -> None:
    with Heartbeat(tmp_path / "heartbeat", progress=Progress(tmp_path / "progress")):
        assert (tmp_path / "heartbeat").exists()


def test_a_process_is_named_by_pid_and_start() -> None:
    ticks = start_ticks(os.getpid())
    assert ticks == start_ticks(os.getpid())
    assert start_ticks(2**22 + 1) is None
