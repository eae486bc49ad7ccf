"""Datasets on disk: named by content, made whole or not at all, streamed."""

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import anyio
import anyio.from_thread
import pytest
from tests.daemon.daemon_rig import chat, write_rows
from tests.daemon.dataset_bench import folders, freezing, frozen, lesson, lines, prose
from tests.patience import PATIENCE_S

from genomed.daemon.datasets import files as dataset_files
from genomed.daemon.datasets.store import DatasetStore
from genomed.entities.dataset_port import ImportOptions
from genomed.entities.errors import Capacity, InvalidRequest

PEAK_OF_AN_IMPORT = """
import anyio, sys
from pathlib import Path
from genomed.daemon.datasets import scratch as dataset_scratch
from genomed.daemon.datasets.store import DatasetStore
from genomed.entities.dataset_port import Freezing, ImportOptions
from genomed.entities.types import RowKind
dataset_scratch.CACHE_KIB = 1024  # what SQLite keeps is bounded too, but far above these files
store = DatasetStore(Path(sys.argv[2]))
how = Freezing(persona_id="ada", row_kind=RowKind.CHAT, eval_share=0.1, seed=1)
anyio.run(lambda: store.import_file(sys.argv[1], ImportOptions(), how))
# Not ru_maxrss, which begins with what the parent was when it forked.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""


def peak_kib(source: Path, sets: Path) -> int:
    command = [sys.executable, "-c", PEAK_OF_AN_IMPORT, str(source), str(sets)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_S).stdout)


async def test_equal_rows_in_the_same_order_have_one_name_and_other_rows_another(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path)
    rows = [lesson(f"q{n}") for n in range(20)]
    first, again = await frozen(store, rows), await frozen(store, rows)
    other = await frozen(store, [*rows, lesson("one more")])
    assert first == again
    assert first.dataset_id != other.dataset_id
    assert folders(tmp_path) == {first.dataset_id, other.dataset_id}


async def test_the_lineage_names_for_each_row_what_made_it_and_on_which_side_it_is(tmp_path: Path) -> None:
    made = await frozen(DatasetStore(tmp_path), [lesson(f"q{n}") for n in range(20)])
    folder = tmp_path / made.dataset_id
    lineage = lines(folder / "lineage.jsonl")
    assert [entry["origin"] for entry in lineage] == [f"int-q{n}" for n in range(20)]
    for side, name in ((False, "train.jsonl"), (True, "eval.jsonl")):
        assert [row["id"] for row in lines(folder / name)] == [
            entry["rowId"] for entry in lineage if entry["heldOut"] is side
        ]


async def test_hashes_are_those_of_the_files(tmp_path: Path) -> None:
    made = await frozen(DatasetStore(tmp_path), [lesson(f"q{n}") for n in range(20)])
    folder = tmp_path / made.dataset_id
    said = (made.train_sha256, made.eval_sha256, made.lineage_sha256)
    names = ("train.jsonl", "eval.jsonl", "lineage.jsonl")
    assert said == tuple(sha256((folder / name).read_bytes()).hexdigest() for name in names)
    assert made.size_bytes == sum((folder / name).stat().st_size for name in names[:2])
    assert (folder.stat().st_mode & 0o777) == 0o700


async def test_without_a_share_nothing_is_held_out_and_there_is_no_such_file(tmp_path: Path) -> None:
    made = await frozen(DatasetStore(tmp_path), [lesson(f"q{n}") for n in range(9)], 0)
    assert (made.rows, made.eval_rows, made.eval_sha256) == (9, 0, None)
    assert folders(tmp_path / made.dataset_id) == {"train.jsonl", "lineage.jsonl"}


async def test_a_full_disk_is_a_capacity_problem_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(dataset_files, "sync", full)
    with pytest.raises(Capacity, match="No space left"):
        await frozen(DatasetStore(tmp_path), [lesson("q")])
    assert folders(tmp_path) == set()


async def test_equal_rows_that_are_frozen_at_once_are_one_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second comes in while the first is about to put its folder in place."""
    sync_folder = dataset_files.sync_folder
    others: list[bool] = []

    def and_another(folder: Path) -> None:
        sync_folder(folder)
        if not others:
            others.append(False)
            others[0] = dataset_files.put_in_place(second, target)

    first, second, target = tmp_path / "first", tmp_path / "second", tmp_path / "ds-1"
    for made in (first, second):
        made.mkdir()
        (made / dataset_files.TRAIN).write_text("{}", encoding="utf-8")
    monkeypatch.setattr(dataset_files, "sync_folder", and_another)
    assert dataset_files.put_in_place(first, target) is False
    assert others == [True]
    assert folders(target) == {dataset_files.TRAIN}


async def test_nothing_is_frozen_from_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        await frozen(DatasetStore(tmp_path), [])
    assert folders(tmp_path) == set()


@pytest.mark.parametrize("while_it", ["reads", "compares"])
async def test_work_that_nobody_waits_for_any_more_ends_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, while_it: str
) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [chat(prose(n, 20), "a") for n in range(4000)])
    store = DatasetStore(tmp_path / "d")
    begun = anyio.Event()
    still_wanted = anyio.from_thread.check_cancelled

    def slow(*_: object, **__: object) -> None:
        anyio.from_thread.run_sync(begun.set)
        while True:
            still_wanted()

    if while_it == "compares":
        monkeypatch.setattr("genomed.daemon.datasets.freezing.exact", slow)
        progress = None
    else:
        progress = slow
    ended = False
    async with anyio.create_task_group() as tasks:

        async def importing() -> None:
            nonlocal ended
            try:
                await store.import_file(str(path), ImportOptions(), freezing(), progress=progress)
            finally:
                ended = True

        tasks.start_soon(importing)
        await begun.wait()
        tasks.cancel_scope.cancel()
    assert ended
    assert folders(tmp_path / "d") == set()


def test_memory_does_not_grow_with_the_number_of_rows(tmp_path: Path) -> None:
    """Eight times the rows; what would be kept of each in Python takes more than the 200 bytes that are allowed."""
    few, many = 4000, 32_000
    peaks = [
        peak_kib(
            write_rows(tmp_path / f"{count}.jsonl", [chat(f"{n} {prose(n, 12)}", str(n)) for n in range(count)]),
            tmp_path / f"d{count}",
        )
        for count in (few, many)
    ]
    assert (peaks[1] - peaks[0]) * 1024 < (many - few) * 200


def test_memory_does_not_grow_with_the_length_of_rows(tmp_path: Path) -> None:
    short, long = [
        write_rows(tmp_path / f"{size}.jsonl", [chat(f"{n} {prose(n, 9)}", "x" * size) for n in range(600)])
        for size in (1000, 60_000)
    ]
    grown = peak_kib(long, tmp_path / "long") - peak_kib(short, tmp_path / "short")
    assert grown * 1024 < (long.stat().st_size - short.stat().st_size) / 3
