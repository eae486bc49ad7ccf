"""What happens to a job around its submission: approval, uploads, its price, and a stop that needs a person.

Knows facts only; the fold over them is in `provision`.
"""

from msgspec import Struct

from genomed.entities.errors import ErrorKind
from genomed.entities.facts import Estimate


class ApprovalGranted(Struct, frozen=True, kw_only=True, rename="camel", tag="job.approved"):
    """An operator allowed what an agent had asked for."""

    reason: str


class ApprovalDenied(Struct, frozen=True, kw_only=True, rename="camel", tag="job.rejected"):
    """An operator refused what an agent had asked for: the job is cancelled, nothing was sent."""

    reason: str


class UploadIntended(Struct, frozen=True, kw_only=True, rename="camel", tag="job.upload_intended"):
    """A part of the dataset stands ready in the provider's form; durable before it is sent.

    role: `train` or `eval`. name: by content, and what it is found by again. sha256, size_bytes, rows: of what is
    sent. redacted: how many of each kind of personal data were masked on the way.
    """

    role: str
    name: str
    sha256: str
    size_bytes: int
    rows: int
    redacted: dict[str, int] = {}


class UploadAccepted(Struct, frozen=True, kw_only=True, rename="camel", tag="job.upload_accepted"):
    """The provider has it. adopted: it was there already and was not sent again."""

    role: str
    provider_file_id: str
    adopted: bool = False


class UploadReady(Struct, frozen=True, kw_only=True, rename="camel", tag="job.upload_ready"):
    """The provider has checked it: a job may name it now."""

    role: str
    provider_status: str


class UploadLost(Struct, frozen=True, kw_only=True, rename="camel", tag="job.upload_lost"):
    """The provider has it no more, before a job used it: it is sent again."""

    role: str
    reason: str


class CostQuoted(Struct, frozen=True, kw_only=True, rename="camel", tag="job.cost_quoted"):
    """The provider's own price, asked for after the uploads and before the create call."""

    attempt: int
    estimate: Estimate


class CostReported(Struct, frozen=True, kw_only=True, rename="camel", tag="job.cost_reported"):
    """What the provider says that the attempt cost."""

    attempt: int
    usd: float


class JobStalled(Struct, frozen=True, kw_only=True, rename="camel", tag="job.stalled"):
    """The provider refuses to answer (a revoked key, a closed account). The job may go on there; somebody must act."""

    kind: ErrorKind
    message: str


ProvisionEvent = (
    ApprovalGranted
    | ApprovalDenied
    | UploadIntended
    | UploadAccepted
    | UploadReady
    | UploadLost
    | CostQuoted
    | CostReported
    | JobStalled
)
