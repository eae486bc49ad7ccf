"""The HTTP door as an OpenAPI 3.1 document, made from the commands' own types. Pure but for the door at its end.

One path per command; what any of them can answer instead of its result is described once.
"""

from collections.abc import Sequence
from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from genomed import __version__, commands
from genomed.commands.context import CommandModule
from genomed.daemon.dispatch import Reply
from genomed.daemon.doors.http_door import STATUS, HttpDoor, json_response
from genomed.entities.errors import GenomeError
from genomed.entities.wire import Refusal

Json = dict[str, Any]

REF = "#/components/schemas/{name}"
TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and body replay the first answer; the same key and another body are a conflict.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$"},
}


def document(modules: Sequence[CommandModule]) -> Json:
    """Schemas of the same name are told apart by where they are defined."""
    types = [one for module in modules for one in (module.Params, module.Result)] + [Refusal, Reply]
    schemas, components = msgspec.json.schema_components(types, schema_hook=_anything, ref_template=REF)
    pairs = list(zip(schemas[:-2:2], schemas[1:-2:2], strict=True))
    paths = {
        f"/{module.NAME}": {"post": _operation(module, *pair)} for module, pair in zip(modules, pairs, strict=True)
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "genomed", "version": __version__, "summary": "Commands of a genomed daemon, over HTTP."},
        "paths": paths | {"/healthz": {"get": _health()}},
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {"refusal": _response("It was not carried out, and says why.", schemas[-2])},
        },
        "security": [{}, {"token": []}],
    }


def _operation(module: CommandModule, params: Json, result: Json) -> Json:
    refusals = sorted({int(status) for status in STATUS.values()} | {int(TOO_LARGE)})
    answered = {
        "type": "object",
        "properties": {"result": result, "head": {"$ref": REF.format(name="Head")}, "replayed": {"type": "boolean"}},
        "required": ["result", "head"],
    }
    return {
        "operationId": module.NAME.removeprefix("genome/"),
        "summary": module.SUMMARY,
        "description": f"{(module.Params.__doc__ or '').strip()}\n\nNeeds the role `{module.ROLE}`.".strip(),
        "parameters": [KEY],
        "requestBody": {"required": False, "content": {"application/json": {"schema": params}}},
        "responses": {"200": _carried_out(module, answered)}
        | {str(status): {"$ref": "#/components/responses/refusal"} for status in refusals},
    }


def _carried_out(module: CommandModule, answered: Json) -> Json:
    """A command that has pieces sends them to whoever asks with `stream`."""
    response = _response("It was carried out.", answered)
    if hasattr(module, "Piece"):
        told = "With `stream`: an event `piece` for each piece, then `result` or `error` with the whole reply."
        response["content"]["text/event-stream"] = {"schema": {"type": "string", "description": told}}
    return response


def _health() -> Json:
    schema = {"type": "object", "required": ["ok", "version", "pid", "head", "readOnly"]}
    return {"operationId": "healthz", "responses": {"200": _response("The daemon lives.", schema)}}


def _response(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _anything(_: type) -> Json:
    """`object`, and JSON passed through as it is, admit any value."""
    return {"description": "any JSON value"}


@cache
def _encoded() -> bytes:
    return msgspec.json.encode(document(commands.commands()))


class OpenApiDoor:
    """GET /openapi.json, for whoever has a role."""

    def __init__(self, door: HttpDoor) -> None:
        self._door = door

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/openapi.json", self.describe)]

    async def describe(self, request: web.Request) -> web.Response:
        try:
            await self._door.caller(request, "openapi")
        except GenomeError as error:
            return self._door.refused(error)
        return json_response(_encoded(), HTTPStatus.OK)
