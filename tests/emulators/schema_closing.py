"""OpenAPI documents as plain data: pointers, references, and closing objects against unknown keys.

Knows JSON Schema 2020-12 as far as the providers use it. A published object that names its properties and says nothing
of others takes any key, so a misspelt field would pass; `closed` lets none pass that no branch of its schema evaluates.
"""

import copy
from typing import cast

type_object = "object"
Node = dict[str, object]
UNIONS = ("allOf", "anyOf", "oneOf")


def node(value: object) -> Node:
    assert isinstance(value, dict), f"an object was expected here, not {value!r}"
    return cast(Node, value)


def steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.lstrip("/").split("/")]


def stepped(inside: object, step: str) -> object:
    """One step of a JSON pointer. Raises LookupError where it leads nowhere."""
    if isinstance(inside, list):
        return inside[int(step)]
    return node(inside)[step]


def pointed(document: Node, pointer: str) -> Node:
    found: object = document
    for step in steps(pointer):
        found = stepped(found, step)
    return node(found)


def dereferenced(document: Node, schema: Node) -> Node:
    """The schema that a reference leads to; a keyword beside the reference is kept where the target has none."""
    while "$ref" in schema:
        target = pointed(document, str(schema["$ref"]).removeprefix("#"))
        schema = {**{k: v for k, v in schema.items() if k != "$ref"}, **target}
    return schema


def is_binary(schema: Node) -> bool:
    return schema.get("format") == "binary"


def closed(document: Node, *, sent: bool) -> Node:
    """A copy in which unknown keys fail at every depth. sent: as a request, in which read-only keys are unknown too."""
    copied = copy.deepcopy(document)
    if sent:
        _drop_read_only(copied)
    _Closing(copied).close()
    return copied


def _drop_read_only(inside: object) -> None:
    if isinstance(inside, list):
        for item in inside:
            _drop_read_only(item)
    elif isinstance(inside, dict):
        properties = inside.get("properties")
        if isinstance(properties, dict):
            ours = [k for k, v in properties.items() if isinstance(v, dict) and v.get("readOnly") is True]
            for key in ours:
                del properties[key]
            if ours and isinstance(inside.get("required"), list):
                inside["required"] = [key for key in inside["required"] if key not in ours]
        for value in inside.values():
            _drop_read_only(value)


class _Closing:
    """Closes where a value stands (a body, a property, an item), never a branch: a branch sees only its own keys."""

    def __init__(self, document: Node) -> None:
        self._document = document

    def close(self) -> None:
        components = node(self._document.get("components", {}))
        for schema in node(components.get("schemas", {})).values():
            self._inside(node(schema))
        self._bodies(self._document["paths"])
        self._bodies({k: v for k, v in components.items() if k != "schemas"})

    def _bodies(self, inside: object) -> None:
        if isinstance(inside, list):
            for item in inside:
                self._bodies(item)
        elif isinstance(inside, dict):
            for key, value in inside.items():
                if key == "schema" and isinstance(value, dict):
                    self._position(value)
                else:
                    self._bodies(value)

    def _position(self, schema: Node) -> None:
        self._inside(schema)
        leaves = list(self._leaves(schema, set()))
        names_keys = any("properties" in leaf for leaf in leaves)
        takes_any = any(
            leaf.get("type") == type_object and not leaf.keys() & {"properties", *UNIONS, "$ref"} for leaf in leaves
        )
        if names_keys and not takes_any and "unevaluatedProperties" not in schema:
            schema["unevaluatedProperties"] = False

    def _inside(self, schema: Node) -> None:
        for union in UNIONS:
            for branch in cast(list[Node], schema.get(union, [])):
                self._inside(branch)
        for value in node(schema.get("properties", {})).values():
            self._position(node(value))
        for keyword in ("items", "additionalProperties"):
            value = schema.get(keyword)
            if isinstance(value, dict):
                self._position(value)

    def _leaves(self, schema: Node, seen: set[str]) -> list[Node]:
        """The schema and everything that it is composed of, through references."""
        found = [schema]
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in seen:
            seen.add(reference)
            found += self._leaves(pointed(self._document, reference.removeprefix("#")), seen)
        for union in UNIONS:
            for branch in cast(list[Node], schema.get(union, [])):
                found += self._leaves(branch, seen)
        return found
