"""Which method there is enough for: pairs first, then approved examples, then triplets, else what is missing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.daemon.recipe_engine.table import RecipeTable
from genomed.entities.method_choice import (
    ORDER,
    RECIPES_FOR,
    ROW_KIND_OF,
    Method,
    MethodCounts,
    MethodTargets,
    choose_method,
)

COUNTS = st.builds(MethodCounts, approved=st.integers(0, 300), pairs=st.integers(0, 100), triplets=st.integers(0, 400))
TARGETS = st.builds(MethodTargets, approved=st.integers(1, 99), pairs=st.integers(1, 99), triplets=st.integers(1, 99))


@pytest.mark.parametrize(
    ("counts", "method", "confidence"),
    [
        (MethodCounts(pairs=20), Method.DPO, 0.5),
        (MethodCounts(pairs=30), Method.DPO, 0.75),
        (MethodCounts(pairs=400), Method.DPO, 1.0),
        (MethodCounts(pairs=20, approved=500), Method.DPO, 0.5),
        (MethodCounts(pairs=19, approved=50), Method.SFT, 0.5),
        (MethodCounts(approved=80), Method.SFT, 0.8),
        (MethodCounts(approved=49, triplets=100), Method.EMBEDDING, 0.5),
        (MethodCounts(approved=49, pairs=19, triplets=99), Method.INSUFFICIENT, 1.0),
        (MethodCounts(), Method.INSUFFICIENT, 1.0),
    ],
)
def test_the_first_method_with_enough_is_chosen(counts: MethodCounts, method: Method, confidence: float) -> None:
    choice = choose_method(counts)
    assert choice.method is method
    assert choice.confidence == pytest.approx(confidence)
    assert choice.ready == (method is not Method.INSUFFICIENT)
    assert choice.row_kind == ROW_KIND_OF.get(method)


def test_what_is_missing_is_said_in_numbers_with_the_recipes_that_could_fill_it() -> None:
    choice = choose_method(MethodCounts(pairs=19, approved=12))
    assert choice.missing == (
        "dpo needs 1 more preference pair (19 of 20): answers that were corrected into something else",
        "sft needs 38 more approved examples (12 of 50): answers that were approved, corrected or scored 0.5 or better",
        "embedding needs 100 more triplets (0 of 100): searches in which a result was clicked or rated 0.7 or better",
    )
    assert set(choice.recipes) == {name for names in RECIPES_FOR.values() for name in names}


def test_which_recipes_there_are_is_told_by_the_caller() -> None:
    choice = choose_method(MethodCounts(), recipes={Method.SFT: ("my.own",)})
    assert choice.recipes == ("my.own",)
    assert [one.recipes for one in choice.progress] == [(), ("my.own",), ()]


def test_a_method_with_enough_misses_nothing() -> None:
    choice = choose_method(MethodCounts(pairs=20))
    assert (choice.missing, choice.recipes) == ((), ())
    assert [(one.method, one.progress, one.missing is None) for one in choice.progress] == [
        (Method.DPO, 1.0, True),
        (Method.SFT, 0.0, False),
        (Method.EMBEDDING, 0.0, False),
    ]


def test_only_the_methods_that_come_into_question_are_looked_at() -> None:
    choice = choose_method(MethodCounts(pairs=99, triplets=3), among=(Method.EMBEDDING,))
    assert (choice.method, [one.method for one in choice.progress]) == (Method.INSUFFICIENT, [Method.EMBEDDING])


@given(COUNTS, TARGETS)
def test_status_and_choice_never_disagree(counts: MethodCounts, targets: MethodTargets) -> None:
    choice = choose_method(counts, targets=targets)
    ready = [one for one in choice.progress if one.ready]
    assert [one.method for one in choice.progress] == list(ORDER)
    assert choice.method is (ready[0].method if ready else Method.INSUFFICIENT)
    assert all((one.progress == 1.0) == one.ready == (one.missing is None) for one in choice.progress)
    assert all(0 <= one.progress <= 1 for one in choice.progress)
    assert 0.5 <= choice.confidence <= 1
    assert bool(choice.missing) == (not choice.ready)


@given(COUNTS, TARGETS)
def test_more_experience_never_makes_a_ready_choice_unready(counts: MethodCounts, targets: MethodTargets) -> None:
    more = MethodCounts(approved=counts.approved + 1, pairs=counts.pairs + 1, triplets=counts.triplets + 1)
    if choose_method(counts, targets=targets).ready:
        assert choose_method(more, targets=targets).ready


def test_every_recipe_that_is_named_is_one_of_ours() -> None:
    named = {name for names in RECIPES_FOR.values() for name in names}
    assert named <= set(RecipeTable().names())
