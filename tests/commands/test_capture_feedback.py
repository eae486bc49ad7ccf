"""capture-feedback keeps every judgement; a correction is what is learned, the complaint never is."""

import pytest
from tests.daemon.daemon_rig import Json, Rig

from genomed.entities.experience_events import FeedbackGiven

RESULTS = [{"id": f"doc-{n}", "content": f"text {n}", "score": 1 - n / 10} for n in range(4)]


async def captured(rig: Rig) -> str:
    return str((await rig.capture(1))["interactionId"])


async def test_two_judgements_of_one_interaction_are_both_kept(quiet: Rig) -> None:
    one = await captured(quiet)
    first = await quiet.call("capture-feedback", {"interactionId": one, "kind": "approval"})
    second = await quiet.call("capture-feedback", {"interactionId": one, "kind": "score", "score": 0.5})
    assert (first["quality"], second["quality"]) == (1.0, 0.75)
    assert await quiet.types(f"interaction/{one}") == [
        "interaction.captured",
        "interaction.feedback_given",
        "interaction.feedback_given",
    ]


@pytest.mark.parametrize(
    ("judgement", "quality", "usable"),
    [
        ({"kind": "approval"}, 1.0, True),
        ({"kind": "critique", "content": "wrong"}, 0.0, False),
        ({"kind": "score", "score": 0.4}, 0.4, False),
        ({"kind": "correction", "correctedOutput": "two"}, 1.0, True),
        ({"kind": "suggestion", "content": "be shorter"}, None, True),
        ({"kind": "question", "content": "why?"}, None, True),
        ({"kind": "question", "content": "why?", "helpful": False}, 0.0, False),
        ({"kind": "boolean", "value": True}, 1.0, True),
        ({"kind": "boolean", "metric": "solved", "value": False}, 0.0, False),
        ({"kind": "float", "metric": "stars", "value": 4, "valueMin": 1, "valueMax": 5}, 0.75, True),
        ({"kind": "float", "metric": "stars", "value": 1.5, "valueMin": 1, "valueMax": 5}, 0.125, False),
        ({"kind": "float", "metric": "latency_s", "value": 12.5}, None, True),
        ({"kind": "comment", "content": "terrible"}, None, True),
        ({"kind": "demonstration", "correctedOutput": "two"}, 1.0, True),
    ],
)
async def test_what_a_judgement_means_for_the_lesson(
    quiet: Rig, judgement: Json, quality: float | None, usable: bool
) -> None:
    given = await quiet.call("capture-feedback", {"interactionId": await captured(quiet), **judgement})
    assert (given["quality"], given["usable"]) == (quality, usable)
    counts = (await quiet.bucket())["counts"]
    assert (counts["usable"], counts["unusable"]) == (int(usable), int(not usable))


@pytest.mark.parametrize(
    ("judgement", "field"),
    [
        ({"kind": "correction", "content": "that is wrong"}, "correctedOutput"),
        ({"kind": "score"}, "score"),
        ({"kind": "score", "score": 1.5}, "score"),
        ({"kind": "suggestion"}, "content"),
        ({"kind": "praise"}, "kind"),
        ({"kind": "boolean"}, "value"),
        ({"kind": "boolean", "value": 1.5}, "value"),
        ({"kind": "boolean", "value": True, "score": 0.1}, "score"),
        ({"kind": "float", "value": 1.5}, "metric"),
        ({"kind": "float", "metric": "stars", "value": True}, "value"),
        ({"kind": "float", "metric": "stars", "value": 6, "valueMin": 1, "valueMax": 5}, "value"),
        ({"kind": "float", "metric": "stars", "value": 3, "valueMin": 1}, "valueMax"),
        ({"kind": "float", "metric": "stars", "value": 3, "valueMin": 5, "valueMax": 1}, "valueMax"),
        ({"kind": "comment"}, "content"),
        ({"kind": "comment", "content": "fine", "score": 1}, "score"),
        ({"kind": "demonstration", "content": "do it like this"}, "correctedOutput"),
        ({"kind": "approval", "value": True}, "value"),
        ({"kind": "approval", "metric": "solved"}, "metric"),
        ({"kind": "score", "score": 1, "valueMin": 0}, "valueMin"),
        ({"kind": "approval", "personaId": "ada"}, "personaId"),
        ({"kind": "approval", "sessionId": "s-1"}, "interactionId"),
        ({"kind": "approval", "resultId": "doc-1"}, "resultId"),
    ],
)
async def test_a_judgement_that_says_nothing_is_refused(quiet: Rig, judgement: Json, field: str) -> None:
    error = await quiet.refused("capture-feedback", {"interactionId": await captured(quiet), **judgement})
    assert [problem.field for problem in error.details] == [field]


