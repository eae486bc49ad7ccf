"""Slots of a provider: never more than there are, first come first served, and given back to whoever waits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.daemon.courier.slots import Slots


def test_without_a_limit_everybody_may_go() -> None:
    slots = Slots({})
    for job in ("a", "b", "c"):
        assert slots.may_take("simulated", job)
        slots.hold("simulated", job)
    assert slots.release("simulated", "a") == []


def test_who_asked_first_goes_first() -> None:
    slots = Slots({"local": 1})
    slots.hold("local", "running")
    assert [slots.may_take("local", job) for job in ("first", "second")] == [False, False]
    assert slots.release("local", "running") == ["first"]
    assert [slots.may_take("local", job) for job in ("second", "first")] == [False, True]


def test_asking_again_neither_loses_nor_gains_a_place() -> None:
    slots = Slots({"local": 1})
    assert [slots.may_take("local", job) for job in ("a", "b", "a", "b", "b")] == [True, False, True, False, False]


def test_who_holds_a_slot_keeps_it_however_many_wait() -> None:
    slots = Slots({"local": 1})
    slots.hold("local", "a")
    slots.may_take("local", "b")
    assert slots.may_take("local", "a")


def test_jobs_found_running_at_start_hold_their_slots_beyond_the_limit() -> None:
    slots = Slots({"local": 1})
    slots.hold("local", "a")
    slots.hold("local", "b")
    assert not slots.may_take("local", "c")
    assert slots.release("local", "a") == []
    assert slots.release("local", "b") == ["c"]


def test_a_job_that_gives_up_waiting_makes_room_for_the_next() -> None:
    slots = Slots({"local": 1})
    assert slots.may_take("local", "a")
    assert not slots.may_take("local", "b")
    assert slots.release("local", "a") == ["b"]


def test_providers_do_not_wait_for_each_other() -> None:
    slots = Slots({"local": 1, "cloud": 1})
    slots.hold("local", "a")
    assert slots.may_take("cloud", "b")


@pytest.mark.parametrize("job", ["a", "never seen"])
def test_giving_back_twice_is_harmless(job: str) -> None:
    slots = Slots({"local": 1})
    slots.hold("local", "a")
    slots.release("local", job)
    slots.release("local", job)
    slots.hold("local", "b")
    assert not slots.may_take("local", "c")


MOVES = st.lists(st.tuples(st.sampled_from(["ask", "release"]), st.sampled_from("abcdef")), max_size=60)


@given(st.integers(1, 3), MOVES)
def test_there_are_never_more_runners_than_slots_and_never_a_free_slot_with_somebody_waiting(
    limit: int, moves: list[tuple[str, str]]
) -> None:
    slots, running, waiting = Slots({"local": limit}), set[str](), list[str]()
    for move, job in moves:
        called: list[str] = []
        if move == "release":
            running.discard(job)
            waiting = [one for one in waiting if one != job]
            called = slots.release("local", job)
            assert called == waiting[: limit - len(running)]
        for one in called or ([job] if move == "ask" else []):
            if slots.may_take("local", one):
                slots.hold("local", one)
                running.add(one)
                waiting = [other for other in waiting if other != one]
            elif one not in waiting:
                waiting.append(one)
        assert len(running) <= limit
        assert not waiting or len(running) == limit
