"""dataset-import freezes a file whole or not at all, and names every bad line by its number."""

import json
import os
from pathlib import Path

import anyio
import pytest
from tests.commands.drafting import a_draft
from tests.daemon.daemon_rig import Json, Rig, chat, write_rows
from tests.patience import PATIENCE_S

from genomed.entities.draft_events import SegmentAdded


def nothing_frozen(rig: Rig) -> bool:
    folder = rig.data_dir / "datasets"
    return not folder.exists() or list(folder.iterdir()) == []


async def refused_lines(rig: Rig, path: Path, **more: object) -> list[str]:
    error = await rig.refused("dataset-import", {"personaId": "ada", "path": str(path), **more})
    assert error.kind == "invalid_request"
    assert nothing_frozen(rig)
    return [problem.message for problem in error.details]


async def test_a_good_file_is_frozen_with_its_split_and_says_so(quiet: Rig, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [chat(f"q{n}", f"a{n}") for n in range(100)])
    made = await quiet.call("dataset-import", {"personaId": "ada", "path": str(path), "evalShare": 0.2})
    assert (made["rows"], made["evalRows"], made["rowKind"], made["existed"]) == (80, 20, "chat", False)
    folder = quiet.data_dir / "datasets" / made["datasetId"]
    assert {file.name for file in folder.iterdir()} == {"train.jsonl", "eval.jsonl", "lineage.jsonl"}
    assert len((folder / "train.jsonl").read_bytes().splitlines()) == 80


async def test_the_same_rows_again_are_the_same_dataset_and_one_event(quiet: Rig, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [chat(f"q{n}", f"a{n}") for n in range(20)])
    params = {"personaId": "ada", "path": str(path)}
    first = await quiet.call("dataset-import", params)
    before = quiet.journal.head().position
    second = await quiet.call("dataset-import", params | {"name": "another name"})
    assert second == first | {"existed": True}
    assert quiet.journal.head().position == before


async def test_equal_rows_are_kept_once_and_counted(quiet: Rig, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [chat("q", "a")] * 3 + [chat("q2", "a")])
    made = await quiet.call("dataset-import", {"personaId": "ada", "path": str(path), "evalShare": 0})
    assert (made["rows"], made["duplicates"]) == (2, 2)


async def test_one_bad_line_among_eight_thousand_is_named_and_nothing_is_frozen(quiet: Rig, tmp_path: Path) -> None:
    rows: list[object] = [chat(f"q{n}", f"a{n}") for n in range(8000)]
    rows[7340] = chat("", "no question")
    messages = await refused_lines(quiet, write_rows(tmp_path / "rows.jsonl", rows))
    assert messages == ["line 7341: messages[0].content is empty"]


async def test_every_bad_line_is_named_whatever_is_wrong_with_it(quiet: Rig, tmp_path: Path) -> None:
    bad: dict[int, bytes] = {
        2: b"{not json",
        4: b'{"messages": "text"}',
        5: b'{"messages": [{"role": "user", "content": "no answer"}]}',
        6: b'{"messages": [{"role": "robot", "content": 5}], "extra": 1}',
        7: b'{"prompt": [], "chosen": [], "rejected": []}',
        8: b'"\xff\xfe"',
        9: b"[" * 200_000,
        10: b"[1, 2]",
        11: json.dumps(chat("q", "\udc80")).encode("ascii"),
    }
    good = json.dumps(chat("q", "a")).encode()
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(bad.get(number, good) for number in range(1, 13)) + b"\n")
    messages = await refused_lines(quiet, path)
    assert {int(message.split()[1].rstrip(":")) for message in messages} == set(bad)
    assert len([message for message in messages if message.startswith("line 6:")]) >= 2


async def test_after_a_hundred_bad_lines_the_rest_is_a_count(quiet: Rig, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [chat("q", "a"), *["no row"] * 250])
    messages = await refused_lines(quiet, path)
    assert len(messages) == 101
    assert messages[0].startswith("line 2 ")
    assert messages[-1] == "and 150 bad lines more"


async def test_preference_rows_are_known_by_their_fields_and_checked(quiet: Rig, tmp_path: Path) -> None:
    def preference(chosen: str, rejected: str) -> Json:
        answers = {name: [{"role": "assistant", "content": text}] for name, text in
                   (("chosen", chosen), ("rejected", rejected))}  # fmt: skip
        return {"prompt": [{"role": "user", "content": "q"}], **answers}

    path = write_rows(tmp_path / "good.jsonl", [preference(f"good {n}", "bad") for n in range(12)])
    assert (await quiet.call("dataset-import", {"personaId": "ada", "path": str(path)}))["rowKind"] == "preference"
    error = await quiet.refused(
        "dataset-import",
        {"personaId": "ada", "path": str(write_rows(tmp_path / "same.jsonl", [preference("same", "same")]))},
    )
    assert "same as rejected" in error.message


