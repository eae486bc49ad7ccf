"""The configuration as people may see it: one line per value, nothing in it that could be a key.

References are shown, values behind them never. Knows shapes and names; knows no source's format.
"""

import re
from collections.abc import Iterator

import msgspec
from msgspec import to_builtins

from genomed.daemon.configuration.settings import Settings
from genomed.entities.configuration import REFERENCE
from genomed.entities.sensitive import looks_like_a_credential

HIDDEN = "(hidden)"

_SECRET_NAME = re.compile(
    r"key|token|secret|password|passwd|credential|authori[sz]ation|cookie|headers|query", re.IGNORECASE
)
"""Of a value, or of a table around it, in a section that an adapter reads: we do not know what it means there."""

_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")


def shown(settings: Settings) -> Iterator[tuple[str, str]]:
    """(path, JSON or what stands for it), in the order of the settings. An empty table is a value of its own."""
    yield from _leaves("", to_builtins(settings, str_keys=True))


def _leaves(path: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}" if path else str(key), inner)
        return
    yield path, _text(path, value)


def _text(path: str, value: object) -> str:
    if _may_be_secret(path) and not _harmless(value):
        return HIDDEN
    text = msgspec.json.encode(value).decode()
    if looks_like_a_credential(text):
        return HIDDEN
    return _USER_IN_URL.sub(f"{HIDDEN}@", text)


def _may_be_secret(path: str) -> bool:
    """By its name, in a section whose meaning only its adapter knows."""
    section, *names = path.split(".")
    return section == "providers" and any(_SECRET_NAME.search(name) for name in names[1:])


def _harmless(value: object) -> bool:
    """A reference tells where a secret is, a number or a flag is none."""
    if isinstance(value, str):
        return re.match(REFERENCE, value) is not None
    return not isinstance(value, list | tuple)
