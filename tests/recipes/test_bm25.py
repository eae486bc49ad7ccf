"""Lexical search, against the formula and by its laws."""

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.recipes._bm25 import K1, B, Bm25, words

word = st.sampled_from(["ship", "sea", "harbour", "lamp", "cat", "tree"])
text = st.lists(word, max_size=12).map(" ".join)
texts = st.lists(text, min_size=1, max_size=8)


def by_the_formula(told: list[str], query: str, place: int) -> float:
    """Straight from the paper, text by text."""
    split = [one.split() for one in told]
    mean = sum(map(len, split)) / len(split)
    total = 0.0
    for asked in query.split():
        count = split[place].count(asked)
        having = sum(asked in one for one in split)
        rarity = math.log(1 + (len(split) - having + 0.5) / (having + 0.5))
        total += rarity * count * (K1 + 1) / (count + K1 * (1 - B + B * len(split[place]) / mean)) if count else 0.0
    return total


@given(texts, text)
def test_scores_are_those_of_the_formula(told: list[str], query: str) -> None:
    scores = Bm25(told).scores(query)
    assert all(scores.get(n, 0.0) == pytest.approx(by_the_formula(told, query, n)) for n in range(len(told)))


@given(texts, text)
def test_only_texts_that_share_a_word_are_found_and_all_score_above_nothing(told: list[str], query: str) -> None:
    scores = Bm25(told).scores(query)
    sharing = {n for n, one in enumerate(told) if set(one.split()) & set(query.split())}
    assert set(scores) == sharing
    assert all(score > 0 for score in scores.values())


@given(texts, text, st.integers(min_value=0, max_value=8))
def test_fewer_are_the_first_of_more_and_none_comes_twice(told: list[str], query: str, count: int) -> None:
    index = Bm25(told)
    found = index.best(query, len(told))
    assert index.best(query, count) == found[:count]
    assert len(set(found)) == len(found)
    scores = index.scores(query)
    assert [scores[place] for place in found] == sorted(scores.values(), reverse=True)


@given(texts, text, st.randoms(use_true_random=False))
def test_the_order_of_the_words_of_a_question_changes_nothing(told: list[str], query: str, draw: object) -> None:
    mixed = query.split()
    draw.shuffle(mixed)  # type: ignore[attr-defined]
    one, other = Bm25(told).scores(query), Bm25(told).scores(" ".join(mixed))
    assert one == pytest.approx(other)


@given(texts, text)
def test_every_text_twice_ranks_as_once(told: list[str], query: str) -> None:
    once = Bm25(told).scores(query)
    twice = Bm25([*told, *told]).scores(query)
    assert {place % len(told) for place in twice} == set(once)
    assert all(twice[place] == pytest.approx(twice[place + len(told)]) for place in once)


def test_a_rare_word_weighs_more_than_a_common_one_and_a_short_text_more_than_a_long_one() -> None:
    index = Bm25(["cat sea", "cat tree", "cat tree tree tree lamp lamp lamp", "cat cat"])
    assert index.best("sea cat", 1) == [0]
    assert index.best("cat", 1) == [3]
    assert Bm25(["ship", "ship sea sea sea"]).best("ship", 2) == [0, 1]


@pytest.mark.parametrize("told", [[], [""], ["...", "!!!"]])
def test_nothing_to_search_finds_nothing(told: list[str]) -> None:
    assert Bm25(told).best("ship", 5) == []


def test_case_and_the_way_an_accent_is_written_do_not_count() -> None:
    composed, apart = "Café", unicodedata.normalize("NFD", "Café")
    assert words(composed) == words(apart) == ["café"]
    assert Bm25([apart, "tea"]).best("CAFÉ", 5) == [0]
