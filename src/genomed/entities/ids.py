"""Identifiers: what they look like, and how one is made from a clock reading and random bytes.

Time and randomness are passed in, so that a replayed test makes the same ids.
"""

from hashlib import sha256
from typing import NewType

PersonaId = NewType("PersonaId", str)
JobId = NewType("JobId", str)
DatasetId = NewType("DatasetId", str)
LayerId = NewType("LayerId", str)
BucketId = NewType("BucketId", str)
InteractionId = NewType("InteractionId", str)

CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in lower case: sorts like the number it encodes and fits every provider's charset."""

RANDOM_BYTES = 10


_PAIRS = tuple(high + low for high in CROCKFORD for low in CROCKFORD)
"""Two digits at a time: ids are made for every event, and this was the dearest call of an append, measured."""


def base32(number: int, digits: int) -> str:
    """`number` as exactly `digits` base-32 digits, most significant first; higher digits are cut. digits: even."""
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(5 * digits - 10, -1, -10)])


def time_ordered_id(prefix: str, *, at_us: int, entropy: bytes) -> str:
    """`prefix-` and 26 letters: 48 bits of milliseconds, then 80 random bits (a ULID in lower case).

    entropy: RANDOM_BYTES random bytes. Raises ValueError for any other length.
    """
    if len(entropy) != RANDOM_BYTES:
        raise ValueError(f"an id needs {RANDOM_BYTES} random bytes, not {len(entropy)}")
    return f"{prefix}-{base32(at_us // 1000, 10)}{base32(int.from_bytes(entropy, 'big'), 16)}"


def event_id(*, at_us: int, entropy: bytes) -> str:
    """`ev-` and hex digits: 56 bits of microseconds, then the random ones. Made most often, typed by nobody."""
    return f"ev-{at_us:014x}{entropy.hex()}"


def submission_key(job_id: str, attempt: int) -> str:
    """The key by which a provider can be asked whether this attempt was accepted.

    `gn` and 16 letters: 18 characters is the smallest limit of the providers' lookup fields
    (Mistral's suffix; reference/providers.md section 3, 20 Nov 2026). Same job and attempt, same key.
    """
    digest = sha256(f"{job_id}/{attempt}".encode()).digest()
    return f"gn{base32(int.from_bytes(digest[:10], 'big'), 16)}"
