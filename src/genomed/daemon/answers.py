"""Answers of models and layers: the provider of this machine gives them, where it is allowed."""

from collections.abc import Callable

from genomed.entities.errors import Unsupported
from genomed.entities.inference_port import Answer, Inference, InferenceWorker, Infers, Question, Say
from genomed.entities.ports import Provider

HERE = "local"


class Answers:
    """Fulfils entities.inference_port.Inference. provider_of: raises NotFound for one that is not allowed."""

    def __init__(self, provider_of: Callable[[str], Provider]) -> None:
        self._provider_of = provider_of

    async def answer(self, question: Question, *, say: Say | None = None) -> Answer:
        """As the port says. Raises NotFound, too, where the provider is not allowed."""
        return await self._inference().answer(question, say=say)

    async def status(self) -> tuple[InferenceWorker, ...]:
        return await self._inference().status()

    def _inference(self) -> Inference:
        """Raises NotFound, Unsupported."""
        provider = self._provider_of(HERE)
        if not isinstance(provider, Infers):
            raise Unsupported("provider local is not available", provider=HERE, remedy="see genome/doctor")
        return provider.inference
