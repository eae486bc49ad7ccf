"""genome/bucket-flush: start a bucket's job now, below its thresholds."""

from msgspec import Struct

from genomed.commands.bucket_state import bucket_state
from genomed.commands.context import Context, Decided
from genomed.commands.learning import FLUSHED, Started, start_learning
from genomed.entities.configuration import Name
from genomed.entities.readiness import ReadinessCode
from genomed.entities.types import Role

NAME = "genome/bucket-flush"
SUMMARY = "Start a job from a bucket's waiting examples, now."
ROLE = Role.OPERATE

Result = Started


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    bucket_id: Name
    reason: Name = "asked for by hand"


async def run(params: Params, context: Context) -> Decided[Started]:
    """Raises Conflict when a job holds the bucket or too few examples wait."""
    state = await bucket_state(context, params.bucket_id)
    return await start_learning(
        context, state, code=ReadinessCode.MANUAL_FLUSH, reason=f"flushed: {params.reason}", origin=FLUSHED
    )
