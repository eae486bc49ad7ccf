"""Together's own price for a job, as far as it tells one. Pure."""

from genomed.adapters.together.wire import PriceQuote
from genomed.entities.facts import Estimate

ASKED_WITH = (
    "training_file",
    "validation_file",
    "model",
    "from_checkpoint",
    "n_epochs",
    "n_evals",
    "training_method",
    "training_type",
)
"""The part of a create call that its price depends on; no secret is among it."""


def quoted(told: PriceQuote) -> Estimate | None:
    """Null where they do not price such a job. A price above the account's limit is told all the same."""
    if told.estimation_available is False or told.estimated_total_price is None:
        return None
    tokens = [count for count in (told.estimated_train_token_count, told.estimated_eval_token_count) if count]
    basis = "together's own estimate for these files"
    if told.allowed_to_proceed is False:
        limit = "" if told.user_limit is None else f", which is {told.user_limit:g} USD"
        basis += f"; it is above what this account may spend{limit}, so the job is likely to be stopped"
    return Estimate(
        usd=told.estimated_total_price,
        basis=basis,
        source="provider",
        tokens=int(sum(tokens)) if tokens else None,
    )
