"""entity_query: a query names an entity, or it is asked for again, or a template says plainly that it stepped in."""

import json

import pytest
from tests.recipes.rig import ScriptedModel, planned, produced, reasons, tools

from genomed.entities.errors import InvalidRequest
from genomed.entities.recipe_port import Candidate, WorkItem
from genomed.entities.rows import ChatRow, RecordRow
from genomed.entities.types import RowKind
from genomed.recipes.entity_query import RECIPE, Named, Params, mentions

PARAMS = Params()
ITEM = WorkItem(
    key="0",
    seed=1,
    data={
        "entities": [{"name": "Žofia von Ek", "type": "person"}, {"name": "東京", "type": "town"}],
        "context": "A letter.",
        "group": "letter",
    },
)


def asking(*queries: str) -> ScriptedModel:
    return ScriptedModel(*(json.dumps({"thought": "hm", "query": query}) for query in queries))


async def test_a_query_that_names_its_entities_is_taken_at_once() -> None:
    made = await produced(RECIPE, ITEM, PARAMS, asking("When did žofia write from 東京に?"))
    assert isinstance(made.row, RecordRow)
    assert made.row.data == {
        "query": "When did žofia write from 東京に?",
        "entities": [{"text": "žofia", "type": "person"}, {"text": "東京", "type": "town"}],
        "fallback": False,
    }
    assert made.confidence == 1.0
    assert reasons(RECIPE, made, ITEM, PARAMS) == ""


async def test_a_query_that_names_no_entity_is_asked_for_again_at_most_three_times() -> None:
    model = asking("What about von things?", "And who was that one?", "Žofia, and what else?")
    made = await produced(RECIPE, ITEM, PARAMS, model)
    assert made.notes == {"tries": 3, "fallback": False}
    assert made.confidence == 0.35  # two tries lost, one entity of two
    assert len(model.asked) == 3


@pytest.mark.parametrize("model", [asking("Nobody is named here."), ScriptedModel("no JSON at all")])
async def test_after_the_last_try_a_template_steps_in_marked_and_weighted_down(model: ScriptedModel) -> None:
    made = await produced(RECIPE, ITEM, PARAMS, model)
    assert made.notes == {"tries": 3, "fallback": True}
    assert made.confidence == 0.175  # half of what a model's third try would have
    assert reasons(RECIPE, made, ITEM, PARAMS) == ""
    assert made == await produced(RECIPE, ITEM, PARAMS, ScriptedModel("still none"))
    assert isinstance(made.row, RecordRow)
    assert made.row.data["fallback"] is True


async def test_very_short_and_very_long_queries_are_less_sure() -> None:
    short = await produced(RECIPE, ITEM, PARAMS, asking("東京 Žofia"))
    long = await produced(RECIPE, ITEM, PARAMS, asking("Žofia, 東京 " + "and so on " * 30))
    assert (short.confidence, long.confidence) == (0.8, 0.9)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("Is Žofia von Ek at home?", ["Žofia von Ek"]),
        ("Is ŽOFIA at home?", ["ŽOFIA"]),
        ("Is von at home?", []),
        ("Is Ek at home?", []),
        ("Žofian?", []),
    ],
)
def test_words_of_up_to_three_letters_do_not_stand_for_an_entity(query: str, found: list[str]) -> None:
    assert [one.text for one in mentions(query, (Named(name="Žofia von Ek", type="person"),))] == found


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"query": " "}, "query is empty"),
        ({"entities": []}, "names none of its entities"),
        ({"entities": [{"text": "東京", "type": "town"}]}, "does not stand in the query"),
        ({"entities": [{"text": "write", "type": "person"}]}, "not one that the query was to be about"),
        ({"entities": [{"text": "Žofia", "type": "town"}]}, "not one that the query was to be about"),
        ({"entities": 3}, "shape of Record at $.entities"),
    ],
)
def test_a_bad_record_is_refused_with_its_reason(changes: dict[str, object], reason: str) -> None:
    data: dict[str, object] = {"query": "Does Žofia write?", "entities": [{"text": "Žofia", "type": "person"}]}
    good = Candidate(row=RecordRow(task="entity_query", data=data))
    assert reasons(RECIPE, good, ITEM, PARAMS) == ""
    bad = Candidate(row=RecordRow(task="entity_query", data={**data, **changes}))
    assert reason in reasons(RECIPE, bad, ITEM, PARAMS)


def test_entities_come_from_the_inputs_with_their_document() -> None:
    lines: list[dict[str, object]] = [
        {"id": "doc-1", "text": "One.", "entities": ["Porto", {"text": "Ana", "type": "person"}], "personId": "p"},
        {"id": "doc-2", "text": "Nobody."},
    ]
    for item in planned(RECIPE, PARAMS, inputs=lines):
        assert item.data["group"] == "doc-1"
        assert item.data["person_id"] == "p"
        assert item.data["context"] == "One."
    with pytest.raises(InvalidRequest, match="names an entity"):
        planned(RECIPE, PARAMS, inputs=[{"text": "Nobody."}])


def test_the_answer_names_the_words_of_the_query() -> None:
    data: dict[str, object] = {"query": "Does Žofia write?", "entities": [{"text": "Žofia", "type": "person"}]}
    (row,) = RECIPE.compile(RecordRow(task="entity_query", data=data), RowKind.CHAT, PARAMS)
    assert isinstance(row, ChatRow)
    assert row.messages[1].text == "Does Žofia write?"
    assert json.loads(row.messages[2].text) == {"entities": [{"text": "Žofia", "type": "person"}]}


async def test_a_reviewers_words_reach_the_model() -> None:
    model = asking("Žofia?")
    rejected = RecordRow(task="entity_query", data={})
    made = await RECIPE.again(rejected, ITEM, PARAMS, tools(RECIPE, ITEM, ask=model), feedback="be brief")
    assert made is not None
    assert "be brief" in model.asked[0][-1].text
