"""The gaps of a payload: what is known only when it is sent stands in it by name. Pure.

A caller may write none of them: filled in, they would carry a secret wherever the caller likes.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import chain

import msgspec

from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import Problem

KEY = "{key}"

GAP = re.compile(
    r"\{(?:(?P<key>key)|upload:(?P<part>[a-z]+)|secret:(?P<reference>(?:env|cred|keyring|file):[^\s{}]+))\}"
)


def upload(part: str) -> str:
    """What stands for the provider's id of an uploaded part: `train` or `eval`."""
    return f"{{upload:{part}}}"


def secret(reference: str) -> str:
    """What stands for the value of a secret."""
    return f"{{secret:{reference}}}"


def names_secret(payload: object) -> tuple[str, ...]:
    """The references of all secrets that the payload asks for, in order, each once."""
    found = (gap["reference"] for _, text in _texts(payload, "") for gap in GAP.finditer(text) if gap["reference"])
    return tuple(dict.fromkeys(found))


def smuggled(configuration: JobConfiguration, root: str = "configuration") -> list[Problem]:
    """Placeholders that the caller wrote."""
    tree: dict[str, object] = msgspec.to_builtins(configuration)
    return [
        Problem(field=path, message="must not hold a placeholder such as {key} or {secret:...}")
        for path, text in _texts(tree, root)
        if GAP.search(text)
    ]


def _texts(value: object, path: str) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield path, value
        case Mapping():
            yield from chain.from_iterable(_texts(part, f"{path}.{name}") for name, part in value.items())
        case list() | tuple():
            yield from chain.from_iterable(_texts(part, f"{path}[{n}]") for n, part in enumerate(value))
        case _:
            pass
