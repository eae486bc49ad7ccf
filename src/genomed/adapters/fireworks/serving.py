"""Serving a trained layer at Fireworks: a billed deployment of its base model, with the layer loaded into it.

Never by itself: each call here is somebody's explicit wish. The deployment's id is our key, so every step can be asked
for again; what is there already is adopted.
"""

from collections.abc import Awaitable, Sequence
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from genomed.adapters._answers import Refusal, create_outcome, raise_for_reading, refusal, rejection
from genomed.adapters._http import HttpReply, Lost, Unsent
from genomed.adapters._prices import hourly_estimate
from genomed.adapters.fireworks.client import Ask, FireworksClient, RawAnswer
from genomed.adapters.fireworks.kind import full_model_name
from genomed.adapters.fireworks.settings import FireworksSettings
from genomed.adapters.fireworks.states import spelled
from genomed.adapters.fireworks.wire import (
    NAME,
    Completion,
    DeployedModel,
    DeployedModels,
    Deployment,
    Status,
    identity_of,
    read,
    resource,
    same,
    word_of,
)
from genomed.entities.errors import ErrorBody, ErrorKind, MalformedResponse, NotFound, Transient, Unsupported
from genomed.entities.facts import Estimate
from genomed.entities.ports import (
    Absent,
    Accepted,
    Ambiguous,
    Answer,
    Deferred,
    DeploymentRequest,
    DeploymentState,
    Found,
    LookupOutcome,
    Rejected,
    SubmitOutcome,
)
from genomed.entities.rows import Message

if TYPE_CHECKING:
    from fireworks import AsyncFireworks

COLLECTION = "deployments"
EXISTS_ALREADY = 409
PAGE_SIZE = 200
MOST_PAGES = 50

WAITING = frozenset({"CREATING", "UPDATING"})
LEAVING = frozenset({"DELETING", "DELETED"})


