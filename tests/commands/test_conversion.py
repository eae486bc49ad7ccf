"""lessons_of_interactions: what a persona did up to a position of the log, with its words, as lessons."""

from typing import Any

import pytest
from tests.daemon.daemon_rig import ADMIN, Json, Rig

from genomed.commands import conversion
from genomed.commands.context import Context
from genomed.commands.conversion import Converted, lessons_of_interactions
from genomed.entities.draft_events import InteractionsAttached
from genomed.entities.errors import Conflict, InvalidRequest
from genomed.entities.experience_events import InteractionCaptured
from genomed.entities.rows import ChatRow, PreferenceRow, TripletRow

RESULTS = [{"id": f"doc-{n}", "content": f"text {n}"} for n in range(3)]


def context_of(rig: Rig) -> Context:
    context: Context = rig.parts.dispatch._context(ADMIN, {})
    return context


async def converted(rig: Rig, method: str, *, through: int | None = None, **more: Any) -> Converted:
    attached = InteractionsAttached(
        method=method,
        domain=more.pop("domain", None),
        through_position=rig.journal.head().position if through is None else through,
        options=more,
    )
    return await lessons_of_interactions(context_of(rig), persona_id="ada", attached=attached)


def left_out(found: Converted) -> dict[str, int]:
    return {step.step: step.removed for step in found.steps[1:]}


async def approve(rig: Rig, capture: Json) -> None:
    await rig.call("capture-feedback", {"interactionId": capture["interactionId"], "kind": "approval"})


async def test_pages_miss_nothing_and_take_nothing_twice(quiet: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "PAGE", 3)
    kept = await quiet.captures(7)
    found = await converted(quiet, "sft", unjudged=True)
    assert [one.origin for one in found.lessons] == [one["interactionId"] for one in kept]
    assert found.examined == 7


async def test_only_the_personas_own_interactions_of_the_wanted_domain_are_taken(quiet: Rig) -> None:
    here = await quiet.capture(1)
    await quiet.capture(2, persona="bob")
    song = await quiet.capture(3, domain="songs")
    every = await converted(quiet, "sft", unjudged=True)
    assert [one.origin for one in every.lessons] == [here["interactionId"], song["interactionId"]]
    songs = await converted(quiet, "sft", unjudged=True, domain="songs")
    assert [one.origin for one in songs.lessons] == [song["interactionId"]]


async def test_an_interaction_is_taken_as_it_stood_at_the_position(quiet: Rig) -> None:
    one = await quiet.capture(1)
    await approve(quiet, one)
    then = quiet.journal.head().position
    fixed = {"interactionId": one["interactionId"], "kind": "correction", "correctedOutput": "two"}
    await quiet.call("capture-feedback", fixed)
    await approve(quiet, await quiet.capture(2))
    early, late = await converted(quiet, "sft", through=then), await converted(quiet, "sft")
    rows = [[row.row.messages[-1].text for row in one.lessons if isinstance(row.row, ChatRow)] for one in (early, late)]
    assert rows == [["2"], ["two", "4"]]


async def test_what_was_erased_later_is_gone_from_an_earlier_position_too(quiet: Rig) -> None:
    one = await quiet.capture(1)
    await approve(quiet, one)
    then = quiet.journal.head().position
    [captured] = await quiet.events(f"interaction/{one['interactionId']}", InteractionCaptured)
    await quiet.journal.erase_blob(captured.sha256)
    found = await converted(quiet, "sft", through=then)
    assert (found.lessons, left_out(found)) == ((), {"sft.erased": 1})


async def test_a_session_is_whole_however_small_the_pages_are(quiet: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "PAGE", 2)
    for n in range(9):
        await approve(quiet, await quiet.capture(n, sessionId=f"s-{n % 3}"))
    await quiet.captures(3, start=20)
    found = await converted(quiet, "sessions")
    assert [one.session_id for one in found.lessons] == ["s-0", "s-1", "s-2"]
    assert [len(one.origins) for one in found.lessons] == [3, 3, 3]
    assert (found.examined, left_out(found)) == (12, {"sessions.no_session": 3})


async def test_pairs_and_triplets_come_from_the_same_log(quiet: Rig) -> None:
    fixed = (await quiet.capture(1))["interactionId"]
    await quiet.call("capture-feedback", {"interactionId": fixed, "kind": "correction", "correctedOutput": "two"})
    searched = (await quiet.capture(2, results=RESULTS))["interactionId"]
    clicked = {"interactionId": searched, "kind": "boolean", "value": True, "resultId": "doc-1"}
    await quiet.call("capture-feedback", clicked)
    [pair] = (await converted(quiet, "preference")).lessons
    assert isinstance(pair.row, PreferenceRow)
    [triplet] = (await converted(quiet, "triplets")).lessons
    assert triplet.row == TripletRow(anchor="2+2", positive="text 1", negatives=("text 0", "text 2"))


async def test_too_few_judged_interactions_are_refused_with_both_numbers_where_a_least_was_named(quiet: Rig) -> None:
    await approve(quiet, await quiet.capture(1))
    await quiet.capture(2)
    assert len((await converted(quiet, "sft", fewest=1)).lessons) == 1
    with pytest.raises(Conflict, match="1 of 2 interactions give a row; 20 were asked for at least"):
        await converted(quiet, "sft", fewest=20)


@pytest.mark.parametrize(
    ("method", "options", "field"),
    [
        ("dreams", {}, "method"),
        ("sft", {"unjudgd": True}, "options.unjudgd"),
        ("triplets", {"negatives": "hardest"}, "options.negatives"),
        ("sessions", {"fewestTurns": 0}, "options.fewestTurns"),
    ],
)
async def test_an_unknown_method_or_option_is_refused_by_name(
    quiet: Rig, method: str, options: Json, field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await converted(quiet, method, **options)
    assert [problem.field for problem in refused.value.details] == [field]
