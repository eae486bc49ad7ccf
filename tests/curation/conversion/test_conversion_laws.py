"""What holds of every conversion, whatever was done: nothing unjudged, nothing identical, all of it counted."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.curation.conversion.deeds import Verdict, did, judged

from genomed.curation.conversion import ROW_KINDS, convert
from genomed.curation.conversion.material import Material, own_answer
from genomed.curation.conversion.options import (
    LabelledOptions,
    Method,
    Negatives,
    Options,
    PreferenceOptions,
    SessionsOptions,
    SftOptions,
    TripletsOptions,
    options_of,
)
from genomed.curation.conversion.tally import Tally
from genomed.entities.row_fitness import unfit
from genomed.entities.rows import ChatRow, LabelledRow, PreferenceRow, Row, TripletRow, kind_of
from genomed.entities.trace import SearchResult
from genomed.entities.types import FeedbackKind

WORDS = st.sampled_from(["A spoon.", "A pinch.", "None.", " ", "Salt?"])
SHARES = st.floats(0, 1)
RESULTS = st.lists(
    st.builds(
        SearchResult,
        id=st.sampled_from(["r0", "r1", "r2", "r3"]),
        content=st.none() | WORDS,
        score=st.none() | SHARES,
    ),
    max_size=5,
    unique_by=lambda one: one.id,
)
EDITING = {FeedbackKind.CORRECTION, FeedbackKind.DEMONSTRATION}


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    kind = draw(st.sampled_from(FeedbackKind))
    return judged(
        kind,
        edit=draw(WORDS) if kind in EDITING else None,
        score=draw(st.none() | SHARES),
        helpful=draw(st.none() | st.booleans()),
        result_id=draw(st.sampled_from([None, "r0", "r1"])) if kind not in EDITING else None,
        episode=draw(st.sampled_from([None, "s-1"])),
    )


@st.composite
def deeds(draw: st.DrawFn) -> list[Material]:
    return [
        did(
            number,
            *draw(st.lists(verdicts(), max_size=3)),
            said=draw(WORDS),
            output=draw(WORDS),
            expected=draw(st.none() | WORDS),
            session=draw(st.sampled_from([None, "", "unknown", "s-1", "s-2"])),
            results=draw(st.none() | RESULTS),
            erased=draw(st.integers(0, 9)) == 0,
            happened_us=draw(st.none() | st.integers(0, 9)),
        )
        for number in range(draw(st.integers(0, 8)))
    ]


OPTIONS: st.SearchStrategy[Options] = st.one_of(
    st.builds(SftOptions, unjudged=st.booleans()),
    st.builds(SessionsOptions, unjudged=st.booleans(), whole_only=st.booleans(), fewest_turns=st.integers(1, 3)),
    st.builds(PreferenceOptions, all_pairs=st.booleans()),
    st.builds(LabelledOptions),
    st.builds(TripletsOptions, negatives=st.sampled_from(Negatives), exploded=st.booleans(), bare_ids=st.booleans()),
)


def made(found: Sequence[Material], options: Options) -> list[tuple[Row, Sequence[Material]]]:
    """Each row with the interactions that it names as its own."""
    by_id = {one.interaction_id: one for one in found}
    lessons = convert(found, options, Tally("m"))
    return [(lesson.row, [by_id[origin] for origin in lesson.all_origins]) for lesson in lessons]


@given(deeds(), OPTIONS)
def test_every_row_can_be_trained_on_and_its_words_are_there(found: list[Material], options: Options) -> None:
    for row, sources in made(found, options):
        assert not unfit(row)
        assert all(one.body is not None and not one.interaction.forgotten for one in sources)


@given(deeds(), OPTIONS)
def test_without_asking_no_row_comes_from_what_nobody_judged(found: list[Material], options: Options) -> None:
    if isinstance(options, SftOptions | SessionsOptions) and options.unjudged:
        return
    for row, sources in made(found, options):
        match row:
            case TripletRow():
                assert any(record.result_id for record in sources[0].interaction.feedback)
            case _:
                assert any(one.interaction.quality is not None for one in sources)


@given(deeds(), st.booleans())
def test_what_was_judged_poor_is_never_learned(found: list[Material], unjudged: bool) -> None:
    for row, [source] in made(found, SftOptions(unjudged=unjudged)):
        assert isinstance(row, ChatRow)
        assert source.interaction.usable
    for row, sources in made(found, SessionsOptions(unjudged=unjudged)):
        assert isinstance(row, ChatRow)
        answers = [one for one in row.messages if one.role == "assistant"]
        assert len(answers) == len(sources)
        for answer, source in zip(answers, sources, strict=True):
            assert answer.weight == 0 or source.interaction.usable


@given(deeds(), st.booleans())
def test_no_pair_is_identical_and_each_rejects_what_the_persona_said(
    found: list[Material],
    all_pairs: bool,
) -> None:
    for row, [source] in made(found, PreferenceOptions(all_pairs=all_pairs)):
        assert isinstance(row, PreferenceRow)
        assert source.body is not None
        assert row.chosen != row.rejected == (own_answer(source.body),)


@given(deeds())
def test_a_labelled_row_is_what_the_persona_said_as_all_its_judges_marked_it(found: list[Material]) -> None:
    for row, [source] in made(found, LabelledOptions()):
        assert isinstance(row, LabelledRow)
        assert source.body is not None
        assert row.completion == (own_answer(source.body),)
        marks = [one.mark for one in source.interaction.feedback if one.result_id is None and one.mark is not None]
        assert {mark >= 0.5 for mark in marks} == {row.label}


@given(deeds(), OPTIONS)
def test_rows_of_one_session_are_one_group(found: list[Material], options: Options) -> None:
    by_id = {one.interaction_id: one for one in found}
    for lesson in convert(found, options, Tally("m")):
        sessions = {by_id[origin].interaction.session_id for origin in lesson.all_origins}
        assert len(sessions) == 1
        assert lesson.group == (sessions.pop() or lesson.origin)


@given(deeds())
def test_a_session_is_at_most_one_row(found: list[Material]) -> None:
    sessions = [sources[0].interaction.session_id for _, sources in made(found, SessionsOptions(unjudged=True))]
    assert len(sessions) == len(set(sessions))
    assert {None, "", "unknown"}.isdisjoint(sessions)


@given(deeds(), st.booleans())
def test_every_interaction_is_a_row_or_is_counted_once(found: list[Material], unjudged: bool) -> None:
    for options in (SftOptions(unjudged=unjudged), PreferenceOptions(), LabelledOptions()):
        tally = Tally("m")
        rows = list(convert(found, options, tally))
        whole, *left_out = tally.steps()
        assert (whole.examined, whole.changed) == (len(found), len(rows))
        assert len(rows) + sum(step.removed for step in left_out) == len(found)


@given(deeds())
def test_what_the_log_counts_as_approved_and_as_pairs_is_what_becomes_rows(found: list[Material]) -> None:
    here = [one for one in found if one.body is not None]
    for options, counted in (
        (SftOptions(), sum(one.interaction.approved for one in here)),
        (PreferenceOptions(), sum(one.interaction.paired for one in here)),
        (LabelledOptions(), sum(one.interaction.labelled is not None for one in here)),
    ):
        tally = Tally("m")
        rows = list(convert(here, options, tally))
        assert counted == len(rows) + tally.count("unfit")


@given(deeds(), OPTIONS)
def test_the_same_interactions_give_the_same_rows(found: list[Material], options: Options) -> None:
    assert made(found, options) == made(found, options)


@given(deeds())
def test_each_method_gives_its_own_kind_of_row(found: list[Material]) -> None:
    for method, kind in ROW_KINDS.items():
        for row, _ in made(found, options_of(method, {})):
            assert kind_of(row) is kind
    assert set(ROW_KINDS) == set(Method)


@pytest.mark.parametrize(("made", "said"), [(0, "0 rows were made"), (1, "1 row was made"), (2, "2 rows were made")])
def test_the_opening_step_says_how_many_rows_there_are_in_plain_words(made: int, said: str) -> None:
    tally = Tally("sft")
    tally.made = made
    assert tally.steps()[0].note == said
