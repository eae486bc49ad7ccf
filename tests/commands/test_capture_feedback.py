"""capture-feedback keeps every judgement; a correction is what is learned, the complaint never is."""

import pytest
from tests.daemon.daemon_rig import Json, Rig


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
