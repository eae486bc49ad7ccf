"""What an interaction is worth as a lesson: every judgement counts, and a correction teaches the corrected answer."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.golden.samples import sample

from genomed.entities.experience_events import FeedbackGiven, InteractionCaptured
from genomed.entities.facts import BucketKey
from genomed.entities.forget_events import InteractionForgotten
from genomed.entities.interaction import (
    USABLE_ABOVE,
    FeedbackBody,
    Interaction,
    InteractionBody,
    evolve,
    right_answer,
)
from genomed.entities.rows import Message
from genomed.entities.types import FeedbackKind

KEY = BucketKey(persona_id="ada", domain="cooking", base_model="tiny")
BODY = InteractionBody(salt="s", input=(Message(role="user", content="Salt?"),), output="A spoon.")


def captured(*, expected: bool = False) -> InteractionCaptured:
    return InteractionCaptured(bucket_id="bkt-1", bucket=KEY, sha256="a" * 64, size_bytes=9, expected=expected)


def given_(
    kind: str,
    *,
    score: float | None = None,
    helpful: bool | None = None,
    corrected: bool = False,
    result_id: str | None = None,
    episode: str | None = None,
    same: bool = False,
) -> FeedbackGiven:
    return FeedbackGiven(
        feedback_id=f"fb-{kind}",
        kind=FeedbackKind(kind),
        sha256="b" * 64,
        size_bytes=9,
        score=score,
        helpful=helpful,
        corrected=corrected,
        result_id=result_id,
        episode=episode,
        same=same,
    )


def interaction(*feedback: FeedbackGiven, expected: bool = False) -> Interaction:
    made = evolve(None, captured(expected=expected), at_us=1)
    for n, one in enumerate(feedback, start=2):
        made = evolve(made, one, at_us=n)
    return made


def test_feedback_on_what_was_never_captured_is_refused() -> None:
    with pytest.raises(ValueError, match=r"opens with interaction\.captured"):
        evolve(None, sample(FeedbackGiven), at_us=0)


def test_an_interaction_is_captured_once() -> None:
    judged = interaction(given_("approval"))
    assert evolve(judged, captured(), at_us=9) == judged


def test_two_feedbacks_on_one_interaction_are_both_kept_in_order() -> None:
    both = interaction(given_("approval"), given_("critique"))
    assert [one.kind for one in both.feedback] == ["approval", "critique"]


def test_an_annotation_has_one_voice_the_latest_and_its_earlier_words_are_still_found_for_erasure() -> None:
    first, other = (replace(given_("approval"), annotation_id=own) for own in ("ann-1", "ann-2"))
    changed = replace(given_("critique"), annotation_id="ann-1", sha256="c" * 64)
    after = interaction(first, other, given_("score", score=0.8), changed)
    assert [one.kind for one in after.feedback] == ["approval", "score", "critique"]
    assert after.quality == pytest.approx(0.6)
    assert set(after.bodies) == {"a" * 64, "b" * 64, "c" * 64}
    assert after.superseded == ("b" * 64,)


@pytest.mark.parametrize(
    ("feedback", "quality"),
    [
        ((), None),
        ((given_("approval"),), 1.0),
        ((given_("critique"),), 0.0),
        ((given_("score", score=0.3),), 0.3),
        ((given_("approval", score=0.3),), 0.3),
        ((given_("suggestion"), given_("question")), None),
        ((given_("suggestion", helpful=True),), 1.0),
        ((given_("question", helpful=False),), 0.0),
        ((given_("approval"), given_("critique")), 0.5),
        ((given_("approval"), given_("score", score=0.4), given_("question")), 0.7),
        ((given_("critique"), given_("correction", corrected=True)), 1.0),
        ((given_("correction", corrected=True), given_("critique")), 1.0),
        ((given_("boolean", helpful=True), given_("boolean", helpful=False)), 0.5),
        ((given_("float", score=0.25),), 0.25),
        ((given_("float"), given_("comment")), None),
        ((given_("comment", score=0.1),), None),
        ((given_("demonstration", corrected=True),), 1.0),
        ((given_("boolean", helpful=False, result_id="doc-1"), given_("approval")), 1.0),
    ],
)
def test_quality_is_the_mean_of_what_judges_and_a_right_answer_counts_one(
    feedback: tuple[FeedbackGiven, ...], quality: float | None
) -> None:
    assert interaction(*feedback).quality == (None if quality is None else pytest.approx(quality))


def test_an_answer_that_was_expected_is_a_ready_lesson() -> None:
    assert interaction(given_("critique"), expected=True).quality == 1.0


@pytest.mark.parametrize(("score", "usable"), [(0.0, False), (0.499, False), (USABLE_ABOVE, True), (1.0, True)])
def test_a_low_score_is_not_trained_on(score: float, *, usable: bool) -> None:
    assert interaction(given_("score", score=score)).usable is usable


def test_what_nobody_judged_may_be_trained_on() -> None:
    assert interaction().usable


def test_the_latest_correction_is_the_one_that_counts() -> None:
    first, second = (given_("correction", corrected=True), given_("score", score=0.1, corrected=True))
    assert interaction().correction is None
    latest = interaction(first, given_("approval"), second).correction
    assert latest is not None
    assert latest.feedback_id == "fb-score"


@given(st.text(), st.text(), st.none() | st.text())
def test_a_correction_teaches_the_corrected_answer_never_the_complaint(
    complaint: str, corrected: str, expected: str | None
) -> None:
    body = InteractionBody(salt="s", input=BODY.input, output="A spoon.", expected_output=expected, thought=complaint)
    correction = FeedbackBody(salt="s", content=complaint, corrected_output=corrected)
    assert right_answer(body, correction) == corrected


@pytest.mark.parametrize("feedback", [None, FeedbackBody(salt="s", content="Too much!")])
def test_without_a_correction_the_expected_answer_teaches_and_else_the_given_one(feedback: FeedbackBody | None) -> None:
    expected = InteractionBody(salt="s", input=BODY.input, output="A spoon.", expected_output="A pinch.")
    assert (right_answer(BODY, feedback), right_answer(expected, feedback)) == ("A spoon.", "A pinch.")


@given(
    st.lists(
        st.builds(
            given_,
            st.sampled_from(FeedbackKind),
            score=st.none() | st.floats(0, 1),
            helpful=st.none() | st.booleans(),
            corrected=st.booleans(),
        ),
        max_size=8,
    )
)
def test_quality_is_a_share_of_one_or_unknown(feedback: list[FeedbackGiven]) -> None:
    judged = interaction(*feedback)
    assert judged.quality is None or 0 <= judged.quality <= 1 + 1e-9
    assert judged.usable == (judged.quality is None or judged.quality >= USABLE_ABOVE)
    assert len(judged.feedback) == len(feedback)


def test_a_session_judged_as_a_whole_has_an_outcome_beside_what_its_turns_are_worth() -> None:
    judged = interaction(given_("critique"), given_("boolean", helpful=True, episode="s-1"))
    assert (judged.outcome, judged.quality) == (1.0, 0.5)
    assert interaction(given_("approval")).outcome is None


@pytest.mark.parametrize(
    ("feedback", "paired"),
    [
        ((), False),
        ((given_("approval"), given_("critique")), False),
        ((given_("correction", corrected=True),), True),
        ((given_("correction", corrected=True, same=True),), False),
        ((given_("correction", corrected=True), given_("correction", corrected=True, same=True)), False),
    ],
)
def test_a_pair_needs_a_right_answer_that_is_another_one(feedback: tuple[FeedbackGiven, ...], paired: bool) -> None:
    assert interaction(*feedback).paired is paired


def test_a_search_is_never_a_lesson_of_chat_whatever_is_said_of_it() -> None:
    searched = evolve(None, replace(captured(), searched=True), at_us=1)
    judged = evolve(searched, given_("correction", corrected=True), at_us=2)
    assert (judged.usable, judged.approved, judged.rejected, judged.paired) == (False, False, False, False)


def test_what_was_forgotten_is_worth_nothing_any_more() -> None:
    gone = evolve(interaction(given_("correction", corrected=True)), InteractionForgotten(forget_id="fg-1"), at_us=9)
    assert (gone.usable, gone.approved, gone.rejected, gone.paired) == (False, False, False, False)


def test_when_it_happened_is_what_its_recording_says_and_else_when_it_was_told() -> None:
    assert interaction().happened_us == 1
    assert evolve(None, replace(captured(), happened_us=7), at_us=1).happened_us == 7


def test_events_that_an_older_version_wrote_fold_as_they_did() -> None:
    told = msgspec.json.decode(
        b'{"type":"interaction.captured","bucketId":"bkt-1","bucket":{"personaId":"ada","domain":"cooking",'
        b'"baseModel":"tiny"},"sha256":"a","sizeBytes":9,"expected":false,"sessionId":null}',
        type=InteractionCaptured,
    )
    judged = msgspec.json.decode(
        b'{"type":"interaction.feedback_given","feedbackId":"fb-1","kind":"score","sha256":"b","sizeBytes":9,"score":0.3,'
        b'"helpful":null,"corrected":false,"givenBy":null}',
        type=FeedbackGiven,
    )
    made = evolve(evolve(None, told, at_us=1), judged, at_us=2)
    assert (made.quality, made.searched, made.person_id, made.source) == (0.3, False, None, None)
