"""The last net: texts in what is written down or answered, without secrets.

Adapters redact what services say, where it is said. This is for what they forgot, and for exceptions of ours.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec
from msgspec import Struct

S = TypeVar("S", bound=Struct)


class Redaction(Protocol):
    """What knows the secrets. suspects: cheap, and never false where one is."""

    def suspects(self, data: bytes) -> bool: ...

    def redact(self, text: str) -> str: ...


def without_secrets(thing: S, redact: Callable[[str], str]) -> S:
    """The same where it holds none. A secret that is spelt like one of our own words (a status) is none."""
    plain: object = msgspec.to_builtins(thing)
    clean = _clean(plain, redact)
    if clean == plain:
        return thing
    try:
        return msgspec.convert(clean, type(thing))
    except msgspec.ValidationError:
        return thing


def _clean(value: object, redact: Callable[[str], str]) -> object:
    match value:
        case str():
            return redact(value)
        case dict():
            return {_clean(key, redact): _clean(one, redact) for key, one in value.items()}
        case list() | tuple():
            return [_clean(one, redact) for one in value]
        case _:
            return value
