"""A row as a reviewer sees it: everything that matters stands there, and it fits."""

import msgspec
import pytest

from genomed.cli.render import render
from genomed.cli.review_desk import HELP, Desk
from genomed.cli.review_page import page
from genomed.cli.wrapping import columns_of
from genomed.commands.review_view import ItemView
from genomed.entities.json_value import JsonObject
from genomed.entities.types import ReviewState, RowKind

CHAT: JsonObject = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Which relations does the text hold?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"q": 1}'}}],
        },
        {"role": "tool", "content": "found", "tool_call_id": "c"},
        {"role": "assistant", "content": "Ada knows Bob."},
    ],
    "tools": [{"type": "function"}],
}
PREFERENCE: JsonObject = {
    "prompt": [{"role": "user", "content": "2+2"}],
    "chosen": [{"role": "assistant", "content": "four"}],
    "rejected": [{"role": "assistant", "content": "five"}],
}


def item(kind: RowKind, row: JsonObject | None, **more: object) -> ItemView:
    told: dict[str, object] = {
        "item_id": "itm-1",
        "batch_id": "rev-1",
        "state": ReviewState.PENDING,
        "row_kind": kind,
        "row": row,
        "original_row": None,
        "confidence": 0.8,
        "suggestion": "approve",
        "reasons": ("the answer is short",),
        "notes": {"tries": 2},
        "generated": None,
        "generation": 1,
        "parent_item_id": "itm-0",
        "child_item_id": None,
        "original_item_id": "itm-0",
        "item_key": "k",
        "proposed_us": 1,
        "decided_us": None,
        "reviewer": None,
        "note": None,
        "failure": None,
    }
    return ItemView(**(told | more))  # type: ignore[arg-type]  # a test's shorthand


def shown(
    one: ItemView | None, *, columns: int = 80, rows: int = 60, desk: Desk | None = None, told: str = ""
) -> list[str]:
    desk = desk or Desk(queue=("itm-1", "itm-2"))
    return page(one, desk, total=12, told=told, columns=columns, rows=rows, colour=False)


def test_the_head_says_where_one_is_and_what_is_known_of_the_row() -> None:
    head = shown(item(RowKind.CHAT, CHAT))[0]
    for word in ("1/12", "itm-1", "chat", "try 2", "confidence 0.8", "judge: approve"):
        assert word in head
    assert "confidence unknown" in shown(item(RowKind.CHAT, CHAT, confidence=None))[0]


def test_a_conversation_is_shown_turn_by_turn_with_its_calls() -> None:
    text = "\n".join(shown(item(RowKind.CHAT, CHAT)))
    turns = ["system:", "Be brief.", "user:", "assistant:", 'calls look {"q": 1}', "tool:", "Ada knows Bob."]
    places = [text.index(turn) for turn in turns]
    assert places == sorted(places)
    assert "(1 tools to call)" in text
    assert "the answer is short" in text
    assert "tries: 2" in text


def test_the_two_answers_stand_side_by_side_where_there_is_room_and_one_below_the_other_where_not() -> None:
    wide = shown(item(RowKind.PREFERENCE, PREFERENCE), columns=120)
    assert any("four" in line and "five" in line for line in wide)
    narrow = shown(item(RowKind.PREFERENCE, PREFERENCE), columns=60)
    assert not any("four" in line and "five" in line for line in narrow)
    assert narrow.index("  four") < narrow.index("  five")


@pytest.mark.parametrize(
    ("kind", "row", "words"),
    [
        (RowKind.TRIPLET, {"anchor": "a", "positive": "p", "negatives": ["n1", "n2"]}, ["anchor:", "- n1", "- n2"]),
        (RowKind.RANKING, {"query": "q", "document": "d", "label": 0.5}, ["query:", "document:", "0.5"]),
        (RowKind.VECTOR_PAIR, {"input": [0.25] * 384, "target": [1.0]}, ["(384 numbers)"]),
        (RowKind.RECORD, {"task": "relations", "data": {"from": "Ada"}}, ["relations:", '"from": "Ada"']),
    ],
)
def test_other_rows_are_shown_field_by_field(kind: RowKind, row: JsonObject, words: list[str]) -> None:
    text = "\n".join(shown(item(kind, row)))
    for word in words:
        assert word in text


