"""relations.from_graph: the texts of a knowledge graph's nodes, and those of its edges that the text itself names.

Asks no model. An edge whose ends do not both stand in the node's text is left out: whoever learned it would learn to
make things up. The schema, prompt and answer are those of relations.generate.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Annotated

from msgspec import Meta, Struct

from genomed.entities.errors import InvalidRequest
from genomed.entities.recipe_port import Candidate, Finding, Need, Recipe, TaskMetric, Tools, WorkItem
from genomed.entities.rows import Row, kind_of
from genomed.entities.types import RowKind
from genomed.recipes._graph import Graph, Node, edges_told, read_graph
from genomed.recipes._planning import seed_of
from genomed.recipes._records import own, read, record_of, record_row, refuse_kind
from genomed.recipes._relation_task import (
    PROMPTS,
    SEEDS,
    TASK,
    Answer,
    Extraction,
    Lists,
    Mention,
    Relation,
    example,
    faults,
    grounded,
    triple,
)
from genomed.recipes._trying import Made, candidate, finding, unusable
from genomed.recipes._wording import seeds
from genomed.recipes.metrics.json_validity import JsonValidity
from genomed.recipes.metrics.labels import ExactMatch
from genomed.recipes.metrics.sets import SetScores

LONGEST_NAME = 60
"""Characters of a first sentence that still can be a name: reference/cogniverse-ragd-ucotron.md 3.2, graph export."""

_SENTENCE = re.compile(r"[.!?\n]")


class GraphSeeds(Struct, frozen=True, kw_only=True):
    """predicates: edge type -> relation type. groups: of edge types that mean something alike."""

    predicates: dict[str, str]
    groups: dict[str, tuple[str, ...]]


GRAPH = seeds("graph", GraphSeeds)
OTHER = "entity"
"""The type of nodes whose own type is not in the list."""


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """predicates: which edge types count, and what they are called; the built-in ones where it is empty."""

    predicates: dict[str, str] = {}
    entity_types: tuple[str, ...] = (*SEEDS.names, OTHER)
    min_relations: Annotated[int, Meta(ge=1)] = 1
    max_chars: Annotated[int, Meta(ge=64, le=32768)] = 2048

    @property
    def all_predicates(self) -> dict[str, str]:
        return self.predicates or GRAPH.predicates

    @property
    def lists(self) -> Lists:
        return Lists(
            entity_types=tuple(dict.fromkeys((*self.entity_types, OTHER))),
            relation_types=tuple(dict.fromkeys(self.all_predicates.values())),
        )


class Told(Struct, frozen=True, kw_only=True):
    """One edge in words. weight: 0 to 1, where the graph says."""

    relation: Relation
    weight: float | None = None


class Passage(Struct, frozen=True, kw_only=True):
    """What an item holds: a node's text, the names it may hold, and what the graph says of them."""

    text: str
    mentions: tuple[Mention, ...]
    edges: tuple[Told, ...]
    group: str


class RelationsFromGraph:
    name = "relations.from_graph"
    version = "1"
    summary = "Texts of a knowledge graph's nodes with the relations that they state; asks no model"
    task = TASK
    output: tuple[RowKind, ...] = (RowKind.RECORD, RowKind.CHAT)
    needs: frozenset[Need] = frozenset({Need.INPUTS})
    templates: Mapping[str, str] = PROMPTS
    Params: type[Struct] = Params

    def plan(
        self,
        params: Struct,
        *,
        inputs: Iterable[Mapping[str, object]],
        wanted: int,  # noqa: ARG002 (every node that has relations may be needed, as others fail)
        seed: int,
    ) -> Iterator[WorkItem]:
        told = own(params, Params)
        return _items(read_graph(inputs), told, seed)

    async def produce(self, item: WorkItem, params: Struct, tools: Tools) -> Sequence[Candidate]:  # noqa: ARG002
        passage = read(item.data, Passage)
        lists = own(params, Params).lists
        given = Answer(entities=passage.mentions, relations=tuple(edge.relation for edge in passage.edges))
        record, kept = grounded(passage.text, given, lists)
        if not record.relations:
            return ()
        trust = _trust(record, passage)
        made = Made(row=record_row(TASK, record), kept=kept * trust, notes={"dropped": _dropped(record, passage)})
        return (candidate(made, tries=1),)

    async def again(
        self,
        candidate: Row,  # noqa: ARG002 (the port's)
        item: WorkItem,  # noqa: ARG002
        params: Struct,  # noqa: ARG002
        tools: Tools,  # noqa: ARG002
        *,
        feedback: str | None,  # noqa: ARG002
    ) -> Candidate | None:
        """The graph says what it says: asked again, it says the same."""
        return None

    def check(self, candidate: Candidate, item: WorkItem, params: Struct) -> Finding:  # noqa: ARG002
        told = own(params, Params)
        try:
            record = record_of(candidate.row, TASK, Extraction)
        except ValueError as wrong:
            return unusable(wrong)
        reasons = faults(record, told.lists)
        if 0 < len(record.relations) < told.min_relations:
            reasons += ("the text states fewer relations than minRelations",)
        return finding(reasons, candidate)

    def compile(self, row: Row, kind: RowKind, params: Struct) -> Sequence[Row]:
        if kind_of(row) is kind:
            return (row,)
        if kind is not RowKind.CHAT:
            raise refuse_kind(self.name, row, kind, self.output)
        return (example(record_of(row, TASK, Extraction), own(params, Params).lists),)

    def metrics(self) -> Sequence[TaskMetric]:
        return (SetScores(field="relations"), JsonValidity(), ExactMatch())


