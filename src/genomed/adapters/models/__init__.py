"""The language models and encoders that recipes ask: any server that speaks OpenAI's API, through the `openai` SDK."""

from genomed.adapters.models.client import ModelClient

__all__ = ["ModelClient"]
