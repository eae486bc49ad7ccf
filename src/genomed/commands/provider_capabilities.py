"""genome/provider-capabilities: what a provider can do, for forms and agents that build configurations."""

import msgspec
from msgspec import Struct

from genomed.commands.context import Context
from genomed.entities.capabilities import ProviderCapabilities
from genomed.entities.configuration import JobConfiguration, Name
from genomed.entities.narrowing import narrowed_schema
from genomed.entities.types import Role

NAME = "genome/provider-capabilities"
SUMMARY = "Show what a provider can do, with the schema it accepts."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """provider: one of genome/provider-list; none given: all."""

    provider: Name | None = None


class Described(Struct, frozen=True, kw_only=True, rename="camel"):
    """schema: the universal JSON Schema of a configuration, narrowed to what this provider takes."""

    capabilities: ProviderCapabilities
    schema: dict[str, object]


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    providers: tuple[Described, ...]


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound for a provider that does not exist."""
    names = context.providers.names() if params.provider is None else (params.provider,)
    universal = msgspec.json.schema(JobConfiguration)
    described = []
    for name in names:
        able = await context.providers.get(name).capabilities()
        described.append(Described(capabilities=able, schema=narrowed_schema(universal, able)))
    return Result(providers=tuple(described))
