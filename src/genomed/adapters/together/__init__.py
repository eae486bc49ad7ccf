"""Together, over plain HTTP: LoRA and full fine-tuning of open models, supervised and by preference.

Their create call takes no key and their jobs cannot be searched, so a submission whose outcome is unknown is looked
for by its circumstances (`creation`), and left to a person rather than sent a second time. A job that is
resumed goes on from the weights of its last checkpoint, with its schedule begun anew: that is what they offer.
"""

from genomed.adapters.together.together_provider import Together
from genomed.entities.ports import ProviderContext

__all__ = ["Together", "provider"]


def provider(context: ProviderContext) -> Together:
    """Raises InvalidRequest for a setting that does not exist or is out of range."""
    return Together(context)
