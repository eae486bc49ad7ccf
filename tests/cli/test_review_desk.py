"""What keys mean at the review desk, without a terminal and without a daemon."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.cli.review_desk import AskAgain, Decide, Desk, Edit, Look, Quit, TakeBack, meant, summary
from genomed.entities.review_decision import Decision

DESK = Desk(queue=("itm-1", "itm-2", "itm-3"))
KEYS = [*"aregsbujkq?x \x04", "up", "down", "left", "right", "page up", "page down", "", "é"]


def test_a_and_r_decide_the_row_that_is_looked_at() -> None:
    assert meant(DESK, "a") == Decide(item_id="itm-1", decision=Decision.APPROVE, reverse=False)
    assert meant(Desk(queue=DESK.queue, at=2), "r") == Decide(item_id="itm-3", decision=Decision.REJECT, reverse=False)


def test_g_asks_first_and_e_edits() -> None:
    assert meant(DESK, "g") == AskAgain(item_id="itm-1", reverse=False)
    assert meant(DESK, "e") == Edit(item_id="itm-1", reverse=False)


def test_a_row_decided_in_this_sitting_is_decided_otherwise_on_purpose() -> None:
    back = meant(DESK.decided("itm-1", Decision.APPROVE), "b")
    assert isinstance(back, Look)
    assert meant(back.desk, "r") == Decide(item_id="itm-1", decision=Decision.REJECT, reverse=True)
    assert meant(back.desk, "e") == Edit(item_id="itm-1", reverse=True)


@pytest.mark.parametrize("key", ["s", " ", "right"])
def test_skipping_decides_nothing_and_goes_on_to_the_end_and_no_further(key: str) -> None:
    desk = DESK
    for at in (1, 2, 3, 3):
        look = meant(desk, key)
        assert isinstance(look, Look)
        desk = look.desk
        assert desk.at == at
    assert desk.current is None
    assert desk.done == ()


def test_back_stops_at_the_first() -> None:
    look = meant(DESK, "b")
    assert look == Look(desk=DESK, told="this is the first")


def test_undo_takes_back_the_newest_decision_and_returns_to_its_row() -> None:
    desk = DESK.decided("itm-1", Decision.APPROVE).decided("itm-2", Decision.REJECT)
    assert meant(desk, "u") == TakeBack(item_id="itm-2")
    desk = desk.taken_back("itm-2")
    assert desk.current == "itm-2"
    assert meant(desk, "u") == TakeBack(item_id="itm-1")
    assert meant(desk.taken_back("itm-1"), "u") == Look(desk=desk.taken_back("itm-1"), told="nothing to undo")


def test_at_the_end_nothing_can_be_decided_and_undo_still_works() -> None:
    desk = Desk(queue=("itm-1",)).decided("itm-1", Decision.APPROVE)
    for key in "arge":
        look = meant(desk, key)
        assert isinstance(look, Look)
        assert look.told
    assert meant(desk, "u") == TakeBack(item_id="itm-1")


def test_rows_that_come_later_wait_behind_the_known_ones_once() -> None:
    desk = DESK.with_more(("itm-2", "itm-4")).with_more(("itm-4",))
    assert desk.queue == ("itm-1", "itm-2", "itm-3", "itm-4")


def test_any_key_leaves_the_help_and_does_nothing_else() -> None:
    look = meant(DESK, "?")
    assert isinstance(look, Look)
    assert look.desk.helping
    for key in KEYS:
        assert meant(look.desk, key) == Look(desk=DESK)


def test_leaving_is_q_or_the_end_of_input() -> None:
    assert meant(DESK, "q") == meant(DESK, "\x04") == Quit()


def test_a_key_without_meaning_is_said_to_have_none() -> None:
    look = meant(DESK, "x")
    assert isinstance(look, Look)
    assert look.desk == DESK
    assert "'x'" in look.told


@given(st.lists(st.sampled_from(KEYS), max_size=40))
def test_whatever_is_pressed_the_desk_stays_in_its_queue_and_remembers_each_row_once(keys: list[str]) -> None:
    desk = DESK
    for key in keys:
        wish = meant(desk, key)
        match wish:
            case Look():
                desk = wish.desk
            case Decide():
                assert wish.item_id == desk.current
                desk = desk.decided(wish.item_id, wish.decision)
            case AskAgain() | Edit():
                assert wish.item_id == desk.current
                decision = Decision.REGENERATE if isinstance(wish, AskAgain) else Decision.APPROVE
                desk = desk.decided(wish.item_id, decision, corrected=isinstance(wish, Edit))
            case TakeBack():
                assert wish.item_id == desk.done[-1].item_id
                desk = desk.taken_back(wish.item_id)
            case Quit():
                break
        assert 0 <= desk.at <= len(desk.queue)
        assert desk.scroll >= 0
        assert len({done.item_id for done in desk.done}) == len(desk.done) <= len(desk.queue)


def test_the_summary_counts_what_stood_in_the_end() -> None:
    desk = DESK.decided("itm-1", Decision.APPROVE, corrected=True).decided("itm-2", Decision.REJECT)
    desk = desk.decided("itm-2", Decision.REGENERATE).decided("itm-3", Decision.APPROVE)
    assert summary(desk, 7) == "2 approved, 1 to be made again, 1 of them corrected; 7 still waiting"
    assert summary(DESK, 3) == "nothing decided; 3 still waiting"
