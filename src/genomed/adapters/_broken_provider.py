"""A provider in the place of one that could not be made: it takes nothing, and gives no verdict on what was taken.

Its settings may be wrong, or the plug-in that brings it may be broken. Jobs that run there stay open until that is
mended: only the provider can tell what became of them.
"""

from collections.abc import Sequence
from typing import NoReturn

from genomed.adapters._accounting import Sent, account, values_of
from genomed.entities.capabilities import ProviderCapabilities, Translation, ValidationResult
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import ErrorBody, ErrorKind, Problem, Transient, Unsupported
from genomed.entities.facts import Artifact, DatasetFacts, Estimate
from genomed.entities.ports import (
    LayerRequest,
    LookupOutcome,
    PublishedLayer,
    Rejected,
    Serving,
    Snapshot,
    Submission,
    SubmitOutcome,
    Uploads,
)


class BrokenProvider:
    uploads: Uploads | None = None
    serving: Serving | None = None

    def __init__(self, name: str, reason: str, *, remedy: str) -> None:
        self.name = name
        self._reason = reason
        self._remedy = remedy

    async def capabilities(self) -> ProviderCapabilities:
        return ProviderCapabilities(
            provider=self.name,
            available=False,
            broken=True,
            reason=f"{self._reason}; {self._remedy}",
        )

    async def check(
        self,
        configuration: JobConfiguration,  # noqa: ARG002 -- whatever it is
        dataset: DatasetFacts,  # noqa: ARG002 -- the same
        *,
        asked: Sequence[str],  # noqa: ARG002 -- the same
    ) -> ValidationResult:
        return ValidationResult(errors=(Problem(field="provider", message=self._reason, remedy=self._remedy),))

    def translate(self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:  # noqa: ARG002 -- whatever it is
        nothing = {path: Sent(applicable=False, note=self._reason) for path in values_of(configuration)}
        nothing |= {f"metadata.{name}": Sent(applicable=False, note=self._reason) for name in configuration.metadata}
        fields = account(configuration, asked=asked, parameters=configuration.metadata, exceptions=nothing)
        return Translation(payload={}, fields=fields)

    async def estimate(self, configuration: JobConfiguration, dataset: DatasetFacts) -> Estimate:  # noqa: ARG002 -- whatever it is
        return Estimate(usd=None, basis=self._reason, source="unknown")

    async def quote(self, submission: Submission) -> Estimate | None:  # noqa: ARG002 -- whatever it is
        return None

    async def submit(self, submission: Submission) -> SubmitOutcome:  # noqa: ARG002 -- whatever it is
        error = ErrorBody(
            kind=ErrorKind.UNSUPPORTED, message=self._reason, retryable=False, provider=self.name, remedy=self._remedy
        )
        return Rejected(error=error)

    async def find(self, key: str, *, job_id: str, intended_us: int) -> LookupOutcome:  # noqa: ARG002 -- nobody to ask
        self._wait()

    async def poll(self, provider_job_id: str, *, job_id: str, attempt: int, cursor: str) -> Snapshot:  # noqa: ARG002 -- nobody to ask
        self._wait()

    async def cancel(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- nobody to ask
        self._wait()

    async def pause(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- nobody to ask
        raise Unsupported(self._reason, provider=self.name, remedy=self._remedy)

    async def proceed(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- nobody to ask
        raise Unsupported(self._reason, provider=self.name, remedy=self._remedy)

    async def publish(self, request: LayerRequest, *, artifact: Artifact, job_id: str, attempt: int) -> PublishedLayer:  # noqa: ARG002 -- nobody to ask
        self._wait()

    async def close(self) -> None:
        """There is nothing open."""

    def _wait(self) -> NoReturn:
        raise Transient(f"{self._reason}; {self._remedy}", provider=self.name)
