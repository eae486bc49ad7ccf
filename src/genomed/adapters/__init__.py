"""The provider table: a public module or package of a provider's name lies here, or a plug-in brings it.

A provider's module, and its SDK, load when first asked for. It offers `provider(context) -> Provider`; so does a
plug-in, an entry point of the group `genomed.adapters` in any installed distribution.
"""

from importlib import import_module
from pkgutil import iter_modules

from genomed.adapters import _plug_ins
from genomed.adapters._broken_provider import BrokenProvider
from genomed.entities.errors import InvalidRequest, NotFound, Problem
from genomed.entities.ports import Provider, ProviderContext


def provider_names() -> tuple[str, ...]:
    """Ours and those of plug-ins. The first call looks through what is installed."""
    return tuple(sorted({*own_names(), *_plug_ins.found(own_names()).plug_ins}))


NEIGHBOURS = frozenset({"traces", "models"})
"""Packages here that are no providers: what we read traces from, and the models that recipes ask."""


def own_names() -> tuple[str, ...]:
    found = (module.name for module in iter_modules(__path__) if not module.name.startswith("_"))
    return tuple(sorted(set(found) - NEIGHBOURS))


def complaints() -> tuple[str, ...]:
    """Sentences about plug-ins that were left out."""
    return _plug_ins.found(own_names()).complaints


def load(name: str, context: ProviderContext) -> Provider:
    """Raises NotFound for a provider that does not exist. One whose settings are wrong, or whose plug-in is broken, is
    not available and says why: it must not take the others with it.
    """
    if name in own_names():
        return _own(name, context)
    plug_in = _plug_ins.found(own_names()).plug_ins.get(name)
    if plug_in is None:
        raise NotFound(
            f"there is no provider {name!r}; there are {', '.join(provider_names())}", field="provider", provider=name
        )
    return _plug_ins.made(name, plug_in, context)


def objections(name: str, context: ProviderContext) -> tuple[Problem, ...]:
    """What is wrong with the settings of a provider of ours, each with its field in its section; a plug-in's are its
    own business. The provider is made for that, and dropped without being asked anything.
    """
    if name not in own_names():
        return ()
    try:
        import_module(f"{__name__}.{name}").provider(context)
    except InvalidRequest as wrong:
        return _all_of(wrong)
    return ()


def _all_of(wrong: InvalidRequest) -> tuple[Problem, ...]:
    return wrong.details or (Problem(field=wrong.field or "", message=wrong.message, remedy=wrong.remedy),)


def _own(name: str, context: ProviderContext) -> Provider:
    try:
        made: Provider = import_module(f"{__name__}.{name}").provider(context)
    except InvalidRequest as wrong:
        told = "; ".join(f"{problem.field} {problem.message}".strip() for problem in _all_of(wrong))
        remedy = f"mend [providers.{name}] in the configuration, then restart the daemon"
        return BrokenProvider(name, f"its settings are wrong: {told}", remedy=remedy)
    return made
