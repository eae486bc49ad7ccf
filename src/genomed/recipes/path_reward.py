"""path_reward: what a walk through a graph is worth, from how short, how coherent and how central it is.

Asks no model. The graph is the run's inputs, or a made one with a few hubs where there are none. Formula and numbers:
reference/cogniverse-ragd-ucotron.md 3.2.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Annotated

from msgspec import Meta, Struct

from genomed.entities.errors import InvalidRequest
from genomed.entities.recipe_port import Candidate, Finding, Need, Recipe, TaskMetric, Tools, WorkItem
from genomed.entities.rows import RankingRow, Row, kind_of
from genomed.entities.types import RowKind
from genomed.recipes._graph import Edge, Graph, Node, edges_told, graph_of, read_graph
from genomed.recipes._planning import seed_of
from genomed.recipes._records import own, read, record_of, record_row, refuse_kind
from genomed.recipes._trying import Made, candidate, finding, unusable
from genomed.recipes._wording import seeds

TASK = "path_reward"
DIGITS = 6
TOLERANCE = 1.5e-6
"""Of a stored number against the formula over other stored numbers, each rounded to six decimals."""

PAIRS_PER_ROW = 5
"""How many pairs are tried for every wanted row, as not all are connected."""


class GraphSeeds(Struct, frozen=True, kw_only=True):
    groups: dict[str, tuple[str, ...]]
    predicates: dict[str, str]


GRAPH = seeds("graph", GraphSeeds)


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """nodes, edges: of the made graph. groups: of edge types that mean something alike; built in where empty.

    directed: walk edges only the way they point. pathsPerPair: the shortest ones; more would be much alike.
    """

    max_hops: Annotated[int, Meta(ge=1, le=6)] = 4
    paths_per_pair: Annotated[int, Meta(ge=1, le=1000)] = 5
    directed: bool = False
    nodes: Annotated[int, Meta(ge=2, le=10_000)] = 200
    edges: Annotated[int, Meta(ge=1, le=100_000)] = 600
    groups: dict[str, tuple[str, ...]] = {}

    @property
    def all_groups(self) -> dict[str, tuple[str, ...]]:
        return self.groups or GRAPH.groups


class Reward(Struct, frozen=True, kw_only=True):
    """Each 0 to 1."""

    total: float
    hop_decay: float
    coherence: float
    centrality: float


class Walk(Struct, frozen=True, kw_only=True):
    """degrees: of every node on it, over the graph's largest."""

    nodes: tuple[str, ...]
    contents: tuple[str, ...]
    edge_types: tuple[str, ...]
    degrees: tuple[float, ...]


class Pair(Struct, frozen=True, kw_only=True):
    walks: tuple[Walk, ...]


class Record(Struct, frozen=True, kw_only=True, rename="camel"):
    source: str
    target: str
    nodes: tuple[str, ...]
    contents: tuple[str, ...]
    edge_types: tuple[str, ...]
    hops: int
    reward: float
    hop_decay: float
    coherence: float
    centrality: float


class PathReward:
    name = "path_reward"
    version = "1"
    summary = "Paths of a graph with the reward that their length, coherence and centrality earn; asks no model"
    task = TASK
    output: tuple[RowKind, ...] = (RowKind.RECORD, RowKind.RANKING)
    needs: frozenset[Need] = frozenset()
    templates: Mapping[str, str] = {}
    Params: type[Struct] = Params

    def plan(
        self, params: Struct, *, inputs: Iterable[Mapping[str, object]], wanted: int, seed: int
    ) -> Iterator[WorkItem]:
        told = own(params, Params)
        lines = list(inputs)
        graph = read_graph(lines) if lines else made_graph(told, seed)
        if len(graph.nodes) < 2:
            raise InvalidRequest("a path needs two nodes, the graph has one", field="inputs")
        return _pairs(_Steps(graph, directed=told.directed), told, wanted, seed)

    async def produce(self, item: WorkItem, params: Struct, tools: Tools) -> Sequence[Candidate]:  # noqa: ARG002
        groups = own(params, Params).all_groups
        return tuple(
            candidate(Made(row=record_row(TASK, _record(walk, groups)), notes={"hops": len(walk.edge_types)}), tries=1)
            for walk in read(item.data, Pair).walks
        )

    async def again(
        self,
        candidate: Row,  # noqa: ARG002 (the port's)
        item: WorkItem,  # noqa: ARG002
        params: Struct,  # noqa: ARG002
        tools: Tools,  # noqa: ARG002
        *,
        feedback: str | None,  # noqa: ARG002
    ) -> Candidate | None:
        """A formula gives the same number twice."""
        return None

    def check(self, candidate: Candidate, item: WorkItem, params: Struct) -> Finding:  # noqa: ARG002
        told = own(params, Params)
        try:
            record = record_of(candidate.row, TASK, Record)
        except ValueError as wrong:
            return unusable(wrong)
        return finding(tuple(_faults(record, told)), candidate)

    def compile(self, row: Row, kind: RowKind, params: Struct) -> Sequence[Row]:
        own(params, Params)
        if kind_of(row) is kind:
            return (row,)
        if kind is not RowKind.RANKING:
            raise refuse_kind(self.name, row, kind, self.output)
        record = record_of(row, TASK, Record)
        ends = f"{record.contents[0]} -> {record.contents[-1]}"
        return (RankingRow(query=ends, document=told_path(record), label=record.reward),)

    def metrics(self) -> Sequence[TaskMetric]:
        return ()


