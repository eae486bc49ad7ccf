"""A provider's published OpenAPI document, made strict: what it does not name is a problem.

Knows OpenAPI 3.1 as far as these documents use it, and nothing of HTTP or of emulators. The documents lie beside the
repository; where they are absent, `available()` says so and whoever needs them skips. Their known defects and what they
lack are in spec_corrections.py, each with its reason; a correction that fits no more fails at load.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, cast
from urllib.parse import unquote, urlsplit

import msgspec
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError, best_match
from msgspec import Struct
from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY, SchemaRegistry
from tests.emulators.schema_closing import Node, closed, dereferenced, is_binary, node, pointed, steps
from tests.emulators.spec_corrections import corrections

SPECS = Path(__file__).resolve().parents[2].parent / "shared" / "specs"
PROVIDERS = ("openai", "fireworks", "together", "mistral")
Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"

LONGEST_PROBLEM = 300  # a message quotes the instance, and that may be a whole body


def available() -> bool:
    return all((SPECS / name / "openapi.finetuning.json").is_file() for name in PROVIDERS)


needs_specs = pytest.mark.skipif(not available(), reason="the providers' published specs are not beside this checkout")


class Absent:
    """The type of ABSENT: no body was sent, which is not the same as null."""


ABSENT = Absent()


class Part(Struct, frozen=True, kw_only=True):
    """One part of a multipart body, or a raw body. data is None where it was larger than what an emulator keeps."""

    filename: str | None = None
    content_type: str = ""
    size_bytes: int = 0
    sha256: str = ""
    data: bytes | None = None

    @property
    def text(self) -> str:
        return (self.data or b"").decode()


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one path. parameters are resolved; pointers lead into the closed documents."""

    method: str
    template: str
    pointer: str
    definition: Node
    parameters: tuple[Node, ...]