@pytest.mark.parametrize("content", [b"", b"\n \n\n"])
async def test_an_empty_file_is_refused(quiet: Rig, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "empty.jsonl").write_bytes(content)
    assert await refused_lines(quiet, tmp_path / "empty.jsonl") == ["empty.jsonl is empty"]


async def test_what_is_no_readable_file_is_refused_at_once(quiet: Rig, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "nowhere", tmp_path, tmp_path / "pipe", Path("/dev/zero"), tmp_path / ("x" * 300)):
        with anyio.fail_after(PATIENCE_S):
            error = await quiet.refused("dataset-import", {"personaId": "ada", "path": str(path)})
        assert (error.kind, error.field) == ("not_found", "path")
    assert nothing_frozen(quiet)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"path": "rows.jsonl"}, "path"),
        ({"path": "/with/a\x00nul"}, "path"),
        ({"path": "/x", "evalShare": 0.6}, "evalShare"),
        ({"path": "/x", "seed": 10**30}, "seed"),
        ({"path": "/x", "rowKind": "poem"}, "rowKind"),
        ({"path": "/x", "personaId": "ada\n"}, "personaId"),
    ],
)
async def test_bad_params_are_refused_by_name(quiet: Rig, params: Json, field: str) -> None:
    error = await quiet.refused("dataset-import", {"personaId": "ada"} | params)
    assert [problem.field for problem in error.details] == [field]


async def test_a_key_replays_without_reading_the_file_again(quiet: Rig, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [chat("q", "a"), chat("r", "b")])
    params = {"personaId": "ada", "path": str(path)}
    first = await quiet.call("dataset-import", params, key="i")
    path.unlink()
    assert await quiet.call("dataset-import", params, key="i") == first


async def test_a_file_goes_into_a_draft_and_the_same_rows_only_once(quiet: Rig, tmp_path: Path) -> None:
    draft_id = await a_draft(quiet)
    path = write_rows(tmp_path / "rows.jsonl", [chat(f"q{n}", f"a{n}") for n in range(10)] + [chat("q1", "a1")])
    params = {"draftId": draft_id, "path": str(path)}
    told = await quiet.call("dataset-import", params)
    assert (told["draftId"], told["datasetId"], told["rows"], told["duplicates"]) == (draft_id, None, 10, 1)
    assert (told["format"], told["losses"], told["existed"]) == ("openai_chat", [], False)
    again = await quiet.call("dataset-import", params)
    assert again["existed"] is True
    [segment] = await quiet.events(f"draft/{draft_id}", SegmentAdded)
    assert (segment.file_name, segment.rows, segment.format) == ("rows.jsonl", 10, "openai_chat")


async def test_a_bad_line_leaves_the_draft_as_it_was(quiet: Rig, tmp_path: Path) -> None:
    draft_id = await a_draft(quiet)
    path = write_rows(tmp_path / "rows.jsonl", [chat("q", "a"), {"nonsense": 1}])
    error = await quiet.refused("dataset-import", {"draftId": draft_id, "path": str(path)})
    assert error.message.startswith("line 2") or "line 2" in error.details[0].message
    assert (await quiet.call("dataset-show", {"draftId": draft_id}))["draft"]["segments"] == []


async def test_what_the_draft_says_itself_is_not_said_again(quiet: Rig, tmp_path: Path) -> None:
    path = str(write_rows(tmp_path / "rows.jsonl", [chat("q", "a")]))
    params = {"draftId": await a_draft(quiet), "path": path, "personaId": "ada", "seed": 1, "cleaning": {}}
    error = await quiet.refused("dataset-import", params)
    assert {one.field for one in error.details} == {"personaId", "seed", "cleaning"}
    assert (await quiet.refused("dataset-import", {"path": path})).field == "personaId"
    assert (await quiet.refused("dataset-import", {"path": path, "draftId": "dr-9"})).kind == "not_found"


async def test_rows_of_another_kind_than_the_drafts_are_refused(quiet: Rig, tmp_path: Path) -> None:
    path = str(write_rows(tmp_path / "rows.jsonl", [chat("q", "a")]))
    draft_id = await a_draft(quiet, rowKind="triplet")
    assert (await quiet.refused("dataset-import", {"draftId": draft_id, "path": path})).kind == "invalid_request"


async def test_cleaning_rules_are_carried_out_and_told(quiet: Rig, tmp_path: Path) -> None:
    rows = [chat(f"what is {n} plus {n * n}?", f"it is {n}") for n in range(10)] + [chat("q", "word " * 2000)]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    params = {"personaId": "ada", "path": str(path), "cleaning": {"maxTokens": 500}, "evalShare": 0}
    told = await quiet.call("dataset-import", params)
    assert told["rows"] == 10
    assert [step["step"] for step in told["steps"] if step["removed"]] != []
    shown = (await quiet.call("dataset-show", {"datasetId": told["datasetId"]}))["dataset"]
    assert shown["steps"] == told["steps"]