def reward(edge_types: Sequence[str], inner_degrees: Sequence[float], groups: Mapping[str, Sequence[str]]) -> Reward:
    """inner_degrees: of the nodes between the ends, over the graph's largest; each number rounded to six decimals."""
    hop_decay = 0.8 ** len(edge_types)
    steps = [_likeness(one, other, groups) for one, other in pairwise(edge_types)]
    coherence = sum(steps) / len(steps) if steps else 1.0
    centrality = sum(inner_degrees) / len(inner_degrees) if inner_degrees else 0.5
    total = min(1.0, max(0.0, 0.4 * hop_decay + 0.4 * coherence + 0.2 * centrality))
    return Reward(
        total=round(total, DIGITS),
        hop_decay=round(hop_decay, DIGITS),
        coherence=round(coherence, DIGITS),
        centrality=round(centrality, DIGITS),
    )


def _likeness(one: str, other: str, groups: Mapping[str, Sequence[str]]) -> float:
    if one == other:
        return 1.0
    return 0.7 if any(one in group and other in group for group in groups.values()) else 0.3


def told_path(record: Record) -> str:
    """The walk as a text: contents with the edges between them."""
    told = [record.contents[0]]
    for kind, content in zip(record.edge_types, record.contents[1:], strict=True):
        told.append(f"--{kind}-- {content}")
    return " ".join(told)


def _record(walk: Walk, groups: Mapping[str, Sequence[str]]) -> Record:
    earned = reward(walk.edge_types, walk.degrees[1:-1], groups)
    return Record(
        source=walk.nodes[0],
        target=walk.nodes[-1],
        nodes=walk.nodes,
        contents=walk.contents,
        edge_types=walk.edge_types,
        hops=len(walk.edge_types),
        reward=earned.total,
        hop_decay=earned.hop_decay,
        coherence=earned.coherence,
        centrality=earned.centrality,
    )


def _faults(record: Record, params: Params) -> Iterator[str]:
    if record.hops != len(record.edge_types) or not 1 <= record.hops <= params.max_hops:
        yield "the number of hops is wrong or beyond maxHops"
    if len(record.nodes) != record.hops + 1 or len(record.contents) != len(record.nodes):
        yield "nodes, contents and edges do not make a walk"
    if len(set(record.nodes)) != len(record.nodes):
        yield "the walk passes a node twice"
    if record.nodes[:1] != (record.source,) or record.nodes[-1:] != (record.target,):
        yield "the walk does not join its source and its target"
    wanted = reward(record.edge_types, (record.centrality,) if record.hops > 1 else (), params.all_groups)
    stored = (record.reward, record.hop_decay, record.coherence, record.centrality)
    formula = (wanted.total, wanted.hop_decay, wanted.coherence, wanted.centrality)
    if any(not 0 <= number <= 1 for number in stored):
        yield "a number lies outside 0 to 1"
    if any(abs(one - other) > TOLERANCE for one, other in zip(stored, formula, strict=True)):
        yield "the reward is not what the formula gives"


