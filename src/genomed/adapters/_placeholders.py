"""What a payload leaves open, filled in: uploaded files, the submission key, secrets by reference.

A payload with its gaps may be shown and stored. What `filled` gives may not: it can hold secrets, and is for the wire
alone. Does not know which provider reads it.
"""

import re
from collections.abc import Mapping

from genomed.entities.errors import MalformedResponse
from genomed.entities.placeholders import GAP, KEY, names_secret, secret, upload
from genomed.entities.ports import Secrets

__all__ = ["KEY", "filled", "names_secret", "secret", "upload"]


async def filled(
    payload: Mapping[str, object], *, key: str, files: Mapping[str, str], secrets: Secrets
) -> dict[str, object]:
    """The payload as it is sent. Raises MissingCredentials for a secret that is not there."""
    revealed = {reference: await secrets.reveal(reference) for reference in names_secret(payload)}

    def value_of(gap: re.Match[str]) -> str:
        if gap["key"]:
            return key
        if gap["reference"]:
            return revealed[gap["reference"]]
        if gap["part"] not in files:
            raise MalformedResponse(f"the payload names the upload {gap['part']!r}, which was not made")
        return files[gap["part"]]

    def complete(value: object) -> object:
        match value:
            case str():
                return GAP.sub(value_of, value)  # in one pass: what was filled in is not looked at again
            case Mapping():
                return {str(name): complete(inner) for name, inner in value.items()}
            case list() | tuple():
                return [complete(inner) for inner in value]
            case _:
                return value

    return {name: complete(value) for name, value in payload.items()}
