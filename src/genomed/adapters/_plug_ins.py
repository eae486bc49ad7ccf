"""Providers that other distributions bring: entry points of the group `genomed.adapters`, name -> `module:provider`.

A plug-in is somebody else's code. Whatever goes wrong while it is found or made becomes a provider that is not
available and says why; the daemon runs on.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import Distribution, EntryPoint, distributions

from msgspec import Struct

from genomed.adapters._broken_provider import BrokenProvider
from genomed.entities.ports import Provider, ProviderContext

GROUP = "genomed.adapters"
NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")

PORT = tuple(name for name in (*vars(Provider), *Provider.__annotations__) if not name.startswith("_"))
"""What a provider must have: it may have been written for an older port."""

log = logging.getLogger(__name__)


class PlugIn(Struct, frozen=True):
    """source: the distribution and its version, for people."""

    point: EntryPoint
    source: str


class Found(Struct, frozen=True):
    """plug_ins: by provider name. complaints: sentences about those that were left out."""

    plug_ins: Mapping[str, PlugIn]
    complaints: tuple[str, ...]


@cache
def found(taken: tuple[str, ...]) -> Found:
    """Reads what is installed, once per process. taken: the names of our own providers, which win."""
    plug_ins: dict[str, PlugIn] = {}
    complaints: list[str] = []
    for source, point in _entry_points(complaints):
        where = f"the provider {point.name!r} of {source}"
        if not NAME.fullmatch(point.name):
            complaints.append(f"{where} is left out: a name is small letters, digits, - and _")
        elif point.name in taken:
            complaints.append(f"{where} is left out: genomed has a provider of this name")
        elif point.name in plug_ins:
            complaints.append(f"{where} is left out: {plug_ins[point.name].source} has one of this name")
        else:
            plug_ins[point.name] = PlugIn(point, source)
    for complaint in complaints:
        log.error("%s", complaint)
    return Found(plug_ins, tuple(complaints))


def made(name: str, plug_in: PlugIn, context: ProviderContext) -> Provider:
    """The provider, or one in its place that says why there is none."""
    try:
        provider: Provider = plug_in.point.load()(context)
        missing = [wanted for wanted in PORT if not hasattr(provider, wanted)]
        called = provider.name
    except (Exception, SystemExit) as failure:
        log.exception("the provider %r of %s cannot be made", name, plug_in.source)
        return _broken(name, f"{plug_in.source}: {type(failure).__name__}: {failure}")
    if missing:
        return _broken(name, f"{plug_in.source} fulfils an older contract; it lacks {', '.join(missing)}")
    if called != name:
        return _broken(name, f"{plug_in.source} calls itself {called!r}, its entry point says {name!r}")
    return provider


def _entry_points(complaints: list[str]) -> Iterator[tuple[str, EntryPoint]]:
    """In the order of the import path, of each distribution the first, as an import would find it."""
    installed = list(distributions())
    if not any(_may_name_us(distribution) for distribution in installed):
        return  # names are parsed out of everybody's metadata: half of a start, measured, where nobody is of ours
    seen: set[str] = set()
    for distribution in installed:
        try:
            source = f"{distribution.name} {distribution.version}"
            points = _of_group(distribution)
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as failure:
            complaints.append(f"a distribution that cannot be read is left out: {type(failure).__name__}: {failure}")
            continue
        if distribution.name not in seen:
            seen.add(distribution.name)
            yield from ((source, point) for point in points)


def _may_name_us(distribution: Distribution) -> bool:
    """One that cannot be read may."""
    try:
        return GROUP in (distribution.read_text("entry_points.txt") or "")
    except (OSError, ValueError):
        return True


def _of_group(distribution: Distribution) -> list[EntryPoint]:
    return list(distribution.entry_points.select(group=GROUP)) if _may_name_us(distribution) else []


def _broken(name: str, reason: str) -> Provider:
    remedy = "mend or remove the plug-in, then restart the daemon"
    return BrokenProvider(name, f"its plug-in does not work: {reason}", remedy=remedy)