async def test_an_unknown_interaction_is_an_error(quiet: Rig) -> None:
    error = await quiet.refused("capture-feedback", {"interactionId": "int-nowhere", "kind": "approval"})
    assert error.kind == "not_found"


async def test_the_corrected_answer_is_in_the_dataset_and_the_complaint_is_not(quiet: Rig) -> None:
    bucket_id = (await quiet.captures(3))[0]["bucketId"]
    one = (await quiet.capture(21))["interactionId"]
    said = {"kind": "correction", "content": "useless, as always", "correctedOutput": "forty-two"}
    await quiet.call("capture-feedback", {"interactionId": one, **said})
    made = await quiet.call("dataset-create", {"bucketId": bucket_id, "evalShare": 0})
    shown = await quiet.call("dataset-show", {"datasetId": made["datasetId"], "previewRows": 10})
    text = "\n".join(shown["preview"])
    assert "forty-two" in text
    assert '"42"' not in text
    assert "useless" not in text


async def test_a_preference_row_prefers_the_correction_to_what_was_said(quiet: Rig) -> None:
    bucket_id = (await quiet.captures(3))[0]["bucketId"]
    one = (await quiet.capture(21))["interactionId"]
    await quiet.call("capture-feedback", {"interactionId": one, "kind": "correction", "correctedOutput": "forty-two"})
    made = await quiet.call("dataset-create", {"bucketId": bucket_id, "rowKind": "preference", "evalShare": 0})
    assert (made["rows"], made["unusable"]) == (1, 3)
    [row] = (await quiet.call("dataset-show", {"datasetId": made["datasetId"]}))["preview"]
    assert row.index("chosen") < row.index("forty-two") < row.index("rejected") < row.index('"42"')


async def test_all_that_is_wrong_with_a_judgement_is_said_at_once(quiet: Rig) -> None:
    error = await quiet.refused("capture-feedback", {"kind": "float", "valueMin": 1, "correctedOutput": "two"})
    assert {problem.field for problem in error.details} == {
        "interactionId",
        "metric",
        "value",
        "correctedOutput",
        "valueMax",
    }


async def test_a_number_is_kept_as_it_was_given_beside_the_score_it_became(quiet: Rig) -> None:
    one = await captured(quiet)
    said = {"kind": "float", "metric": "stars", "value": 4, "valueMin": 1, "valueMax": 5, "givenBy": "bob"}
    await quiet.call("capture-feedback", {"interactionId": one, **said})
    [given] = await quiet.events(f"interaction/{one}", FeedbackGiven)
    assert (given.metric, given.value, given.score, given.given_by) == ("stars", 4.0, 0.75, "bob")


async def test_a_session_is_judged_as_it_stands_in_one_append(quiet: Rig) -> None:
    kept = [(await quiet.capture(n, sessionId="s-1"))["interactionId"] for n in range(3)]
    other = (await quiet.capture(9, sessionId="s-2"))["interactionId"]
    before = quiet.journal.head().position
    given = await quiet.call("capture-feedback", {"sessionId": "s-1", "kind": "boolean", "value": False})
    assert (given["judged"], given["interactions"], given["quality"], given["usable"]) == (3, kept, None, False)
    assert quiet.journal.head().position == before + 3
    events = [event for one in kept for event in await quiet.events(f"interaction/{one}", FeedbackGiven)]
    assert {(event.episode, event.helpful, event.feedback_id) for event in events} == {
        ("s-1", False, given["feedbackId"])
    }
    assert len({event.sha256 for event in events}) == 3, "each has words of its own, to be erased with it"
    assert await quiet.events(f"interaction/{other}", FeedbackGiven) == []


