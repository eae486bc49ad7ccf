"""A knowledge graph from JSON Lines: nodes and edges in any order, one per line.

A line is `{"node": {...}}` or `{"edge": {...}}`, or the inner object alone: with source and target it is an edge, with
an id a node. Knows the names that graph stores give to the same things.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

from genomed.entities.errors import InvalidRequest, Problem
from genomed.recipes._names import composed

MOST_PROBLEMS = 100
TYPES_TOLD = 5
NODE_TYPES = ("type", "nodeType", "node_type", "entityType", "entity_type")
EDGE_TYPES = ("type", "edgeType", "edge_type", "relation", "predicate")
CONTENTS = ("content", "text", "description")
WEIGHTS = ("weight", "confidence")


class Node(Struct, frozen=True, kw_only=True):
    id: str
    content: str
    name: str | None
    type: str | None


class Edge(Struct, frozen=True, kw_only=True):
    """weight: 0 to 1, null where the graph does not say."""

    source: str
    target: str
    type: str
    weight: float | None


class Graph(Struct, frozen=True, kw_only=True):
    """outgoing: by source, only edges both of whose ends are there. loose: how many had an unknown end."""

    nodes: dict[str, Node]
    outgoing: dict[str, tuple[Edge, ...]]
    loose: int


def graph_of(nodes: Iterable[Node], edges: Iterable[Edge]) -> Graph:
    known = {node.id: node for node in nodes}
    outgoing: dict[str, list[Edge]] = {}
    loose = 0
    for edge in edges:
        if edge.source in known and edge.target in known:
            outgoing.setdefault(edge.source, []).append(edge)
        else:
            loose += 1
    return Graph(nodes=known, outgoing={source: tuple(found) for source, found in outgoing.items()}, loose=loose)


def edges_told(graph: Graph) -> str:
    """How many edges there are of which types, the most frequent first, for people."""
    counts = Counter(edge.type for found in graph.outgoing.values() for edge in found)
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    told = [f"{kind!r} ({count})" for kind, count in ordered[:TYPES_TOLD]]
    if len(ordered) > TYPES_TOLD:
        told.append(f"{len(ordered) - TYPES_TOLD} types more")
    loose = f"; edges with an end that is no node: {graph.loose}" if graph.loose else ""
    return ("its edge types are " + ", ".join(told) if told else "no edge joins two of its nodes") + loose


def read_graph(lines: Iterable[Mapping[str, object]]) -> Graph:
    """Raises InvalidRequest that names the first hundred lines that are neither, or for a graph without nodes."""
    nodes: list[Node] = []
    edges: list[Edge] = []
    wrong: list[Problem] = []
    for number, line in enumerate(lines, 1):
        try:
            _take(line, nodes, edges)
        except ValueError as reason:
            if len(wrong) < MOST_PROBLEMS:
                wrong.append(Problem(field=f"inputs[{number}]", message=str(reason)))
    if wrong:
        raise InvalidRequest.of(wrong)
    if not nodes:
        raise InvalidRequest(
            "the graph has no nodes", field="inputs", remedy="give JSON Lines of nodes and edges, one object per line"
        )
    return graph_of(nodes, edges)


def _take(line: Mapping[str, object], nodes: list[Node], edges: list[Edge]) -> None:
    node, edge = line.get("node"), line.get("edge")
    if isinstance(node, dict):
        nodes.append(_node(node))
    elif isinstance(edge, dict):
        edges.append(_edge(edge))
    elif "source" in line and "target" in line:
        edges.append(_edge(line))
    elif "id" in line:
        nodes.append(_node(line))
    else:
        raise ValueError("is neither a node (id) nor an edge (source and target)")


def _node(fields: Mapping[str, object]) -> Node:
    return Node(
        id=_id(fields, "id"),
        content=composed(_text(fields, CONTENTS) or ""),
        name=composed(_text(fields, ("name", "label")) or "") or None,
        type=_text(fields, NODE_TYPES),
    )


def _edge(fields: Mapping[str, object]) -> Edge:
    kind = _text(fields, EDGE_TYPES)
    if not kind:
        raise ValueError("is an edge without a type")
    return Edge(source=_id(fields, "source"), target=_id(fields, "target"), type=kind, weight=_weight(fields))


def _weight(fields: Mapping[str, object]) -> float | None:
    """Cut to 0 to 1; null where there is none."""
    given = next((fields[name] for name in WEIGHTS if fields.get(name) is not None), None)
    match given:
        case None:
            return None
        case bool():
            raise ValueError("has a weight that is no number")
        case int() | float():
            return min(1.0, max(0.0, float(given)))
        case _:
            raise ValueError("has a weight that is no number")


def _id(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ValueError(f"has no {name}, or one that is neither text nor number")
    return str(value)


def _text(fields: Mapping[str, object], names: Iterable[str]) -> str | None:
    return next((value for name in names if isinstance(value := fields.get(name), str) and value.strip()), None)
