"""Azure OpenAI on the loopback, as far as it differs from OpenAI: key, version, words, place of hyperparameters."""

from typing import ClassVar

from tests.emulators.emulator import API_KEY, Call, Refused, Reply, Route
from tests.emulators.openai_emulator import WALK, OpenAIEmulator
from tests.emulators.openai_objects import StoredJob


class AzureEmulator(OpenAIEmulator):
    """Its own published description is not at hand, so what is checked here is what is known of it (providers.md 8)."""

    prefix: ClassVar[str] = "/openai"

    def __init__(self, *, api_key: str = API_KEY) -> None:
        super().__init__(api_key=api_key)
        self.spec = None

    def _refusal(self, route: Route, call: Call) -> Reply | None:
        if call.headers.get("api-key") == self.api_key:
            call.headers["authorization"] = f"Bearer {self.api_key}"
        if not call.asked("api-version"):
            return Reply(status=404, body=self.error_body(404, "Resource not found"))
        return super()._refusal(route, call)

    def _refuse_bad(self, body: dict[str, object]) -> None:
        super()._refuse_bad(body)
        method = body.get("method")
        if isinstance(method, dict) and method["type"] == "supervised":
            raise Refused(400, self.error_body(400, "hyperparameters belong to the top level"))
        if "metadata" in body:
            raise Refused(400, self.error_body(400, "Unrecognized request argument supplied: metadata"))
        if "trainingType" not in body:
            raise Refused(400, self.error_body(400, "The specified base model does not support fine-tuning"))

    def walk(self) -> tuple[str, ...]:
        return ("pending", *WALK[2:])

    def _job_out(self, job: StoredJob) -> dict[str, object]:
        nulls = {"organization_id": None, "result_files": None, "seed": None}
        return {**super()._job_out(job), **nulls, "error": job.error or {}}
