"""Files in a draft: taken whole or not at all, kept by content, and frozen together with what agents did."""

import gzip
import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.daemon.daemon_rig import chat, write_rows
from tests.daemon.dataset_bench import folders, freezing, lesson, lines, questions, step

from genomed.daemon.datasets.store import DatasetStore
from genomed.entities.dataset_port import ImportOptions, Segment
from genomed.entities.errors import InvalidRequest, NotFound, Unsupported
from genomed.entities.types import RowKind

DRAFT = "dr-1"


async def added(store: DatasetStore, path: Path, **options: object) -> Segment:
    return await store.add_segment(DRAFT, str(path), ImportOptions(**options))  # type: ignore[arg-type]


async def test_a_file_becomes_a_segment_that_is_named_by_its_rows(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "d")
    path = write_rows(tmp_path / "talks.jsonl", [chat(f"q{n}", "a") for n in range(5)] + [chat("q1", "a")])
    made = await added(store, path)
    again = await added(store, path)
    assert again == made
    assert (made.rows, made.duplicates, made.format, made.file_name) == (5, 1, "openai_chat", "talks.jsonl")
    assert folders(tmp_path / "d" / "drafts" / DRAFT) == {f"{made.sha256}.jsonl", f"{made.sha256}.lineage.jsonl"}


async def test_a_draft_s_files_and_lessons_are_frozen_together_and_each_row_knows_where_it_came_from(
    tmp_path: Path,
) -> None:
    store = DatasetStore(tmp_path / "d")
    one = await added(store, write_rows(tmp_path / "one.jsonl", [chat(f"q{n}", "a") for n in range(5)]))
    two = await added(
        store, write_rows(tmp_path / "two.jsonl", [chat(f"r{n}", "a") for n in range(5)] + [chat("q1", "a")])
    )
    told: list[tuple[int, int]] = []
    made = await store.freeze(
        [lesson("s1"), lesson("r1", "a")],
        freezing(0),
        segments=[one.sha256, two.sha256],
        draft_id=DRAFT,
        progress=lambda done, total: told.append((done, total)),
    )
    assert step(made, "exact_duplicates").removed == 2
    lineage = lines(tmp_path / "d" / made.dataset_id / "lineage.jsonl")
    assert [(entry.get("source"), entry["origin"]) for entry in lineage] == [
        *(("one.jsonl", f"line {n}") for n in range(1, 6)),
        *(("two.jsonl", f"line {n}") for n in range(1, 6)),
        (None, "int-s1"),
    ]
    both = one.size_bytes + two.size_bytes
    assert told == [(one.size_bytes, both), (both, both)]


async def test_a_file_with_a_bad_line_adds_nothing(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "d")
    path = write_rows(tmp_path / "rows.jsonl", [chat("q", "a"), chat("", "b")])
    with pytest.raises(InvalidRequest, match="line 2: messages"):
        await added(store, path)
    assert folders(tmp_path / "d") == set()


async def test_a_field_of_the_file_groups_its_rows(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "d")
    rows = [chat(f"q{n}", "a") | {"session": f"s{n % 12}"} for n in range(60)]
    segment = await added(store, write_rows(tmp_path / "rows.jsonl", rows), group_by="session")
    assert segment.losses == ()
    made = await store.freeze([], freezing(), segments=[segment.sha256], draft_id=DRAFT)
    lineage = lines(tmp_path / "d" / made.dataset_id / "lineage.jsonl")
    sides: dict[str, set[bool]] = {}
    for entry in lineage:
        sides.setdefault(entry["group"], set()).add(entry["heldOut"])
    assert set(sides) == {f"s{n}" for n in range(12)}
    assert all(len(side) == 1 for side in sides.values())


async def test_rows_of_a_file_that_groups_nothing_keep_their_side_when_lines_are_added_before_them(
    tmp_path: Path,
) -> None:
    store = DatasetStore(tmp_path / "d")
    rows = [chat(f"q{n}", "a") for n in range(40)]
    one, two = [
        await store.import_file(str(write_rows(tmp_path / name, some)), ImportOptions(), freezing(0.2))
        for name, some in (("one.jsonl", rows), ("two.jsonl", rows[::-1]))
    ]
    held = [set(questions(tmp_path / "d", files.dataset_id, "eval")) for _, files in (one, two)]
    assert held[0] == held[1]


async def test_what_a_format_cannot_carry_over_is_said_once(tmp_path: Path) -> None:
    rows = [{"instruction": f"q{n}", "output": "a", "source": "web"} for n in range(9)]
    segment = await added(DatasetStore(tmp_path / "d"), write_rows(tmp_path / "rows.jsonl", rows))
    assert segment.format == "alpaca"
    assert len(segment.losses) == 1
    assert "source" in segment.losses[0]