class _Steps:
    """A graph to walk in: from every node, the next ones with the edge's type, in an order of their own."""

    def __init__(self, graph: Graph, *, directed: bool) -> None:
        self.graph = graph
        self._next: dict[str, set[tuple[str, str]]] = {}
        degrees: dict[str, int] = {}
        for edge in (edge for edges in graph.outgoing.values() for edge in edges):
            if edge.source == edge.target:
                continue
            self._next.setdefault(edge.source, set()).add((edge.target, edge.type))
            if not directed:
                self._next.setdefault(edge.target, set()).add((edge.source, edge.type))
            for end in (edge.source, edge.target):
                degrees[end] = degrees.get(end, 0) + 1
        self._order = {node: sorted(steps) for node, steps in self._next.items()}
        self._before: dict[str, list[str]] = {}
        for node, steps in self._order.items():
            for following in dict.fromkeys(step for step, _ in steps):
                self._before.setdefault(following, []).append(node)
        self._degrees, self._largest = degrees, max(degrees.values(), default=1)

    def walks(self, source: str, target: str, *, hops: int) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Simple paths as (nodes, edge types), shortest first, depth first among those of one length."""
        away = self._distances(target, hops)
        for length in range(away.get(source, hops + 1), hops + 1):
            stack: list[tuple[tuple[str, ...], tuple[str, ...]]] = [((source,), ())]
            while stack:
                nodes, kinds = stack.pop()
                left = length - len(kinds)
                if nodes[-1] == target:
                    if left == 0:
                        yield nodes, kinds
                    continue
                stack += [
                    ((*nodes, node), (*kinds, kind))
                    for node, kind in reversed(self._order.get(nodes[-1], ()))
                    if away.get(node, left) < left and node not in nodes
                ]

    def _distances(self, target: str, hops: int) -> dict[str, int]:
        """Of the nodes from which the target is at most so many steps away: no walk goes where it cannot arrive."""
        away, edge = {target: 0}, [target]
        for steps in range(1, hops + 1):
            edge = [node for found in edge for node in self._before.get(found, ()) if node not in away]
            away |= dict.fromkeys(edge, steps)
            edge = list(dict.fromkeys(edge))
        return away

    def walk(self, nodes: tuple[str, ...], kinds: tuple[str, ...]) -> dict[str, object]:
        known = self.graph.nodes
        return {
            "nodes": list(nodes),
            "contents": [known[node].content or known[node].name or node for node in nodes],
            "edge_types": list(kinds),
            "degrees": [self._degrees.get(node, 0) / self._largest for node in nodes],
        }


def _pairs(steps: _Steps, params: Params, wanted: int, seed: int) -> Iterator[WorkItem]:
    """Connected pairs, drawn without asking for one twice, until there are as many walks as wanted.

    Raises InvalidRequest where none is connected.
    """
    names = sorted(steps.graph.nodes)
    draw, seen, walks = random.Random(seed), set[tuple[str, str]](), 0
    possible = len(names) * (len(names) - 1)
    for _ in range(max(1000, PAIRS_PER_ROW * wanted)):
        if walks >= wanted or len(seen) == possible:
            break
        source, target = draw.sample(names, 2)
        if (source, target) in seen:
            continue
        seen.add((source, target))
        found = islice(steps.walks(source, target, hops=params.max_hops), params.paths_per_pair)
        told: list[object] = [steps.walk(*walk) for walk in found]
        if told:
            walks += len(told)
            key = f"{len(seen):07d}"
            data: dict[str, object] = {"walks": told, "group": "|".join(sorted((source, target)))}
            yield WorkItem(key=key, seed=seed_of(seed, key), data=data)
    if not walks:
        way = "along its edges' direction" if params.directed else "either way"
        raise InvalidRequest(
            f"none of {len(seen)} pairs of nodes is joined by {params.max_hops} edges or fewer, {way};"
            f" {edges_told(steps.graph)}",
            field="inputs",
            remedy="give edges whose source and target are ids of nodes, or raise params.maxHops",
        )


def made_graph(params: Params, seed: int) -> Graph:
    """Nodes whose pull follows a Pareto law, so that few become hubs; the same for the same seed."""
    draw = random.Random(seed)
    names = [f"n{n}" for n in range(params.nodes)]
    pulls = [draw.paretovariate(1.5) for _ in names]
    kinds = sorted(GRAPH.predicates)
    nodes = [Node(id=name, content=f"memory {name[1:]}", name=None, type=None) for name in names]
    edges: dict[tuple[str, str], Edge] = {}
    for _ in range(20 * params.edges):  # small graphs may not have room for as many
        if len(edges) == params.edges:
            break
        source, target = draw.choices(names, pulls, k=2)
        if source != target:
            edge = Edge(source=source, target=target, type=draw.choice(kinds), weight=None)
            edges.setdefault((source, target), edge)
    return graph_of(nodes, edges.values())


RECIPE: Recipe = PathReward()
