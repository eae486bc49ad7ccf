"""Mistral, by plain HTTP: a small frozen adapter for a fine-tuning API that its maker has deprecated.

A job is made without being started; once Mistral has validated it, the core asks to go on and it is started. The
suffix of the model is our submission key, by which lists are searched. Weights stay with Mistral.
"""

from genomed.adapters.mistral.mistral_provider import Mistral
from genomed.entities.ports import ProviderContext

__all__ = ["Mistral", "provider"]


def provider(context: ProviderContext) -> Mistral:
    """Raises InvalidRequest for a setting that does not exist or is out of range."""
    return Mistral(context)