def _items(graph: Graph, params: Params, seed: int) -> Iterator[WorkItem]:
    """Nodes in an order that the seed makes and the order of the lines does not change. Raises InvalidRequest where no
    node has what it takes.
    """
    found = False
    keyed = sorted((sha256(f"{seed}/{node}".encode()).hexdigest()[:32], node) for node in graph.outgoing)
    for key, identity in keyed:
        node = graph.nodes[identity]
        edges = [edge for edge in graph.outgoing[identity] if edge.type in params.all_predicates]
        named = _name(node)
        if len(edges) < params.min_relations or not node.content or not named:
            continue
        ends = [(edge, graph.nodes[edge.target]) for edge in edges]
        data: dict[str, object] = {
            "text": cut(node.content, params.max_chars),
            "mentions": [
                {"text": name, "type": one.type if one.type in params.entity_types else OTHER}
                for one in (node, *(target for _, target in ends))
                if (name := _name(one))
            ],
            "edges": [
                {
                    "relation": {"subject": named, "relation": params.all_predicates[edge.type], "object": name},
                    "weight": edge.weight,
                }
                for edge, target in ends
                if (name := _name(target))
            ],
            "group": identity,
        }
        found = True
        yield WorkItem(key=key, seed=seed_of(seed, key), data=data)
    if not found:
        raise _nothing(graph, params)


def _nothing(graph: Graph, params: Params) -> InvalidRequest:
    """Says what the graph has, since what it lacks is seen beside that."""
    known = params.all_predicates
    counted = any(edge.type in known for edges in graph.outgoing.values() for edge in edges)
    if counted or not graph.outgoing:
        return InvalidRequest(
            f"no node of the graph has a text, a name and {params.min_relations} edges that count; {edges_told(graph)}",
            field="inputs",
            remedy="give nodes a content and a name, and edges that join them",
        )
    own_type = min(edge.type for edges in graph.outgoing.values() for edge in edges)
    return InvalidRequest(
        f"none of the graph's edges counts: {edges_told(graph)}; params.predicates has {', '.join(sorted(known))}",
        field="params.predicates",
        remedy=f'say which types count and what they are called, such as {{"{own_type}": "{own_type}"}}',
    )


def _name(node: Node) -> str | None:
    """Its name, else its first sentence where that is short enough to be one."""
    if node.name:
        return node.name if len(node.name) <= 128 else None
    opening = _SENTENCE.split(node.content, maxsplit=1)[0].strip()
    return opening if 0 < len(opening) <= LONGEST_NAME else None


def cut(text: str, longest: int) -> str:
    """At the end of a word, counting code points; inside one only where there is no other way."""
    if len(text) <= longest:
        return text
    end = max(text.rfind(space, 0, longest + 1) for space in " \n\t")
    return text[: end if end > 0 else longest].rstrip()


def _trust(record: Extraction, passage: Passage) -> float:
    """The mean weight of the edges that were kept; 1 where the graph weighs none of them."""
    kept = {triple(relation) for relation in record.relations}
    weights = [edge.weight for edge in passage.edges if edge.weight is not None and triple(edge.relation) in kept]
    return sum(weights) / len(weights) if weights else 1.0


def _dropped(record: Extraction, passage: Passage) -> int:
    return len({triple(edge.relation) for edge in passage.edges}) - len(record.relations)


RECIPE: Recipe = RelationsFromGraph()
