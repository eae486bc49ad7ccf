"""genome/provider-list: which providers there are, and which can take a job here and now."""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.entities.types import Role, TrainingMethod

NAME = "genome/provider-list"
SUMMARY = "List the providers and whether each is available."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pass


class ProviderView(Struct, frozen=True, kw_only=True, rename="camel"):
    """reason: why it is not available and what to do, in a sentence."""

    provider: str
    available: bool
    reason: str | None
    simulated: bool
    description: str
    methods: tuple[TrainingMethod, ...]


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    providers: tuple[ProviderView, ...]


async def run(_: Params, context: Context) -> Result:
    views = []
    for name in context.providers.names():
        able = await context.providers.get(name).capabilities()
        views.append(
            ProviderView(
                provider=name,
                available=able.available,
                reason=able.reason,
                simulated=able.simulated,
                description=able.description,
                methods=able.supported_methods,
            )
        )
    return Result(providers=tuple(views))
