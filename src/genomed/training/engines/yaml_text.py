"""Plain data as YAML, in the order given: enough for a configuration that a person may read and take elsewhere.

Scalars are written as JSON, which is YAML, too. Pure.
"""

import json
from collections.abc import Iterator, Mapping, Sequence


def yaml_text(document: Mapping[str, object]) -> str:
    return "".join(f"{line}\n" for line in _mapping(document, ""))


def _mapping(document: Mapping[str, object], indent: str) -> Iterator[str]:
    for name, value in document.items():
        yield from _entry(f"{indent}{name}:", value, f"{indent}  ")


def _entry(start: str, value: object, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        yield start
        yield from _mapping(value, indent)
    elif isinstance(value, Sequence) and not isinstance(value, str) and any(isinstance(one, Mapping) for one in value):
        yield start
        for one in value:
            first, *others = _mapping(one, f"{indent}  ")
            yield f"{indent}- {first.lstrip()}"
            yield from others
    else:
        yield f"{start} {json.dumps(value, ensure_ascii=False)}"
