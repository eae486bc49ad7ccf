"""Models that OpenAI trained answer at once, under their own name: there is nothing to deploy.

Knows the chat call, whether a model is there, and how one is deleted. Elsewhere (Azure) a result needs a deployment
that the cloud's own control plane makes; there the provider offers no serving.
"""

from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

from genomed.adapters.openai.server import Server
from genomed.adapters.openai.settings import NAME
from genomed.entities.errors import ErrorBody, ErrorKind, MalformedResponse, NotFound, ProviderRejected, Unsupported
from genomed.entities.facts import Estimate
from genomed.entities.ports import (
    Answer,
    DeploymentRequest,
    DeploymentState,
    LookupOutcome,
    Rejected,
    SubmitOutcome,
    Unsearchable,
)
from genomed.entities.rows import Message

NOT_NEEDED = "OpenAI's fine-tuned models answer at once, billed by the token: there is nothing to deploy"


class OpenAIServing:
    """hosted: at OpenAI itself, where every result's name begins alike."""

    def __init__(self, server: Server, *, hosted: bool) -> None:
        self._server = server
        self._hosted = hosted

    async def hourly_usd(self, request: DeploymentRequest) -> Estimate:  # noqa: ARG002 -- no request costs by the hour
        return Estimate(usd=0.0, basis=NOT_NEEDED, source="free", seconds=3600.0)

    async def deploy(self, request: DeploymentRequest) -> SubmitOutcome:
        remedy = f"ask {request.artifact.location} directly"
        error = ErrorBody(kind=ErrorKind.UNSUPPORTED, message=NOT_NEEDED, retryable=False, provider=NAME, remedy=remedy)
        return Rejected(error=error)

    async def find(self, key: str) -> LookupOutcome:  # noqa: ARG002 -- nothing was ever deployed under a key
        return Unsearchable()

    async def state(self, provider_id: str, *, request: DeploymentRequest) -> DeploymentState:  # noqa: ARG002 -- none is made
        model = request.artifact.location
        try:
            await self._server.model(model)
        except NotFound:
            return DeploymentState(phase="gone", provider_status="404", message=f"OpenAI has no model {model}")
        return DeploymentState(phase="ready", provider_status="listed", model=model)

    async def undeploy(self, provider_id: str, *, request: DeploymentRequest) -> None:
        """Nothing runs that could be ended."""

    async def remove(self, model: str) -> None:
        """OpenAI asks for the role of an owner of the organisation."""
        if self._hosted and not model.startswith("ft:"):
            raise Unsupported(f"{model} is no result of fine-tuning: it is not ours to delete", provider=NAME)
        with suppress(NotFound):  # gone is what was wanted
            if not (await self._server.delete_model(model)).deleted:
                raise ProviderRejected(f"it says that {model} was not deleted, and not why", provider=NAME)

    async def answer(self, model: str, prompt: Sequence[Message], *, max_tokens: int) -> Answer:
        started = monotonic()
        try:
            told = await self._server.answer(model, prompt, max_tokens=max_tokens)
        except NotFound as missing:
            raise ProviderRejected(missing.message, provider=NAME) from missing
        if not told.choices:
            raise MalformedResponse(f"{model} answered without a choice", provider=NAME)
        usage = told.usage
        return Answer(
            text=told.choices[0].message.content or "",
            seconds=monotonic() - started,
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
        )
