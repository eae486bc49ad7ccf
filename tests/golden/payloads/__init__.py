"""Create calls as they went over the wire, kept as files, so that a change of one is seen by whoever reviews it.

To accept a change: `REWRITE_PAYLOADS=1 python -m pytest tests/adapters -k payload`, then read the difference.
"""

import os
from pathlib import Path

import msgspec

FOLDER = Path(__file__).parent


def assert_payload(name: str, sent: object) -> None:
    """sent: the decoded body, exactly as the provider received it. name: of the file, without its ending."""
    path = FOLDER / f"{name}.json"
    if os.environ.get("REWRITE_PAYLOADS"):
        path.write_bytes(msgspec.json.format(msgspec.json.encode(sent, order="sorted"), indent=2) + b"\n")
    assert path.exists(), f"there is no {path.name} yet; see {__name__} for how it is written"
    assert msgspec.json.decode(path.read_bytes()) == sent, f"{path.name} says otherwise; see {__name__}"