@pytest.mark.parametrize("packing", ["gz", "zst"])
async def test_a_packed_file_is_read_as_if_it_were_not(tmp_path: Path, packing: str) -> None:
    plain = write_rows(tmp_path / "rows.jsonl", [chat(f"q{n}", "a") for n in range(30)])
    packed = tmp_path / f"rows.jsonl.{packing}"
    if packing == "gz":
        packed.write_bytes(gzip.compress(plain.read_bytes()))
    else:
        if find_spec("backports") is None or find_spec("backports.zstd") is None:
            pytest.skip("backports.zstd is not installed")
        packed.write_bytes(import_module("backports.zstd").compress(plain.read_bytes()))
    store = DatasetStore(tmp_path / "d")
    assert (await added(store, plain)).sha256 == (await added(store, packed)).sha256


async def test_a_packed_file_that_is_cut_is_refused(tmp_path: Path) -> None:
    packed = tmp_path / "rows.jsonl.gz"
    whole = gzip.compress("".join(f'{{"messages":[{n}]}}\n' for n in range(9999)).encode())
    packed.write_bytes(whole[: len(whole) // 2])
    with pytest.raises((NotFound, InvalidRequest)):
        await added(DatasetStore(tmp_path / "d"), packed)


async def test_a_line_that_is_too_long_is_a_bad_line_and_the_next_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with path.open("wb") as out:
        out.write(b'{"messages":[{"role":"user","content":"' + b"x" * (17 << 20) + b'"}]}\n')
        out.write(b'{"messages":[]}\n')
    with pytest.raises(InvalidRequest) as refused:
        await added(DatasetStore(tmp_path / "d"), path)
    told = [problem.message for problem in refused.value.details]
    assert told[0] == "line 1 is longer than 16777216 bytes"
    assert told[1].startswith("line 2: messages")


async def test_a_table_is_read_by_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("frage,antwort\n" + "".join(f"q{n},a{n}\n" for n in range(9)), encoding="utf-8")
    segment = await added(
        DatasetStore(tmp_path / "d"),
        path,
        format="prompt_completion",
        columns={"prompt": "frage", "completion": "antwort"},
    )
    assert (segment.rows, segment.row_kind) == (9, RowKind.CHAT)


async def test_an_examined_file_is_described_and_not_kept(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "d")
    path = write_rows(tmp_path / "rows.jsonl", [chat(f"q{n}", "a" * n) for n in range(1, 21)] + [chat("q3", "aaa")])
    segment, stats = await store.examine(str(path), ImportOptions(), rules=freezing().rules)
    assert (segment.rows, segment.duplicates, stats.rows, stats.sources) == (20, 1, 20, 1)
    assert stats.characters is not None
    assert (stats.characters.least, stats.characters.greatest) == (3, 23)
    assert folders(tmp_path / "d") == set()


async def test_a_segment_that_is_gone_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="segment"):
        await DatasetStore(tmp_path).freeze([], freezing(), segments=["0" * 64], draft_id=DRAFT)


async def test_what_a_killed_daemon_left_half_made_is_swept_away(tmp_path: Path) -> None:
    left = tmp_path / ".staging-old"
    left.mkdir()
    (left / "rows").write_text("somebody's words", encoding="utf-8")
    await DatasetStore(tmp_path).freeze([lesson("q"), lesson("r")], freezing(0))
    assert not left.exists()


async def test_zstd_that_cannot_be_unpacked_here_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.jsonl.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd rest")
    monkeypatch.setattr("genomed.daemon.datasets.opening.find_spec", lambda name: None)
    with pytest.raises(Unsupported, match="zstd"):
        await added(DatasetStore(tmp_path / "d"), path)


async def test_a_discarded_segment_is_gone_and_one_that_was_imported_later_stays(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "d")
    path = write_rows(tmp_path / "talks.jsonl", [chat(f"q{n}", "a") for n in range(5)])
    made = await added(store, path)
    folder = tmp_path / "d" / "drafts" / DRAFT
    (folder / f".{made.sha256}.jsonl.new").write_text("left by a crash")
    written_us = (folder / f"{made.sha256}.jsonl").stat().st_mtime_ns // 1000
    assert await store.discard_segment(DRAFT, made.sha256, made_before_us=0) is False
    assert folders(folder) == {f"{made.sha256}.jsonl", f"{made.sha256}.lineage.jsonl"}
    assert [await store.discard_segment(DRAFT, made.sha256, made_before_us=written_us + 1) for _ in range(2)] == [
        True,
        False,
    ]
    assert folders(folder) == set()


async def test_erasing_rows_of_a_segment_does_not_make_it_younger(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "d")
    made = await added(store, write_rows(tmp_path / "talks.jsonl", [chat(f"q{n}", "a") for n in range(5)]))
    file = tmp_path / "d" / "drafts" / DRAFT / f"{made.sha256}.jsonl"
    os.utime(file, ns=(10**9, 10**9))
    [first, *_] = lines(file)
    assert await store.forget_in_draft(DRAFT, [made.sha256], [first["id"]]) == 1
    assert file.stat().st_mtime_ns == 10**9
