"""genome/provider-list: which providers there are, and which can take a job here and now."""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.entities.capabilities import ProviderCapabilities, Sunset
from genomed.entities.types import Role, TrainingMethod

NAME = "genome/provider-list"
SUMMARY = "List the providers and whether each is available."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pass


class ProviderView(Struct, frozen=True, kw_only=True, rename="camel"):
    """reason: why it is not available and what to do, in a sentence. paid: a job there costs money.

    missingSecrets: references that lead to nothing. confirm: what triggers ask for there waits for genome/job-approve,
    as what agents ask for does everywhere. sunset: its announced end, or that of its models.
    """

    provider: str
    available: bool
    reason: str | None
    simulated: bool
    paid: bool
    confirm: bool
    missing_secrets: tuple[str, ...]
    sunset: Sunset | None
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
                paid=able.paid,
                confirm=context.confirm.get(name, able.paid),
                missing_secrets=missing_secrets(able),
                sunset=able.sunset,
                description=able.description,
                methods=able.supported_methods,
            )
        )
    return Result(providers=tuple(views))


def missing_secrets(able: ProviderCapabilities) -> tuple[str, ...]:
    """References that the provider needs and that lead to nothing; never a value."""
    return tuple(reference for reference, present in able.required_secrets.items() if not present)
