"""Fireworks, through its own SDK: supervised, preference and reinforcement LoRA jobs, and serving of their results.

Job, dataset, model and deployment carry ids of ours, so that each is made once: a second call meets 409, and what is
there is adopted after it was compared. Each subject has its module.
"""

from genomed.adapters.fireworks.fireworks_provider import Fireworks
from genomed.entities.ports import ProviderContext

__all__ = ["Fireworks", "provider"]


def provider(context: ProviderContext) -> Fireworks:
    """Raises InvalidRequest for a setting that does not exist or is out of range."""
    return Fireworks(context)
