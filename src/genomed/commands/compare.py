"""genome/compare: a layer beside another one on rows that neither learned from, with a report."""

from msgspec import Struct

from genomed.commands.context import Context, Decided
from genomed.commands.errand_requesting import ErrandAsked, WaitS
from genomed.commands.evaluating import Asked, Judging, request_evaluation
from genomed.entities.configuration import Name
from genomed.entities.types import Role

NAME = "genome/compare"
SUMMARY = "Judge a layer against another one on held-out rows, and say how sure that is."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Both layers answer the same rows. otherLayerId: the one to be better than.

    datasetId: whose held-out rows; not given: of the dataset that the layer was trained with. One that holds none out
    is taken whole, where no layer learned from it. waitS: wait so long for the end.
    """

    layer_id: Name
    other_layer_id: Name
    dataset_id: Name | None = None
    judging: Judging = Judging()
    reason: Name = "asked for by hand"
    wait_s: WaitS = 0.0


Result = ErrandAsked


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, Conflict for rows that prove nothing or a layer that is gone, InvalidRequest, Unsupported."""
    asked = Asked(
        layer_id=params.layer_id,
        against=params.other_layer_id,
        dataset_id=params.dataset_id,
        judging=params.judging,
        reason=params.reason,
    )
    return await request_evaluation(asked, context, wait_s=params.wait_s)