async def test_what_is_captured_later_in_a_judged_session_is_not_judged(quiet: Rig) -> None:
    await quiet.capture(1, sessionId="s-1")
    await quiet.call("capture-feedback", {"sessionId": "s-1", "kind": "critique"})
    later = (await quiet.capture(2, sessionId="s-1"))["interactionId"]
    assert await quiet.events(f"interaction/{later}", FeedbackGiven) == []
    counts = (await quiet.bucket())["counts"]
    assert (counts["usable"], counts["unusable"]) == (1, 1)


async def test_an_unknown_session_is_an_error(quiet: Rig) -> None:
    await quiet.capture(1, sessionId="s-1")
    for judgement in ({"sessionId": "s-2"}, {"sessionId": "s-1", "personaId": "bob"}):
        error = await quiet.refused("capture-feedback", {"kind": "approval", **judgement})
        assert error.kind == "not_found"


async def test_a_session_that_two_personas_have_needs_the_personas_name(quiet: Rig) -> None:
    await quiet.capture(1, sessionId="s-1")
    await quiet.capture(2, sessionId="s-1", persona="bob")
    error = await quiet.refused("capture-feedback", {"kind": "approval", "sessionId": "s-1"})
    assert [problem.field for problem in error.details] == ["personaId"]
    judged = await quiet.call("capture-feedback", {"kind": "approval", "sessionId": "s-1", "personaId": "bob"})
    assert judged["judged"] == 1


@pytest.mark.parametrize("kind", ["correction", "demonstration"])
async def test_a_whole_session_has_no_one_right_answer(quiet: Rig, kind: str) -> None:
    await quiet.capture(1, sessionId="s-1")
    error = await quiet.refused("capture-feedback", {"kind": kind, "sessionId": "s-1", "correctedOutput": "two"})
    assert [(problem.field, bool(problem.remedy)) for problem in error.details] == [("correctedOutput", True)]


async def test_a_click_judges_the_result_and_not_the_search(quiet: Rig) -> None:
    one = (await quiet.capture(1, results=RESULTS))["interactionId"]
    clicked = {"interactionId": one, "kind": "boolean", "value": True, "resultId": "doc-2"}
    given = await quiet.call("capture-feedback", clicked)
    assert (given["quality"], given["usable"]) == (None, False)
    rated = clicked | {"kind": "float", "metric": "relevance", "value": 2, "valueMin": 0, "valueMax": 4}
    await quiet.call("capture-feedback", rated)
    judged = await quiet.events(f"interaction/{one}", FeedbackGiven)
    assert [(event.result_id, event.helpful, event.score) for event in judged] == [
        ("doc-2", True, None),
        ("doc-2", None, 0.5),
    ]


async def test_a_result_that_was_not_shown_cannot_be_judged(quiet: Rig) -> None:
    one = (await quiet.capture(1, results=RESULTS))["interactionId"]
    error = await quiet.refused(
        "capture-feedback", {"interactionId": one, "kind": "boolean", "value": True, "resultId": "doc-9"}
    )
    assert [problem.field for problem in error.details] == ["resultId"]
    assert "4 results" in error.message


async def test_a_correction_that_corrects_nothing_approves_and_makes_no_pair(quiet: Rig) -> None:
    one = await captured(quiet)
    given = await quiet.call("capture-feedback", {"interactionId": one, "kind": "correction", "correctedOutput": "2"})
    counts = (await quiet.bucket())["counts"]
    assert (given["quality"], counts["approved"], counts["paired"]) == (1.0, 1, 0)


async def test_the_same_key_judges_a_session_once(quiet: Rig) -> None:
    one = (await quiet.capture(1, sessionId="s-1"))["interactionId"]
    judged = {"sessionId": "s-1", "kind": "approval"}
    first = await quiet.call("capture-feedback", judged, key="once")
    assert await quiet.call("capture-feedback", judged, key="once") == first
    assert len(await quiet.events(f"interaction/{one}", FeedbackGiven)) == 1
