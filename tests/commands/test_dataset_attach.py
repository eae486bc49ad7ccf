"""dataset-attach takes interactions and batches into a draft, once each, and says what they would give."""

from tests.commands.drafting import a_draft
from tests.commands.reviewing import a_batch
from tests.daemon.daemon_rig import Rig

from genomed.entities.draft_events import InteractionsAttached, ReviewAttached


async def judged(rig: Rig, count: int, *, start: int = 0, **more: object) -> None:
    for n in range(start, start + count):
        one = await rig.capture(n, **more)  # type: ignore[arg-type]  # whatever capture-interaction takes
        await rig.call("capture-feedback", {"interactionId": one["interactionId"], "kind": "approval"})


async def test_it_says_how_many_rows_they_give_and_how_many_were_looked_at(quiet: Rig) -> None:
    await judged(quiet, 3)
    await quiet.captures(2, start=50)
    draft_id = await a_draft(quiet)
    told = await quiet.call("dataset-attach", {"draftId": draft_id, "method": "sft"})
    assert (told["attached"], told["rows"], told["interactions"]) == (True, 3, 5)
    assert sum(step["removed"] for step in told["steps"]) == 2


async def test_the_same_again_is_nothing_new_until_somebody_judges(quiet: Rig) -> None:
    await judged(quiet, 3)
    draft_id = await a_draft(quiet)
    params = {"draftId": draft_id, "method": "sft"}
    await quiet.call("dataset-attach", params)
    assert (await quiet.call("dataset-attach", params))["attached"] is False
    await judged(quiet, 1, start=9)
    assert (await quiet.call("dataset-attach", params))["rows"] == 4
    events = await quiet.events(f"draft/{draft_id}", InteractionsAttached)
    assert len(events) == 2
    [shown] = (await quiet.call("dataset-show", {"draftId": draft_id}))["draft"]["interactions"]
    assert shown["throughPosition"] == events[1].through_position


async def test_a_domain_narrows_and_another_domain_is_another_source(quiet: Rig) -> None:
    await judged(quiet, 2)
    await judged(quiet, 3, domain="songs")
    draft_id = await a_draft(quiet)
    for domain, rows in (("sums", 2), ("songs", 3)):
        told = await quiet.call("dataset-attach", {"draftId": draft_id, "method": "sft", "domain": domain})
        assert told["rows"] == rows
    assert len((await quiet.call("dataset-show", {"draftId": draft_id}))["draft"]["interactions"]) == 2


async def test_a_method_that_gives_other_rows_is_refused_with_those_that_fit(quiet: Rig) -> None:
    draft_id = await a_draft(quiet)
    error = await quiet.refused("dataset-attach", {"draftId": draft_id, "method": "triplets"})
    assert (error.field, "sft or sessions" in str(error.remedy)) == ("method", True)
    records = await a_draft(quiet, rowKind="record")
    error = await quiet.refused("dataset-attach", {"draftId": records, "method": "sft"})
    assert "no interaction gives record rows" in str(error.remedy)


async def test_options_are_those_of_the_method(quiet: Rig) -> None:
    draft_id = await a_draft(quiet)
    params = {"draftId": draft_id, "method": "sft", "options": {"unjudged": True, "nonsense": 1, "fewest": -1}}
    error = await quiet.refused("dataset-attach", params)
    assert {one.field for one in error.details} == {"options.nonsense", "options.fewest"}
    await quiet.captures(2)
    told = await quiet.call("dataset-attach", params | {"options": {"unjudged": True}})
    assert told["rows"] == 2


async def test_a_batch_is_attached_once_and_must_be_of_the_same_persona(quiet: Rig) -> None:
    await a_batch(quiet, draft_id="dr-other")
    draft_id = await a_draft(quiet)
    params = {"draftId": draft_id, "batchId": "rev-1"}
    assert (await quiet.call("dataset-attach", params))["attached"] is True
    assert (await quiet.call("dataset-attach", params))["attached"] is False
    assert len(await quiet.events(f"draft/{draft_id}", ReviewAttached)) == 1
    bobs = await a_draft(quiet, personaId="bob")
    assert (await quiet.refused("dataset-attach", params | {"draftId": bobs})).kind == "conflict"


async def test_params_that_do_not_belong_together_are_refused(quiet: Rig) -> None:
    draft_id = await a_draft(quiet)
    for params in ({}, {"method": "sft", "batchId": "rev-1"}, {"batchId": "rev-1", "domain": "sums"}):
        assert (await quiet.refused("dataset-attach", {"draftId": draft_id, **params})).kind == "invalid_request"
    assert (await quiet.refused("dataset-attach", {"draftId": draft_id, "batchId": "rev-9"})).kind == "not_found"
    assert (await quiet.refused("dataset-attach", {"draftId": "dr-9", "method": "sft"})).kind == "not_found"
