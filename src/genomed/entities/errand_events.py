"""What happens to one errand: a piece of work on layers outside of any job. Its stream is errand/ID.

Secrets are never in it: only their references, by the name of the variable that the process is told them in.
"""

from msgspec import Struct

from genomed.entities.errors import ErrorBody
from genomed.entities.json_value import JsonObject


class ErrandLayer(Struct, frozen=True, kw_only=True, rename="camel"):
    """A layer that it works on. manifest_sha256: as the log had it when the errand was asked for."""

    layer_id: str
    path: str
    manifest_sha256: str


class ErrandRequested(Struct, frozen=True, kw_only=True, rename="camel", tag="errand.requested"):
    """A wish for work. kind: `merge`, `quantize`, `export`, `evaluate` or `upload`; options: in that program's words.

    layers: what it works on, the first one leading. reads: further files and folders that it may read. verify: of
    those, what was published here, by path, with the sha256 of its manifest. network: it may open connections.
    environment: variable -> reference of a secret. keeps: whether its result is published below exports/.
    """

    kind: str
    layers: tuple[ErrandLayer, ...]
    options: JsonObject
    reason: str
    persona_id: str | None = None
    reads: tuple[str, ...] = ()
    verify: dict[str, str] = {}
    dataset_id: str | None = None
    network: bool = False
    environment: dict[str, str] = {}
    keeps: bool = True


class ErrandStarted(Struct, frozen=True, kw_only=True, rename="camel", tag="errand.started"):
    """Durable before its process is started; starting one attempt twice is harmless."""

    attempt: int


class ErrandNoted(Struct, frozen=True, kw_only=True, rename="camel", tag="errand.noted"):
    """Something a person should see that changes no state."""

    code: str
    message: str


class ErrandLost(Struct, frozen=True, kw_only=True, rename="camel", tag="errand.lost"):
    """Its process is gone without a word of how it ended."""

    attempt: int
    reason: str


class ErrandFinished(Struct, frozen=True, kw_only=True, rename="camel", tag="errand.finished"):
    """The work is done and its result lies complete at path (null: there is none to keep).

    facts: what was measured. files: relative name -> sha256. manifest_sha256: of genomed-export.json there.
    """

    attempt: int
    facts: JsonObject
    files: dict[str, str]
    size_bytes: int
    path: str | None = None
    manifest_sha256: str | None = None


class ErrandFailed(Struct, frozen=True, kw_only=True, rename="camel", tag="errand.failed"):
    """attempt: null where none was begun. Nothing was published."""

    error: ErrorBody
    attempt: int | None = None


class ErrandCancelRequested(Struct, frozen=True, kw_only=True, rename="camel", tag="errand.cancel_requested"):
    reason: str


class ErrandCancelled(Struct, frozen=True, kw_only=True, rename="camel", tag="errand.cancelled"):
    """attempt: null where none was begun."""

    reason: str
    attempt: int | None = None


class ErrandRemovalRequested(Struct, frozen=True, kw_only=True, rename="camel", tag="errand.removal_requested"):
    """What was published of it is to go. Nothing uses it from now on."""

    reason: str


class ErrandRemoved(Struct, frozen=True, kw_only=True, rename="camel", tag="errand.removed"):
    """What was published of it is gone. files: how many. bytes_freed: of the disk."""

    files: int
    bytes_freed: int


ErrandEvent = (
    ErrandRequested
    | ErrandStarted
    | ErrandNoted
    | ErrandLost
    | ErrandFinished
    | ErrandFailed
    | ErrandCancelRequested
    | ErrandCancelled
    | ErrandRemovalRequested
    | ErrandRemoved
)
