"""Near duplicates meet under a key, are compared by what they share, and are the same pairs on every machine."""

import os
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomed.curation.cleaning.near_duplicates import (
    BINS,
    WINDOW_CHARACTERS,
    WINDOWS,
    bins_per_band_for,
    meeting_keys,
    parts,
    shingles,
    similarity,
)
from genomed.entities.rows import (
    ChatRow,
    LabelledRow,
    Message,
    PreferenceRow,
    RaftRow,
    RankingRow,
    RecordRow,
    Row,
    TripletRow,
    VectorPairRow,
)
from tests.daemon.dataset_bench import VOCABULARY, lesson, nearly, prose

TEXTS = st.lists(st.sampled_from(VOCABULARY), max_size=60).map(" ".join)


def chat_row(question: str, answer: str = "yes") -> Row:
    return lesson(question, answer).row


@settings(max_examples=60)
@given(TEXTS, TEXTS)
def test_similarity_is_the_jaccard_of_runs_of_three_words(one: str, other: str) -> None:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return {tuple(words[n : n + 3]) for n in range(max(1, len(words) - 2))} if words else set()

    union = runs(one) | runs(other)
    wanted = len(runs(one) & runs(other)) / len(union) if union else 1.0
    assert similarity(shingles(chat_row(one)), shingles(chat_row(other))) == pytest.approx(wanted)


@pytest.mark.parametrize("wanted", [0.5, 0.8, 0.9, 0.95, 1.0])
def test_rows_that_are_similar_enough_meet_nearly_always(wanted: float) -> None:
    draw = random.Random(3)
    bins = bins_per_band_for(wanted)
    met = pairs = 0
    for n in range(400):
        text = prose(n, 80 + n)
        other = text
        for _ in range(draw.randrange(4)):
            other = nearly(other, draw.randrange(10**6))
        one, two = shingles(chat_row(text)), shingles(chat_row(other))
        if similarity(one, two) >= wanted:
            pairs += 1
            met += not set(meeting_keys(one, bins)).isdisjoint(meeting_keys(two, bins))
    assert pairs > 50
    assert met >= 0.99 * pairs


def test_rows_that_have_little_in_common_hardly_meet() -> None:
    bins = bins_per_band_for(0.9)
    keys = [set(meeting_keys(shingles(chat_row(prose(n, 100))), bins)) for n in range(200)]
    assert sum(not one.isdisjoint(other) for n, one in enumerate(keys) for other in keys[:n]) == 0


def test_more_similar_rows_are_asked_to_share_more_in_one_band() -> None:
    asked = [bins_per_band_for(wanted) for wanted in (0.1, 0.5, 0.8, 0.9, 1.0)]
    assert asked == sorted(asked)
    assert (asked[0], asked[-1]) == (1, BINS)


def test_every_part_must_be_alike() -> None:
    text, other = prose("x"), prose("y")
    assert similarity(shingles(chat_row(text, text)), shingles(chat_row(text, text))) == 1
    assert similarity(shingles(chat_row(text, text)), shingles(chat_row(text, other))) == pytest.approx(0, abs=0.1)


def test_a_shared_system_turn_makes_nothing_alike_and_parts_are_told_apart() -> None:
    def with_system(question: str) -> Row:
        system = Message(role="system", content=prose("rules", 400))
        turns = (Message(role="user", content=question), Message(role="assistant", content="ok"))
        return ChatRow(messages=(system, *turns))

    assert similarity(shingles(with_system("one")), shingles(with_system("two"))) == 0
    swapped = similarity(shingles(chat_row("a b c", "d e f")), shingles(chat_row("d e f", "a b c")))
    assert swapped == 0


def test_a_row_without_words_meets_nobody() -> None:
    empty = shingles(VectorPairRow(input=(1.0,), target=(2.0,)))
    assert meeting_keys(empty, 7) == []
    assert similarity(empty, empty) == 0


def test_every_kind_of_row_has_its_parts() -> None:
    turn = (Message(role="user", content="q"),)
    answer = (Message(role="assistant", content="a"),)
    assert parts(PreferenceRow(prompt=turn, chosen=answer, rejected=turn)) == ("q", "a", "q")
    assert parts(LabelledRow(prompt=turn, completion=answer, label=False)) == ("q", "a", "False")
    assert parts(RaftRow(question="q", documents=("d", "e"), answer="a")) == ("q", "d\ne", "a")
    assert parts(TripletRow(anchor="a", positive="p", negatives=("n", "m"))) == ("a", "p", "n\nm")
    assert parts(RankingRow(query="q", document="d", label=0.5)) == ("q", "d", "0.500")
    assert parts(RecordRow(task="t", data={"b": 1, "a": "x"})) == ("t", '{"a":"x","b":1}')


def test_a_text_without_spaces_is_compared_sign_by_sign() -> None:
    one = "今日は天気がいいので散歩に行きましょうと彼女は言いましたが私は本を読みたかった"
    assert 0.5 < similarity(shingles(chat_row(one)), shingles(chat_row(one.replace("散歩", "買物")))) < 1


def test_words_are_told_the_same_way_with_and_without_other_letters() -> None:
    plain, accented = shingles(chat_row("Hello, World! a_b 3 (x)")), shingles(chat_row("hello world A_B 3 x: é"))
    assert plain[0] < accented[0]


def test_of_a_very_long_text_a_bounded_part_is_looked_at_and_a_changed_word_leaves_it_alike() -> None:
    text = prose("long", 400_000)
    found = shingles(chat_row(text))
    assert sum(map(len, found)) <= WINDOWS * WINDOW_CHARACTERS / 4
    assert similarity(found, shingles(chat_row("first " + text))) > 0.9
    assert similarity(found, shingles(chat_row(prose("other", 400_000)))) < 0.5


def test_keys_are_the_same_whatever_the_hash_seed_of_the_interpreter() -> None:
    code = (
        "from genomed.curation.cleaning.near_duplicates import *\n"
        "from genomed.entities.rows import TripletRow\n"
        "row = TripletRow(anchor='a b c d é', positive='f g h i', negatives=('j k l',))\n"
        "print(meeting_keys(shingles(row), 7))\n"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "random")
    }
    assert len(told) == 1
