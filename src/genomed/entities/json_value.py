"""JSON that we carry and do not look into: tool descriptions, recipes' params, task records."""

from typing import Annotated

from msgspec import Meta

Json = Annotated[object, Meta(extra_json_schema={"description": "any JSON value"})]
JsonObject = dict[str, Json]
