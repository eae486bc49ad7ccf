"""What can be said about a configuration without starting: its own problems, and those of each provider's section.

Asks no provider, opens no log and reads no secret. Knows how the adapters read their sections: they are asked to.
"""

from collections.abc import Iterator

from genomed import adapters
from genomed.daemon.assembly import now_us
from genomed.daemon.configuration.settings import Loaded
from genomed.daemon.secrets.secret_store import SecretStore
from genomed.entities.errors import Problem
from genomed.entities.ports import ProviderContext


def provider_problems(loaded: Loaded) -> list[Problem]:
    """A daemon starts in spite of these: such a provider is not available, and says why."""
    found: list[Problem] = []
    known = adapters.provider_names()
    for name, section in loaded.settings.providers.items():
        if name not in known:
            told = [Problem(field="", message="there is no such provider", remedy=f"there are {', '.join(known)}")]
        else:
            told = list(adapters.objections(name, _context(loaded, section)))
        for one in told:
            section_field = f"providers.{name}"
            field = one.field if one.field.startswith(section_field) else f"{section_field}.{one.field}".rstrip(".")
            origin = loaded.source.origin(field)
            message = one.message if origin is None else f"{one.message} ({origin})"
            found.append(Problem(field=field, message=message, remedy=one.remedy))
    return [*found, *_strangers(loaded, known)]


def _strangers(loaded: Loaded, known: tuple[str, ...]) -> Iterator[Problem]:
    """Names that are no provider's, where a rule would never hold for anybody."""
    settings = loaded.settings
    named = [("allowed_providers", name) for name in settings.allowed_providers or ()]
    named += [(f"policies.{name}", name) for name in settings.policies]
    named += [(f"budget.providers.{name}", name) for name in settings.budget.providers]
    named.append(("learning.trigger.provider", settings.learning.trigger.provider))
    for field, name in named:
        if name not in known:
            origin = loaded.source.origin(field)
            message = f"there is no provider {name!r}" + ("" if origin is None else f" ({origin})")
            yield Problem(field=field, message=message, remedy=f"there are {', '.join(known)}")


def _context(loaded: Loaded, section: dict[str, object]) -> ProviderContext:
    folder = loaded.settings.data_dir
    return ProviderContext(
        jobs_dir=f"{folder}/jobs",
        layers_dir=f"{folder}/layers",
        settings=section,
        now_us=now_us,
        secrets=SecretStore({}),
    )
