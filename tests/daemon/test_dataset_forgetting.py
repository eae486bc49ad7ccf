"""Forgetting: words are gone from every file, what happened stays, and a crash in the middle loses neither."""

from pathlib import Path
from typing import Any

import pytest
from tests.daemon.daemon_rig import chat, write_rows
from tests.daemon.dataset_bench import freezing, frozen, lesson, lines, questions

from genomed.daemon.datasets import erasure as dataset_erasure
from genomed.daemon.datasets.files import sync_folder
from genomed.daemon.datasets.store import DatasetStore
from genomed.entities.cleaning import CleaningRules
from genomed.entities.dataset_port import FrozenFiles, FrozenHashes, ImportOptions
from genomed.entities.errors import Conflict
from genomed.entities.rows import row_id
from genomed.entities.types import RowKind

WORDS = "the words of ada"


def all_words(folder: Path) -> str:
    return "".join(file.read_text(encoding="utf-8") for file in folder.rglob("*") if file.is_file())


def hashes(files: FrozenFiles) -> FrozenHashes:
    return FrozenHashes(
        row_kind=RowKind.CHAT,
        train_sha256=files.train_sha256,
        eval_sha256=files.eval_sha256,
        lineage_sha256=files.lineage_sha256,
    )


async def test_a_forgotten_row_is_gone_from_its_file_and_marked_in_the_lineage(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path)
    ours = lesson("q", WORDS)
    made = await frozen(store, [*(lesson(f"q{n}") for n in range(20)), ours])
    assert await store.forget(made.dataset_id, [row_id(ours.row)]) == 1
    assert WORDS not in all_words(tmp_path)
    rows = sum(len(questions(tmp_path, made.dataset_id, side)) for side in ("train", "eval"))
    assert rows == made.rows + made.eval_rows - 1
    marked = [entry for entry in lines(tmp_path / made.dataset_id / "lineage.jsonl") if entry.get("forgotten")]
    assert [entry["origin"] for entry in marked] == ["int-q"]
    assert await store.rows_from(made.dataset_id, frozenset({"int-q"})) == []
    found = await store.find_row(made.dataset_id, row_id(ours.row))
    assert found is not None
    assert found.line is None
    assert (await store.stats(made.dataset_id, tokenizer=None)).forgotten == 1


async def test_forgetting_twice_is_harmless(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path)
    ours = lesson("q", WORDS)
    made = await frozen(store, [*(lesson(f"q{n}") for n in range(20)), ours])
    await store.forget(made.dataset_id, [row_id(ours.row)])
    before = all_words(tmp_path)
    assert await store.forget(made.dataset_id, [row_id(ours.row), "00" * 32]) == 0
    assert all_words(tmp_path) == before


@pytest.mark.parametrize("renames", [0, 1, 2])
async def test_a_crash_in_the_middle_of_forgetting_is_made_good_by_doing_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    store = DatasetStore(tmp_path)
    path = write_rows(
        tmp_path.parent / f"rows-{renames}.jsonl", [chat(f"q{n}", f"a{n}") for n in range(20)] + [chat("q", WORDS)]
    )
    segment = await store.add_segment("dr-1", str(path), ImportOptions())
    made = await store.freeze([], freezing(0), segments=[segment.sha256], draft_id="dr-1")
    rows = [row_id(lesson("q", WORDS).row)]

    async def forget() -> None:
        await store.forget(made.dataset_id, rows)
        await store.forget_in_draft("dr-1", [segment.sha256], rows)

    done = 0

    def dying(folder: Path) -> None:
        nonlocal done
        done += 1
        if done > renames:
            raise OSError(5, "power failure")
        sync_folder(folder)

    with monkeypatch.context() as patched:
        patched.setattr(dataset_erasure, "sync_folder", dying)
        with pytest.raises(OSError, match="power failure"):
            await forget()
    left = await store.freeze([], freezing(0), segments=[segment.sha256], draft_id="dr-1")
    assert left.rows in {20, 21}
    await forget()
    assert WORDS not in all_words(tmp_path / made.dataset_id) + all_words(tmp_path / "drafts")
    again = await store.freeze([], freezing(0), segments=[segment.sha256], draft_id="dr-1")
    assert again.rows == 20


async def test_a_draft_forgets_a_row_whose_secret_was_masked_when_it_was_frozen(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path)
    rows: list[Any] = [chat(f"q{n}", f"a{n}") for n in range(20)]
    path = write_rows(tmp_path.parent / "masked.jsonl", [*rows, chat("who?", "ada@example.org wrote this")])
    segment = await store.add_segment("dr-1", str(path), ImportOptions())
    made = await store.freeze([], freezing(0, personal_data="redact"), segments=[segment.sha256], draft_id="dr-1")
    [row] = await store.rows_from(made.dataset_id, frozenset({"line 21"}))
    assert await store.forget_in_draft("dr-1", [segment.sha256], [row]) == 1
    assert "wrote this" not in all_words(tmp_path / "drafts")
    left = await store.freeze([], freezing(0), segments=[segment.sha256], draft_id="dr-1")
    assert left.rows == 20


async def test_a_check_finds_a_file_that_is_not_what_was_frozen(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path)
    made = await frozen(store, [lesson(f"q{n}") for n in range(20)])
    steps = await store.check(made.dataset_id, CleaningRules(), frozen=hashes(made))
    assert all(one.removed == 0 for one in steps)
    with (tmp_path / made.dataset_id / "train.jsonl").open("ab") as file:
        file.write(b"\n")
    with pytest.raises(Conflict, match=r"train\.jsonl .* is not what was frozen"):
        await store.check(made.dataset_id, CleaningRules(), frozen=hashes(made))


async def test_a_check_tells_what_stricter_rules_would_take(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path)
    made = await frozen(store, [*(lesson(f"q{n}", "{}") for n in range(20)), lesson("q", "no json")])
    steps = await store.check(made.dataset_id, CleaningRules(expect_json=True), frozen=hashes(made))
    assert {one.step: one.removed for one in steps}["json"] == 1
