"""OpenAI's hosted fine-tuning, and every server that speaks its shape: Azure OpenAI, LiteLLM, others by `base_url`.

Jobs carry our submission key in their metadata and are looked up by it before they are made and after every doubt.
The weights stay there; a result is a model's name. OpenAI itself closes this service: see `sunset`.
"""

from genomed.adapters.openai.openai_provider import OpenAI
from genomed.entities.ports import ProviderContext

__all__ = ["OpenAI", "provider"]


def provider(context: ProviderContext) -> OpenAI:
    """Raises InvalidRequest for a setting that does not exist or is out of range."""
    return OpenAI(context)