def test_a_correction_is_shown_with_what_was_there_before_it() -> None:
    text = "\n".join(shown(item(RowKind.PREFERENCE, PREFERENCE | {"chosen": []}, original_row=PREFERENCE, note="no")))
    assert text.index("reviewer's words:") < text.index("before it was corrected:") < text.index("four")


def test_an_erased_row_and_the_end_of_the_queue_say_so() -> None:
    assert "its words were erased" in shown(item(RowKind.CHAT, None))
    assert "end of the queue" in shown(None)[0]


def test_control_sequences_of_a_model_do_not_reach_the_terminal() -> None:
    evil: JsonObject = {"messages": [{"role": "user", "content": "\x1b[2J\x1b]0;owned\x07"}]}
    text = "".join(shown(item(RowKind.CHAT, evil, notes={"\x1bn": "\x1b[1m"}, reasons=("\x1b[5m",))))
    assert "\x1b" not in text
    assert "\x07" not in text


def test_a_long_row_fits_the_screen_and_is_read_by_scrolling() -> None:
    long: JsonObject = {"messages": [{"role": "user", "content": "\n".join(f"line {n}" for n in range(200))}]}
    seen: set[str] = set()
    for scroll in range(0, 230, 5):
        lines = shown(item(RowKind.CHAT, long), rows=24, columns=40, desk=Desk(queue=("itm-1",), scroll=scroll))
        assert len(lines) <= 24
        assert all(columns_of(line) <= 40 for line in lines)
        seen |= {line.strip() for line in lines}
    assert {f"line {n}" for n in range(200)} <= seen


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (3, 4), (20, 8), (300, 100)])
def test_no_window_is_too_small(columns: int, rows: int) -> None:
    for one in (item(RowKind.PREFERENCE, PREFERENCE), item(RowKind.CHAT, CHAT), None):
        assert len(shown(one, columns=columns, rows=rows)) <= rows


def test_a_listing_shows_each_row_whole_with_its_state() -> None:
    told = msgspec.to_builtins(item(RowKind.CHAT, CHAT, state=ReviewState.REJECTED))
    text = render({"items": [told], "nextCursor": "17", "asOf": 3})
    assert text.startswith("itm-1: chat  try 2  confidence 0.8  judge: approve  rejected\n")
    assert "    Ada knows Bob." in text
    assert text.endswith("more: --cursor 17")


def test_the_help_takes_the_place_of_the_row() -> None:
    lines = shown(item(RowKind.CHAT, CHAT), columns=200, desk=Desk(queue=("itm-1",), helping=True))
    assert set(HELP.splitlines()) <= set(lines)
    assert "system:" not in lines


def test_what_there_is_to_say_takes_the_place_of_the_keys() -> None:
    assert shown(item(RowKind.CHAT, CHAT), told="eve decided already\ngive reverse")[-2:] == [
        "eve decided already",
        "give reverse",
    ]


def test_a_labelled_row_shows_its_label_and_a_raft_row_which_document_answers() -> None:
    thumb: JsonObject = {
        "prompt": [{"role": "user", "content": "2+2"}],
        "completion": [{"role": "assistant", "content": "five"}],
        "label": False,
    }
    told = page(item(RowKind.LABELLED, thumb), Desk(), total=1, told="", columns=80, rows=60, colour=False)
    assert "completion, not wanted:" in told
    assert "  five" in told
    raft: JsonObject = {"question": "When?", "documents": ["Closed.", "At six."], "oracle": 1, "answer": "At six."}
    told = page(item(RowKind.RAFT, raft), Desk(), total=1, told="", columns=80, rows=60, colour=False)
    assert {"document 1:", "document 2, which answers it:", "answer:"} <= set(told)
