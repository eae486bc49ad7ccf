"""path_reward: the formula to the sixth decimal, over simple paths only."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.recipes.rig import planned, reasons, tools

from genomed.entities.errors import InvalidRequest
from genomed.entities.recipe_port import Candidate
from genomed.entities.rows import RankingRow, RecordRow
from genomed.entities.types import RowKind
from genomed.recipes.path_reward import GRAPH, RECIPE, Params, made_graph, reward

PARAMS = Params()
NODES: list[dict[str, object]] = [{"id": name, "content": f"about {name}"} for name in "abcde"]
LINES: list[dict[str, object]] = [
    *NODES,
    {"source": "a", "target": "b", "type": "Actor"},
    {"source": "b", "target": "c", "type": "Object"},
    {"source": "c", "target": "a", "type": "Location"},
]
kinds = st.sampled_from([*sorted(GRAPH.predicates), "Unheard"])


async def rows(params: Params, lines: list[dict[str, object]] = LINES, wanted: int = 20) -> list[RecordRow]:
    made: list[RecordRow] = []
    for item in planned(RECIPE, params, inputs=lines, wanted=wanted):
        for candidate in await RECIPE.produce(item, params, tools(RECIPE, item)):
            assert reasons(RECIPE, candidate, item, params) == ""
            assert isinstance(candidate.row, RecordRow)
            made.append(candidate.row)
    return made


@pytest.mark.parametrize(
    ("edges", "degrees", "total"),
    [
        (["Actor"], [], 0.4 * 0.8 + 0.4 * 1.0 + 0.2 * 0.5),
        (["Actor", "Actor"], [1.0], 0.4 * 0.64 + 0.4 * 1.0 + 0.2 * 1.0),
        (["Actor", "Object"], [0.25], 0.4 * 0.64 + 0.4 * 0.7 + 0.2 * 0.25),
        (["Actor", "Location", "Location"], [0.5, 1.0], 0.4 * 0.512 + 0.4 * 0.65 + 0.2 * 0.75),
    ],
)
def test_the_reward_is_what_the_formula_gives(edges: list[str], degrees: list[float], total: float) -> None:
    assert reward(edges, degrees, GRAPH.groups).total == pytest.approx(total, abs=1e-6)


@given(st.lists(st.tuples(kinds, st.floats(min_value=0, max_value=1)), min_size=1, max_size=8))
def test_every_number_lies_in_0_to_1_and_has_six_decimals(steps: list[tuple[str, float]]) -> None:
    earned = reward([kind for kind, _ in steps], [degree for _, degree in steps[1:]], GRAPH.groups)
    for number in (earned.total, earned.hop_decay, earned.coherence, earned.centrality):
        assert 0 <= number <= 1
        assert number == round(number, 6)


@given(st.lists(kinds, min_size=1, max_size=6), kinds)
def test_a_longer_path_never_decays_less(edges: list[str], more: str) -> None:
    assert reward([*edges, more], [], GRAPH.groups).hop_decay < reward(edges, [], GRAPH.groups).hop_decay


async def test_paths_are_simple_and_pairs_without_one_give_nothing() -> None:
    made = await rows(PARAMS)
    # Between any two of three joined nodes one way is direct and one leads over the third; d and e are alone.
    assert len(made) == 12
    ways = {"ab", "acb", "ba", "bca", "ac", "abc", "ca", "cba", "bc", "bac", "cb", "cab"}
    assert {way(row) for row in made} == ways


def way(row: RecordRow) -> str:
    return "".join(msgspec.convert(row.data["nodes"], list[str]))


async def test_directed_paths_follow_their_edges() -> None:
    made = await rows(Params(directed=True))
    assert {way(row) for row in made} == {"ab", "bc", "ca", "abc", "bca", "cab"}


async def test_hops_and_paths_of_a_pair_are_bounded() -> None:
    params = Params(max_hops=3, paths_per_pair=2, nodes=20, edges=80)
    for item in planned(RECIPE, params, wanted=50):
        candidates = await RECIPE.produce(item, params, tools(RECIPE, item))
        assert 1 <= len(candidates) <= 2
        assert all(isinstance(one.row, RecordRow) and 1 <= int(str(one.row.data["hops"])) <= 3 for one in candidates)


async def test_parallel_edges_and_self_loops_make_no_walk_twice() -> None:
    lines: list[dict[str, object]] = [
        *LINES,
        {"source": "a", "target": "b", "type": "Actor"},
        {"source": "a", "target": "a", "type": "Actor"},
    ]
    assert len(await rows(PARAMS, lines)) == 12


def test_a_made_graph_has_its_nodes_its_edges_and_its_hubs() -> None:
    graph = made_graph(PARAMS, 5)
    degrees: dict[str, int] = {}
    edges = [edge for found in graph.outgoing.values() for edge in found]
    for edge in edges:
        for end in (edge.source, edge.target):
            degrees[end] = degrees.get(end, 0) + 1
    assert (len(graph.nodes), len(edges)) == (200, 600)
    assert max(degrees.values()) > 5 * (2 * 600 / 200)  # a hub has many times the mean
    assert graph == made_graph(PARAMS, 5)
    assert graph != made_graph(PARAMS, 6)


async def good() -> Candidate:
    (item, *_) = planned(RECIPE, PARAMS, inputs=LINES)
    return (await RECIPE.produce(item, PARAMS, tools(RECIPE, item)))[-1]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reward": 0.9}, "not what the formula gives"),
        ({"hopDecay": 1.5}, "outside 0 to 1"),
        ({"centrality": float("1.2")}, "outside 0 to 1"),
        ({"hops": 9}, "number of hops"),
        ({"contents": ["only one"]}, "do not make a walk"),
        ({"nodes": ["b", "b", "b"]}, "passes a node twice"),
        ({"source": "elsewhere"}, "does not join"),
        ({"nodes": "secret"}, "shape of Record at $.nodes"),
    ],
)
async def test_a_bad_record_is_refused_with_its_reason(changes: dict[str, object], reason: str) -> None:
    made = await good()
    assert isinstance(made.row, RecordRow)
    bad = Candidate(row=RecordRow(task="path_reward", data={**made.row.data, **changes}))
    (item, *_) = planned(RECIPE, PARAMS, inputs=LINES)
    assert reason in reasons(RECIPE, bad, item, PARAMS)


async def test_a_ranking_row_has_the_reward_as_its_label() -> None:
    made = await good()
    assert isinstance(made.row, RecordRow)
    (row,) = RECIPE.compile(made.row, RowKind.RANKING, PARAMS)
    assert isinstance(row, RankingRow)
    assert row.label == made.row.data["reward"]
    assert row.document.startswith("about ")
    with pytest.raises(InvalidRequest):
        RECIPE.compile(made.row, RowKind.CHAT, PARAMS)


def test_a_graph_of_one_node_has_no_path() -> None:
    with pytest.raises(InvalidRequest, match="two nodes"):
        planned(RECIPE, PARAMS, inputs=[{"id": "a"}])


def test_a_graph_without_a_connected_pair_says_which_edges_it_has() -> None:
    with pytest.raises(
        InvalidRequest,
        match=r"none of 20 pairs .* no edge joins two of its nodes; edges with an end .*: 1",
    ):
        planned(RECIPE, PARAMS, inputs=[*NODES, {"source": "a", "target": "gone", "type": "works_for"}])
    with pytest.raises(InvalidRequest, match=r"'works_for' \(1\)"):
        planned(RECIPE, PARAMS, inputs=[*NODES, {"source": "a", "target": "a", "type": "works_for"}])
