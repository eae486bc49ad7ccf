"""relations.from_graph: only what the node's own text names, at offsets that hold."""

import msgspec
import pytest
from tests.recipes.rig import planned, produced, reasons, tools

from genomed.entities.errors import InvalidRequest
from genomed.entities.recipe_port import Candidate
from genomed.entities.rows import ChatRow, RecordRow
from genomed.entities.types import RowKind
from genomed.recipes._relation_task import Extraction
from genomed.recipes.relations_from_graph import RECIPE, Params, cut

LINES: list[dict[str, object]] = [
    {"edge": {"source": "a", "target": "p", "type": "Location", "weight": 0.8}},
    {"source": "a", "target": "b", "edge_type": "Companion", "weight": 7},
    {"source": "a", "target": "q", "type": "Companion", "weight": 0.1},
    {"source": "a", "target": "gone", "type": "Companion"},
    {"source": "a", "target": "b", "type": "Unheard"},
    {"node": {"id": "a", "name": "Žofia", "type": "person", "content": "👩 Žofia lives in Köln with Bo."}},
    {"id": "b", "name": "Bo", "node_type": "alien", "content": ""},
    {"id": "p", "content": "Köln. A town on the Rhine."},
    {"id": "q", "name": "Quinn", "content": "Not named by anybody."},
]
PARAMS = Params()


async def test_edges_whose_ends_the_text_does_not_name_are_left_out() -> None:
    (item,) = planned(RECIPE, PARAMS, inputs=LINES)
    made = await produced(RECIPE, item, PARAMS)
    assert isinstance(made.row, RecordRow)
    record = msgspec.convert(made.row.data, Extraction)
    assert {(one.text, one.type) for one in record.entities} == {
        ("Žofia", "person"),
        ("Köln", "entity"),  # named by its first sentence
        ("Bo", "entity"),  # of a type that the list does not know
    }
    assert all(record.text[one.start : one.end] == one.text for one in record.entities)
    assert {(one.relation, one.object) for one in record.relations} == {("located_in", "Köln"), ("companion_of", "Bo")}
    assert reasons(RECIPE, made, item, PARAMS) == ""
    assert made.notes["dropped"] == 1
    # Mean weight of the edges kept, 0.8 and 7 cut to 1, times five parts kept of seven.
    assert made.confidence == pytest.approx(0.9 * 5 / 7, abs=1e-4)


async def test_a_text_that_states_no_edge_gives_no_row() -> None:
    lines = [{"id": "a", "name": "Ana", "content": "A quiet day."}, {"id": "b", "name": "Bo", "content": "x"}]
    (item,) = planned(RECIPE, PARAMS, inputs=[*lines, {"source": "a", "target": "b", "type": "Companion"}])
    assert await RECIPE.produce(item, PARAMS, tools(RECIPE, item)) == ()


def test_the_order_of_the_lines_does_not_matter() -> None:
    keys = [[item.key for item in planned(RECIPE, PARAMS, inputs=lines)] for lines in (LINES, LINES[::-1])]
    assert keys[0] == keys[1]


async def test_fewer_relations_than_asked_for_are_refused() -> None:
    strict = Params(min_relations=3)
    (item,) = planned(RECIPE, strict, inputs=LINES)
    made = await produced(RECIPE, item, strict)
    assert "fewer relations" in reasons(RECIPE, made, item, strict)


def test_a_bad_record_is_refused() -> None:
    (item,) = planned(RECIPE, PARAMS, inputs=LINES)
    empty = RecordRow(task="relations", data={"text": "x", "entities": [], "relations": []})
    assert "there is no relation" in reasons(RECIPE, Candidate(row=empty), item, PARAMS)


async def test_the_answer_has_the_same_shape_as_that_of_generated_texts() -> None:
    (item,) = planned(RECIPE, PARAMS, inputs=LINES)
    made = await produced(RECIPE, item, PARAMS)
    (row,) = RECIPE.compile(made.row, RowKind.CHAT, PARAMS)
    assert isinstance(row, ChatRow)
    answer = msgspec.json.decode(row.messages[-1].text)
    assert set(answer) == {"entities", "relations"}
    assert set(answer["relations"][0]) == {"subject", "relation", "object"}
    assert await RECIPE.again(made.row, item, PARAMS, tools(RECIPE, item), feedback="no") is None


@pytest.mark.parametrize(
    ("text", "longest", "kept"), [("äö üß", 4, "äö"), ("日本語日本語", 3, "日本語"), ("ab", 9, "ab")]
)
def test_a_long_text_is_cut_at_a_word_and_never_inside_a_letter(text: str, longest: int, kept: str) -> None:
    assert cut(text, longest) == kept


def test_bad_lines_are_named_with_their_numbers() -> None:
    with pytest.raises(InvalidRequest) as refused:
        planned(RECIPE, PARAMS, inputs=[{"id": "a"}, {"source": "a", "target": "b"}, {"id": True}])
    assert [problem.field for problem in refused.value.details] == ["inputs[2]", "inputs[3]"]
    with pytest.raises(InvalidRequest, match="no nodes"):
        planned(RECIPE, PARAMS, inputs=[])


def test_a_graph_of_other_edge_types_is_refused_by_their_names_and_with_the_param_that_takes_them() -> None:
    people: list[dict[str, object]] = [{"id": n, "name": f"P{n}", "content": f"P{n} is here."} for n in range(4)]
    edges: list[dict[str, object]] = [{"source": 0, "target": n, "type": "works_for"} for n in (1, 2, 3)]
    kinds: list[dict[str, object]] = [{"source": 1, "target": 2, "type": f"t{n}"} for n in range(6)]
    lost: dict[str, object] = {"source": 1, "target": 9, "type": "lost"}
    with pytest.raises(InvalidRequest) as refused:
        planned(RECIPE, PARAMS, inputs=[*people, *edges, *kinds, lost])
    assert refused.value.field == "params.predicates"
    said = refused.value.message
    assert (
        "'works_for' (3), 't0' (1), 't1' (1), 't2' (1), 't3' (1), 2 types more; edges with an end that is no node: 1"
        in said
    )
    assert "RelatesTo" in said
    assert len(planned(RECIPE, Params(predicates={"works_for": "works_for"}), inputs=[*people, *edges])) == 1


def test_a_graph_whose_edges_count_but_whose_nodes_have_no_text_says_so() -> None:
    with pytest.raises(InvalidRequest, match=r"has a text, a name and 1 edges .* 'Actor' \(1\)"):
        planned(RECIPE, PARAMS, inputs=[{"id": "a"}, {"id": "b"}, {"source": "a", "target": "b", "type": "Actor"}])
    with pytest.raises(InvalidRequest, match="no edge joins two of its nodes"):
        planned(RECIPE, PARAMS, inputs=[{"id": "a", "content": "A."}])
