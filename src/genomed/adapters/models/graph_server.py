"""A knowledge graph over HTTP, as the lines that recipes read: one node or edge each.

The server answers GET <address>/graph?limit=N with {"nodes": [...], "edges": [...]}; namespace and key travel as
headers (reference/cogniverse-ragd-ucotron.md 3.2, path reward). Knows nothing of what nodes and edges mean.
"""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from genomed.adapters._http import Http
from genomed.entities.json_value import JsonObject

SHORT_WAIT_S = 30.0
MOST_NODES = 500


class _Graph(Struct, frozen=True):
    nodes: list[JsonObject]
    edges: list[JsonObject] = []


async def graph_lines(
    address: str,
    *,
    namespace: str | None = None,
    api_key: Callable[[], Awaitable[str | None]] | None = None,
    limit: int = MOST_NODES,
    redact: Callable[[str], str] = str,
) -> list[JsonObject]:
    """Nodes, then edges, as {"node": ...} and {"edge": ...}. api_key: asked for when it is needed, kept nowhere.

    Raises Transient or what the server's refusal means; MalformedResponse for an answer that is no graph.
    """

    async def headers() -> dict[str, str]:
        key = await api_key() if api_key is not None else None
        named = {"X-Ucotron-Namespace": namespace, "X-Api-Key": key}
        return {name: value for name, value in named.items() if value is not None}

    http = Http(address, headers=headers, provider="graph server", timeout_s=SHORT_WAIT_S, redact=redact)
    try:
        reply = await http.ask("GET", "/graph", query={"limit": limit})
    finally:
        await http.aclose()
    graph = reply.read(_Graph)
    nodes: list[JsonObject] = [{"node": node} for node in graph.nodes]
    return nodes + [{"edge": edge} for edge in graph.edges]
