"""Searches become triplets: what was clicked or rated well against what was shown and left."""

import pytest
from tests.curation.conversion.deeds import Verdict, did, judged, lessons, threes, user

from genomed.curation.conversion.material import Material
from genomed.curation.conversion.options import Negatives, TripletsOptions, options_of
from genomed.entities.errors import InvalidRequest
from genomed.entities.rows import Message
from genomed.entities.trace import SearchResult

TOP = TripletsOptions()


def results(*scores: float | None) -> list[SearchResult]:
    return [SearchResult(id=f"r{n}", content=f"text {n}", score=score) for n, score in enumerate(scores)]


def clicked(number: int) -> Verdict:
    return judged("boolean", helpful=True, metric="click", result_id=f"r{number}")


def rated(number: int, score: float) -> Verdict:
    return judged("float", score=score, metric="relevance", result_id=f"r{number}")


def search(*feedback: Verdict, shown: list[SearchResult], number: int = 1, said: str = "salt") -> Material:
    return did(number, *feedback, said=said, output="", results=shown)


def test_a_clicked_result_stands_against_the_first_five_others_in_the_order_shown() -> None:
    made, left_out = lessons(TOP, search(clicked(2), shown=results(*[None] * 8)))
    assert threes(made) == [("salt", "text 2", tuple(f"text {n}" for n in (0, 1, 3, 4, 5)))]
    assert left_out == {}


@pytest.mark.parametrize(("score", "rows"), [(0.69, 0), (0.7, 1), (1.0, 1)])
def test_a_result_rated_well_enough_is_a_positive(score: float, rows: int) -> None:
    assert len(lessons(TOP, search(rated(0, score), shown=results(1, 2)))[0]) == rows


def test_a_rating_says_more_than_a_click() -> None:
    made, left_out = lessons(TOP, search(clicked(0), rated(0, 0.2), shown=results(1, 2)))
    assert (made, left_out) == ([], {"unjudged": 1})


def test_what_somebody_clicked_or_found_half_good_is_no_negative() -> None:
    shown = results(*[None] * 4)
    made, _ = lessons(TOP, search(clicked(0), rated(1, 0.5), clicked(2), rated(2, 0.1), shown=shown))
    assert threes(made) == [("salt", "text 0", ("text 3",))]


def test_above_the_threshold_are_those_that_scored_more_than_the_median_of_the_others() -> None:
    options = TripletsOptions(negatives=Negatives.ABOVE_THRESHOLD)
    made, _ = lessons(options, search(clicked(0), shown=results(0.99, 0.9, 0.5, 0.4, None, 0.8)))
    assert threes(made) == [("salt", "text 0", ("text 1", "text 5"))]


def test_random_negatives_are_drawn_with_the_seed_and_the_same_every_time() -> None:
    deed = search(clicked(0), shown=results(*[None] * 40))

    def drawn(seed: int) -> tuple[str, ...]:
        [(_, _, negatives)] = threes(lessons(TripletsOptions(negatives=Negatives.RANDOM, seed=seed), deed)[0])
        return negatives

    assert drawn(1) == drawn(1) != drawn(2)
    assert len(set(drawn(1))) == 5


def test_an_unknown_strategy_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest) as refused:
        options_of("triplets", {"negatives": "hardest", "topK": 3})
    assert [problem.field for problem in refused.value.details] == ["options.negatives", "options.topK"]
    with pytest.raises(InvalidRequest) as refused:
        options_of("quintuplets", {})
    assert refused.value.details[0].field == "method"


def test_a_result_without_its_text_is_left_out_and_never_stands_as_its_id_unasked() -> None:
    bare = [SearchResult(id="r0"), SearchResult(id="r1", content="text 1"), SearchResult(id="r2")]
    made, left_out = lessons(TOP, search(clicked(1), shown=bare))
    assert (made, left_out) == ([], {"no_content": 2, "no_negatives": 1})
    made, left_out = lessons(TripletsOptions(bare_ids=True), search(clicked(1), shown=bare))
    assert (threes(made), left_out) == ([("salt", "text 1", ("r0", "r2"))], {})


def test_each_positive_is_one_row_with_all_negatives_or_one_row_each() -> None:
    deed = search(clicked(0), clicked(1), shown=results(*[None] * 4))
    whole, _ = lessons(TOP, deed)
    assert threes(whole) == [("salt", f"text {n}", ("text 2", "text 3")) for n in (0, 1)]
    exploded, _ = lessons(TripletsOptions(exploded=True), deed)
    assert threes(exploded) == [("salt", f"text {n}", (f"text {m}",)) for n in (0, 1) for m in (2, 3)]
    assert {one.group for one in exploded} == {"int-1"}


def test_the_same_text_under_two_ids_is_no_negative_of_itself() -> None:
    twice = [SearchResult(id="r0", content="same"), SearchResult(id="r1", content="same")]
    assert lessons(TOP, search(clicked(0), shown=twice)) == ([], {"no_negatives": 1})


def test_a_search_without_a_good_result_or_without_words_is_counted_and_an_answer_is_not_looked_at() -> None:
    gone = did(2, results=results(1, 2), erased=True)
    assert lessons(TOP, search(shown=results(1)), gone, did(3)) == ([], {"unjudged": 1, "erased": 1})


def test_the_anchor_is_what_the_user_asked_last() -> None:
    said = (user("hello"), Message(role="assistant", content="hi"), user("salt"))
    deed = did(1, clicked(0), said=said, output="", results=results(1, 2))
    assert threes(lessons(TOP, deed)[0])[0][0] == "salt"
