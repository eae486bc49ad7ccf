"""The hash chain: every event's hash covers all its columns and the hash before it.

Pure. Knows nothing of SQL; a changed byte anywhere, or a row taken out, changes every hash after it.
"""

from hashlib import sha256

import msgspec

Header = tuple[int, str, int, str, int, str, str | None, str | None, int | None, str, int]
"""pos, stream, version, type, schema, event_id, cmd_id, corr_id, cause_pos, actor, at_us: the table's order."""

_encode = msgspec.json.Encoder().encode


def genesis(log_id: str) -> bytes:
    """The hash before the first event; differs between logs, so that none can stand in for another."""
    return sha256(b"genomed-log-1\0" + log_id.encode()).digest()


def link(previous: bytes, header: Header, data: bytes) -> bytes:
    """sha256(previous || header as a JSON array || data). The array ends itself, so no two events read alike."""
    return sha256(previous + _encode(header) + data).digest()
