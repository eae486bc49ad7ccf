"""The provider table: a provider exists if, and only if, a public module or package of its name lies here.

A provider's module, and its SDK, load when first asked for. It offers `provider(context) -> Provider`.
"""

from importlib import import_module
from pkgutil import iter_modules

from genomed.entities.errors import NotFound
from genomed.entities.ports import Provider, ProviderContext


def provider_names() -> tuple[str, ...]:
    return tuple(sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_")))


def load(name: str, context: ProviderContext) -> Provider:
    """Raises NotFound for a provider that does not exist."""
    if name not in provider_names():
        raise NotFound(
            f"there is no provider {name!r}; there are {', '.join(provider_names())}", field="provider", provider=name
        )
    made: Provider = import_module(f"{__name__}.{name}").provider(context)
    return made