class PublishedSpec:
    """Ask it of every request and every answer. Validators are built once, when they are first needed."""

    def __init__(self, provider: str, document: Node) -> None:
        self.provider = provider
        self._prefix = urlsplit(str(_list(document["servers"])[0]["url"])).path.rstrip("/")
        self._sent = closed(document, sent=True)
        self._answered = closed(document, sent=False)
        self._registry: SchemaRegistry = EMPTY_REGISTRY
        for uri, part in (("spec:sent", self._sent), ("spec:answered", self._answered)):
            self._registry = self._registry.with_resource(uri, DRAFT202012.create_resource(part))
        self._formats = _formats(provider)
        self._validators: dict[str, Draft202012Validator] = {}
        self._templates = _templates(node(document["paths"]), self._prefix)
        self._operations: dict[tuple[str, str], Operation] = {}

    @classmethod
    def load(cls, provider: str) -> "PublishedSpec":
        """The document of that provider, corrected. One instance per process; raises where the folder is absent."""
        return _loaded(provider)

    def request_problems(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: object = ABSENT,
        multipart: Mapping[str, Part] | None = None,
    ) -> list[str]:
        """What is wrong with a request. path: as it stands in the request line, with the server's own prefix."""
        found = self._operation(method, path)
        if isinstance(found, str):
            return [found]
        operation, values = found
        pairs: list[tuple[str, str]] = (
            list(cast(Mapping[str, str], query).items()) if isinstance(query, Mapping) else list(query)
        )
        problems = [
            *self._parameter_problems(operation, "path", list(values.items())),
            *self._parameter_problems(operation, "query", pairs),
            *self._body_problems(operation, body, multipart),
        ]
        return [f"{method.upper()} {operation.template}: {problem}" for problem in problems]

    def response_problems(self, method: str, path: str, status: int, body: object = ABSENT) -> list[str]:
        """What is wrong with an answer. Only JSON bodies are looked at; errors only where the document has them."""
        found = self._operation(method, path)
        if isinstance(found, str):
            return [found]
        operation, _ = found
        where = f"{method.upper()} {operation.template} -> {status}"
        responses = node(operation.definition["responses"])
        word = next((w for w in (str(status), f"{status // 100}XX", "default") if w in responses), None)
        if word is None:
            return [f"{where}: no such answer is published"] if status < 300 else []
        response = dereferenced(self._answered, node(responses[word]))
        if body is ABSENT or "application/json" not in node(response.get("content", {})):
            return []
        pointer = f"{operation.pointer}/responses/{word}/content/application~1json/schema"
        return [f"{where}: {problem}" for problem in self._problems("spec:answered", pointer, body)]

    def _operation(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | str:
        for template, pattern in self._templates:
            match = pattern.fullmatch(path)
            if match and method.lower() in node(node(self._sent["paths"])[template]):
                values = {name: unquote(value) for name, value in match.groupdict().items()}
                return self._described(method.lower(), template), values
        return f"{method.upper()} {path}: {self.provider} publishes no such path"

    def _described(self, method: str, template: str) -> Operation:
        known = self._operations.get((method, template))
        if known is not None:
            return known
        item = node(node(self._sent["paths"])[template])
        definition = node(item[method])
        parameters = [*_list(item.get("parameters", [])), *_list(definition.get("parameters", []))]
        known = self._operations[method, template] = Operation(
            method=method,
            template=template,
            pointer=f"/paths/{template.replace('~', '~0').replace('/', '~1')}/{method}",
            definition=definition,
            parameters=tuple(dereferenced(self._sent, parameter) for parameter in parameters),
        )
        return known

    def _parameter_problems(self, operation: Operation, place: str, pairs: list[tuple[str, str]]) -> Iterator[str]:
        declared = {
            str(p["name"]): self._resolved(node(p.get("schema", {}))) for p in operation.parameters if p["in"] == place
        }
        required = {str(p["name"]) for p in operation.parameters if p["in"] == place and p.get("required")}
        given = _gathered(pairs, declared)
        for name in sorted(given.keys() | declared.keys()):
            if name not in declared:
                yield f"unknown {place} key {name!r}"
            elif name in given:
                for problem in self._instance_problems(declared[name], given[name]):
                    yield f"{place} key {name!r}: {problem}"
            elif name in required:
                yield f"{place} key {name!r} is missing"

    def _body_problems(self, operation: Operation, body: object, multipart: Mapping[str, Part] | None) -> list[str]:
        declared = node(operation.definition.get("requestBody", {}))
        if not declared:
            # SDKs send {} or nothing where an operation takes no body; both mean the same.
            return [] if (body is ABSENT or body == {}) and not multipart else ["takes no body, and one was sent"]
        reference = declared.get("$ref")
        pointer = str(reference).removeprefix("#") if reference else f"{operation.pointer}/requestBody"
        declared = dereferenced(self._sent, declared)
        kinds = node(declared["content"])
        if body is ABSENT and multipart is None:
            return ["a body is required"] if declared.get("required") else []
        kind = "application/json" if multipart is None else "multipart/form-data"
        if kind not in kinds:
            return [f"takes {', '.join(kinds)}, and was sent {kind}"]
        pointer = f"{pointer}/content/{kind.replace('/', '~1')}/schema"
        if multipart is None:
            return self._problems("spec:sent", pointer, body)
        return self._multipart_problems(pointer, multipart)

    def _multipart_problems(self, pointer: str, parts: Mapping[str, Part]) -> list[str]:
        schema = self._resolved(pointed(self._sent, pointer))
        properties = node(schema.get("properties", {}))
        problems: list[str] = []
        instance: dict[str, object] = {}
        for name, part in parts.items():
            outer, _, inner = name.partition("[")
            declared = self._resolved(node(properties.get(outer, {})))
            if is_binary(declared) != (part.filename is not None) and outer in properties:
                wanted = "a file" if is_binary(declared) else "a plain field"
                problems.append(f"part {name!r} must be {wanted}")
            if is_binary(declared):
                instance[outer] = "(a file)"
            elif inner:
                inside = self._resolved(node(node(declared.get("properties", {})).get(inner.rstrip("]"), {})))
                cast(dict[str, object], instance.setdefault(outer, {}))[inner.rstrip("]")] = read([part.text], inside)
            else:
                instance[outer] = read([part.text], declared)
        return problems + self._problems("spec:sent", pointer, instance)

    def _problems(self, uri: str, pointer: str, instance: object) -> list[str]:
        key = f"{uri}#{pointer}"
        validator = self._validators.get(key)
        if validator is None:
            validator = self._validators[key] = self._validator({"$ref": key})
        return list(_told(validator.iter_errors(cast(Json, instance))))

    def _instance_problems(self, schema: Node, instance: object) -> list[str]:
        key = msgspec.json.encode(schema).decode()
        validator = self._validators.get(key)
        if validator is None:
            # Parameters stand outside the closed positions, so their references are given the document's address.
            absolute = msgspec.json.decode(key.replace('"#/', '"spec:sent#/'))
            validator = self._validators[key] = self._validator(absolute)
        return list(_told(validator.iter_errors(cast(Json, instance))))

    def _validator(self, schema: Node) -> Draft202012Validator:
        return Draft202012Validator(schema, registry=self._registry, format_checker=self._formats)

    def _resolved(self, schema: Node) -> Node:
        return dereferenced(self._sent, schema)


@functools.cache
def _loaded(provider: str) -> PublishedSpec:
    document = msgspec.json.decode((SPECS / provider / "openapi.finetuning.json").read_bytes(), type=dict[str, object])
    for correction in corrections(provider):
        correction.apply(document)
    return PublishedSpec(provider, document)


def _templates(paths: Node, prefix: str) -> list[tuple[str, re.Pattern[str]]]:
    """The templates with their patterns, the most literal first: `{id}:upload` is asked before `{id}`."""
    verbs = any("}:" in template for template in paths)
    inside = "[^/:]+" if verbs else "[^/]+"
    found = []
    for template in sorted(paths, key=lambda t: -len(re.sub(r"\{[^}]*\}", "", t))):
        pieces = re.split(r"(\{[^}]*\})", prefix + template)
        pattern = "".join(f"(?P<{p[1:-1]}>{inside})" if p.startswith("{") else re.escape(p) for p in pieces)
        found.append((template, re.compile(pattern)))
    return found


def _gathered(pairs: list[tuple[str, str]], declared: Mapping[str, Node]) -> dict[str, object]:
    """Values by key, read as published: `a[b]=c` where `a` is an object, `a=1&a=2` where it is an array."""
    texts: dict[str, list[str]] = {}
    objects: dict[str, dict[str, str]] = {}
    for name, text in pairs:
        outer, _, inner = name.partition("[")
        if outer in declared and inner.rstrip("]"):
            objects.setdefault(outer, {})[inner.rstrip("]")] = text
        else:
            texts.setdefault(name.removesuffix("[]"), []).append(text)
    return {**{name: read(given, declared.get(name, {})) for name, given in texts.items()}, **objects}


def read(values: list[str], schema: Node) -> object:
    """A parameter's text as the type that its schema names; the text itself where it reads as none of them."""
    kinds = _kinds(schema)
    if "array" in kinds:
        inner = node(schema.get("items", {}))
        return [read([value], inner) for value in values]
    text = values[-1]
    if "string" in kinds or not kinds:
        return text
    readers: dict[str, Callable[[str], object]] = {"integer": int, "number": float}
    for kind, reader in readers.items():
        if kind in kinds:
            try:
                return reader(text)
            except ValueError:
                continue
    if "boolean" in kinds and text in {"true", "false"}:
        return text == "true"
    return text


def _kinds(schema: Node) -> set[str]:
    own = schema.get("type", [])
    kinds = {own} if isinstance(own, str) else set(cast(list[str], own))
    for union in ("anyOf", "oneOf", "allOf"):
        kinds |= {kind for branch in _list(schema.get(union, [])) for kind in _kinds(branch)}
    return kinds


def _told(errors: Iterable[ValidationError]) -> Iterator[str]:
    for error in errors:
        inner = best_match([error]) or error
        where = "/".join(str(step) for step in inner.absolute_path) or "(top)"
        yield f"{where}: {inner.message}"[:LONGEST_PROBLEM]


def _formats(provider: str) -> FormatChecker:
    """Formats that these documents mean: Together writes uuid beside ids that are none, so it is not asked there."""
    checker = FormatChecker(formats=["uuid"] if provider == "mistral" else [])

    def is_int64(value: object) -> bool:
        return not isinstance(value, str) or re.fullmatch(r"-?\d+", value) is not None

    checker.checks("int64")(is_int64)
    return checker


def _list(value: object) -> list[Node]:
    return cast(list[Node], value)


__all__ = ["ABSENT", "PROVIDERS", "SPECS", "Part", "PublishedSpec", "available", "needs_specs", "read", "steps"]