class FireworksServing:
    """Fulfils ports.Serving."""

    def __init__(self, client: FireworksClient, settings: FireworksSettings) -> None:
        self._client = client
        self._settings = settings

    async def hourly_usd(self, request: DeploymentRequest) -> Estimate:
        """With every replica running; none costs while it is scaled to zero."""
        machines = request.accelerators * self._settings.max_replicas
        return hourly_estimate(self._settings, accelerator=request.accelerator, accelerators=machines)

    async def deploy(self, request: DeploymentRequest) -> SubmitOutcome:
        wish = self._wish(request)
        # Without a validated shape most creations fail, so one is left out only where the accelerator is ours to say.
        risk = {"acceptShapelessRisk": True} if request.accelerator is not None else {}
        try:
            reply = await self._client.send(
                lambda sdk: sdk.deployments.with_raw_response.create(
                    base_model=str(wish["baseModel"]), deployment_id=request.key, extra_query=risk, extra_body=wish
                )
            )
        except Unsent as failed:
            return Deferred(reason=str(failed))
        except Lost as failed:
            return Ambiguous(reason=str(failed))
        if reply.ok:
            return Accepted(provider_job_id=self._name(request.key))
        if reply.status == EXISTS_ALREADY:
            return await self._adopted(request, reply)
        return create_outcome(self._told(reply), NAME)

    async def find(self, key: str) -> LookupOutcome:
        there = await self._deployment(key)
        if there is None or word_of(there.state) in LEAVING:
            return Absent()
        return Found(provider_job_id=self._name(key))

    async def state(self, provider_id: str, *, request: DeploymentRequest) -> DeploymentState:
        there = await self._deployment(identity_of(provider_id))
        if there is None:
            return DeploymentState(phase="gone", provider_status="404")
        word, shown = word_of(there.state), spelled(there.state)
        if word == "READY":
            return await self._loaded(provider_id, request)
        if word in WAITING:
            return DeploymentState(phase="creating", provider_status=shown, message=self._message(there.status))
        if word in LEAVING:
            return DeploymentState(phase="gone", provider_status=shown)
        if word == "FAILED":
            message = self._message(there.status) or "Fireworks gives no reason"
            return DeploymentState(phase="failed", provider_status=shown, message=message, error=_rejected(message))
        return DeploymentState(phase="unknown", provider_status=shown)

    async def undeploy(self, provider_id: str, *, request: DeploymentRequest) -> None:  # noqa: ARG002 -- its id is enough
        """The layer first, then the machines; the machines also while the layer is still being unloaded."""
        for loaded in await self._layers_on(provider_id):
            await self._ended(_unload(loaded))
        await self._ended(
            lambda sdk: sdk.deployments.with_raw_response.delete(identity_of(provider_id), ignore_checks=True)
        )

    async def remove(self, model: str) -> None:
        """What is deployed, or belongs to somebody else, Fireworks refuses to delete."""
        full = full_model_name(model)
        if full.split("/")[1] != self._client.account:
            raise Unsupported(f"{full} is not of the account {self._client.account}", provider=NAME)
        await self._ended(lambda sdk: sdk.models.with_raw_response.delete(identity_of(full)))

    async def answer(self, model: str, prompt: Sequence[Message], *, max_tokens: int) -> Answer:
        """At the inference address: where base_url is given, the SDK would ask the control plane."""
        turns = [{"role": turn.role, "content": turn.content} for turn in prompt]
        began = monotonic()
        reply = await self._client.ask(
            lambda sdk: sdk.with_options(base_url=self._settings.inference).chat.completions.with_raw_response.create(
                model=model, messages=[], max_tokens=max_tokens, temperature=0, extra_body={"messages": turns}
            )
        )
        seconds = monotonic() - began
        said = read(reply, Completion)
        if not said.choices:
            raise MalformedResponse(f"{NAME} answered without a choice", provider=NAME)
        usage = said.usage
        return Answer(
            text=said.choices[0].message.content or "",
            seconds=seconds,
            prompt_tokens=None if usage is None else usage.prompt_tokens,
            completion_tokens=None if usage is None else usage.completion_tokens,
        )

    def _wish(self, request: DeploymentRequest) -> dict[str, object]:
        machines: dict[str, object] = {"deploymentShape": "default"}
        if request.accelerator is not None:
            machines = {"acceleratorType": request.accelerator, "acceleratorCount": request.accelerators}
        return {
            "baseModel": full_model_name(request.base_model),
            "displayName": f"genomed {request.layer_id}"[:63],
            "minReplicaCount": 0,
            "maxReplicaCount": self._settings.max_replicas,
            "enableAddons": True,
            "autoscalingPolicy": {"scaleToZeroWindow": f"{self._settings.scale_to_zero_s}s"},
            **machines,
        }

    async def _adopted(self, request: DeploymentRequest, reply: HttpReply) -> SubmitOutcome:
        there = await self._deployment(request.key)
        if there is None:
            return Ambiguous(reason=f"Fireworks says that deployment {request.key} exists, and does not find it")
        if not same(there.base_model, full_model_name(request.base_model)):
            told = self._told(reply)
            message = f"deployment {request.key} is there with {there.base_model}: not ours. {told.message}"
            return Rejected(error=_rejected(self._client.redact(message)))
        return Accepted(provider_job_id=self._name(request.key), adopted=True)

    async def _loaded(self, provider_id: str, request: DeploymentRequest) -> DeploymentState:
        """The deployment stands: is the layer in it, and if not, let it be loaded."""
        model = request.artifact.location
        there = next((one for one in await self._layers_on(provider_id) if same(one.model, model)), None)
        if there is None:
            return await self._load(provider_id, model)
        word, shown = word_of(there.state), spelled(there.state)
        if word == "DEPLOYED":
            # Asked for in full: without the deployment the name would mean whatever serves it by default.
            return DeploymentState(
                phase="ready",
                provider_status=shown,
                model=f"{model}#{provider_id}",
                base_model=f"{full_model_name(request.base_model)}#{provider_id}",
            )
        return DeploymentState(phase="creating", provider_status=shown, message=self._message(there.status))

    async def _load(self, provider_id: str, model: str) -> DeploymentState:
        """A lost answer is no harm: the list says at the next look whether it went through."""
        try:
            reply = await self._client.send(
                lambda sdk: sdk.lora.with_raw_response.load(model=model, deployment=provider_id)
            )
        except (Unsent, Lost) as failed:
            raise Transient(str(failed), provider=NAME) from failed
        if reply.ok or reply.status == EXISTS_ALREADY:
            return DeploymentState(phase="creating", provider_status="READY", message="the layer is being loaded")
        told = self._told(reply)
        if reply.status not in {400, 404, 422}:
            raise_for_reading(told, NAME)
        error = rejection(told, NAME)
        return DeploymentState(phase="failed", provider_status="READY", message=error.message, error=error)

    async def _layers_on(self, provider_id: str) -> list[DeployedModel]:
        found: list[DeployedModel] = []
        token = ""
        for _ in range(MOST_PAGES):
            page = read(await self._client.ask(_listing(token)), DeployedModels)
            found += [one for one in page.deployed_models if same(one.deployment, provider_id)]
            if not (token := page.next_page_token):
                return found
        raise MalformedResponse(f"{NAME} lists deployed models without an end", provider=NAME)

    async def _deployment(self, identity: str) -> Deployment | None:
        try:
            reply = await self._client.ask(lambda sdk: sdk.deployments.with_raw_response.get(identity))
        except NotFound:
            return None
        return read(reply, Deployment)

    async def _ended(self, ask: Ask) -> None:
        with suppress(NotFound):  # gone is what was wanted
            await self._client.ask(ask)

    def _told(self, reply: HttpReply) -> Refusal:
        return refusal(reply.status, reply.headers, reply.body, redact=self._client.redact)

    def _message(self, status: Status | None) -> str | None:
        return self._client.redact(status.message) if status is not None and status.message else None

    def _name(self, key: str) -> str:
        return resource(self._client.account, COLLECTION, key)


def _unload(loaded: DeployedModel) -> Ask:
    return lambda sdk: sdk.lora.with_raw_response.unload(identity_of(loaded.name))


def _listing(token: str) -> Ask:
    def ask(sdk: "AsyncFireworks") -> "Awaitable[RawAnswer]":
        if token:
            return sdk.lora.with_raw_response.list(page_size=PAGE_SIZE, page_token=token)
        return sdk.lora.with_raw_response.list(page_size=PAGE_SIZE)

    return ask


def _rejected(message: str) -> ErrorBody:
    return ErrorBody(kind=ErrorKind.PROVIDER_REJECTED, message=message, retryable=False, provider=NAME)
