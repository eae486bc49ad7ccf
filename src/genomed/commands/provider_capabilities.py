"""genome/provider-capabilities: what a provider can do, for forms and agents that build configurations."""

import msgspec
from msgspec import Struct

from genomed.commands.context import Context
from genomed.commands.provider_list import missing_secrets
from genomed.entities.capabilities import ProviderCapabilities
from genomed.entities.configuration import JobConfiguration, Name
from genomed.entities.limits import RANGED_FIELDS, Range, range_of
from genomed.entities.narrowing import narrowed, narrowed_schema
from genomed.entities.types import Role

NAME = "genome/provider-capabilities"
SUMMARY = "Show what a provider can do, with the schema it accepts."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """provider: one of genome/provider-list; none given: all."""

    provider: Name | None = None


class Described(Struct, frozen=True, kw_only=True, rename="camel"):
    """schema: the universal JSON Schema of a configuration, narrowed to what this provider takes.

    ranges: of every number of a configuration as it applies there, by wire path; default null: it has none that fits.
    mustBeSaid: what it needs, and what it would refuse as it is by default. missingSecrets: references that lead to
    nothing. confirm: what triggers ask for there waits for an operator.
    """

    capabilities: ProviderCapabilities
    ranges: dict[str, Range]
    must_be_said: tuple[str, ...]
    missing_secrets: tuple[str, ...]
    confirm: bool
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
        facts = narrowed(able)
        described.append(
            Described(
                capabilities=able,
                ranges={path: facts.ranges.get(path, range_of(path)) for path in RANGED_FIELDS},
                must_be_said=facts.must_be_said,
                missing_secrets=missing_secrets(able),
                confirm=context.confirm.get(name, able.paid),
                schema=narrowed_schema(universal, able),
            )
        )
    return Result(providers=tuple(described))
