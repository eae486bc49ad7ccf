"""DeepSeek, honestly: it answers, and nobody but itself can train there. Refuses before anything is uploaded.

Its public API has chat, completion, models and balance, and no fine-tuning (api-docs.deepseek.com, Nov 2026). Its
open models can be trained elsewhere; which ones a provider takes is for that provider to say. Asks nobody anything.
"""

from collections.abc import Sequence
from typing import NoReturn

from genomed.adapters._accounting import Sent, account, values_of
from genomed.entities.capabilities import Features, ProviderCapabilities, Translation, ValidationResult
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import ErrorKind, InvalidRequest, Problem, Unsupported
from genomed.entities.facts import Artifact, DatasetFacts, Estimate
from genomed.entities.ports import (
    Absent,
    LayerRequest,
    LookupOutcome,
    ProviderContext,
    PublishedLayer,
    Rejected,
    Serving,
    Snapshot,
    Submission,
    SubmitOutcome,
    Uploads,
)

NAME = "deepseek"

REASON = "DeepSeek has no fine-tuning API: its public API answers prompts, and trains nothing"
ELSEWHERE = (
    "train one of its open models as a base model elsewhere: with provider fireworks or together by the name that"
    " each lists (genome/provider-capabilities), such as deepseek-ai/DeepSeek-V3 or deepseek-ai/DeepSeek-R1, or with"
    " provider local a smaller one from a folder, such as deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
)


class DeepSeek:
    """Everything that would make or follow a job says the same sentence."""

    name = NAME
    uploads: Uploads | None = None
    serving: Serving | None = None

    def __init__(self, context: ProviderContext) -> None:
        if context.settings:
            raise InvalidRequest(f"settings of provider {NAME}: there are none", remedy=f"remove [providers.{NAME}]")

    async def capabilities(self) -> ProviderCapabilities:
        return ProviderCapabilities(
            provider=NAME,
            available=False,
            reason=f"{REASON}; {ELSEWHERE}",
            paid=True,
            description="Offers no fine-tuning. Its open models are base models for fireworks, together and local.",
            features=Features(cancel=False, metrics=False, lookup=False, download=False),
            any_base_model=False,
        )

    async def check(
        self,
        configuration: JobConfiguration,  # noqa: ARG002 -- whatever it is
        dataset: DatasetFacts,  # noqa: ARG002 -- the same
        *,
        asked: Sequence[str],  # noqa: ARG002 -- the same
    ) -> ValidationResult:
        refused = Problem(field="provider", message=REASON, remedy=ELSEWHERE)
        return ValidationResult(errors=(refused,), kind=ErrorKind.UNSUPPORTED)

    def translate(self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:  # noqa: ARG002 -- whatever it is
        """Nothing is sent, and every field says so."""
        nothing = {path: Sent(applicable=False, note=REASON) for path in values_of(configuration)}
        nothing |= {f"metadata.{name}": Sent(applicable=False, note=REASON) for name in configuration.metadata}
        fields = account(configuration, asked=asked, parameters=configuration.metadata, exceptions=nothing)
        return Translation(payload={}, fields=fields)

    async def estimate(self, configuration: JobConfiguration, dataset: DatasetFacts) -> Estimate:  # noqa: ARG002 -- whatever it is
        return Estimate(usd=None, basis=REASON, source="unknown")

    async def quote(self, submission: Submission) -> Estimate | None:  # noqa: ARG002 -- there is nobody to ask
        return None

    async def submit(self, submission: Submission) -> SubmitOutcome:  # noqa: ARG002 -- whatever it is
        return Rejected(error=_unsupported().body())

    async def find(self, key: str, *, job_id: str, intended_us: int) -> LookupOutcome:  # noqa: ARG002 -- no key was ever taken
        return Absent()

    async def poll(self, provider_job_id: str, *, job_id: str, attempt: int, cursor: str) -> Snapshot:  # noqa: ARG002 -- there is no job
        _refuse()

    async def cancel(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- there is no job
        _refuse()

    async def pause(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- there is no job
        _refuse()

    async def proceed(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- there is no job
        _refuse()

    async def publish(self, request: LayerRequest, *, artifact: Artifact, job_id: str, attempt: int) -> PublishedLayer:  # noqa: ARG002 -- there is no job
        _refuse()

    async def close(self) -> None:
        """There is nothing open."""


def _unsupported() -> Unsupported:
    return Unsupported(REASON, field="provider", provider=NAME, remedy=ELSEWHERE)


def _refuse() -> NoReturn:
    raise _unsupported()


def provider(context: ProviderContext) -> DeepSeek:
    return DeepSeek(context)
