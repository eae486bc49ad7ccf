"""Which providers the configuration names: those it allows, and those of its policies, its caps and its triggers.

Reads the configuration as it is shown, path by path; knows no file and no provider.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress

import msgspec

from genomed.entities.configured import ConfiguredValue

DEFAULT = "default"
"""The source of what nobody wrote (daemon/configuration/)."""


def named_providers(values: Iterable[ConfiguredValue]) -> dict[tuple[str, str], None]:
    """Field and the provider that it names, of what somebody wrote: each once, in the order of the configuration."""
    return dict.fromkeys(pair for value in values if value.source != DEFAULT for pair in _named(value))


def _named(value: ConfiguredValue) -> Iterator[tuple[str, str]]:
    match value.field.split("."):
        case ["allowed_providers"] | ["learning", "trigger", "provider"]:
            with suppress(msgspec.DecodeError):  # it looks like a key, and is hidden
                names = msgspec.json.decode(value.value, type=list[str] | str | None) or ()
                yield from ((value.field, name) for name in ([names] if isinstance(names, str) else names))
        case ["policies", name, *_]:
            yield f"policies.{name}", name
        case ["budget", "providers", name, *_]:
            yield f"budget.providers.{name}", name
        case _:
            return
