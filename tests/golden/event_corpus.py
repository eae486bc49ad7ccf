"""The corpus of every event ever written: what the files hold, and how a new one is added.

`python -m tests.golden.event_corpus` adds files for what has none. It never changes one: an old file is a promise.
"""

import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from tests.golden.samples import sample

from genomed.entities.event_codec import EVENT_TYPES, encode, schema_of

FOLDER = Path(__file__).parent / "events"
WORDS_FOR_PEOPLE = frozenset({"title", "description", "examples"})


class Golden(Struct, frozen=True, kw_only=True):
    """fingerprint: of the struct's JSON schema when the file was written. data: the event as it stood in a log."""

    type: str
    schema: int
    fingerprint: str
    data: msgspec.Raw


def fingerprint(event_type: str) -> str:
    """Of everything that decides how the event reads; names of types and docstrings do not."""
    (reference,), components = msgspec.json.schema_components([EVENT_TYPES[event_type]])
    bare = _without_words({"is": reference, "with": components})
    return sha256(msgspec.json.encode(bare, order="sorted")).hexdigest()[:16]


def _without_words(schema: Any) -> Any:
    if isinstance(schema, dict):
        texts = {key for key in WORDS_FOR_PEOPLE if isinstance(schema.get(key), str | list)}
        return {key: _without_words(value) for key, value in schema.items() if key not in texts}
    return [_without_words(value) for value in schema] if isinstance(schema, list) else schema


def corpus() -> dict[str, Golden]:
    """File name -> what it holds."""
    decode = msgspec.json.Decoder(Golden).decode
    return {path.name: decode(path.read_bytes()) for path in sorted(FOLDER.glob("*.json"))}


def file_name(event_type: str) -> str:
    return f"{event_type}.v{schema_of(event_type)}.{fingerprint(event_type)}.json"


def missing() -> list[str]:
    """Event types that no file describes as they are now."""
    return sorted(event_type for event_type in EVENT_TYPES if not (FOLDER / file_name(event_type)).exists())


def write_missing() -> list[Path]:
    written = []
    for event_type in missing():
        golden = Golden(
            type=event_type,
            schema=schema_of(event_type),
            fingerprint=fingerprint(event_type),
            data=msgspec.Raw(encode(sample(EVENT_TYPES[event_type]))),
        )
        path = FOLDER / file_name(event_type)
        with path.open("xb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(golden), indent=2) + b"\n")
        written.append(path)
    return written


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    sys.stdout.writelines(f"{path.name}\n" for path in write_missing())
