"""Simulated serving: deployments that serve nothing, kept in files, with answers that say that they are made up.

The remote side forgets nothing between daemons, and fails as the settings ask. No model is loaded, no money is spent;
the hourly price is a number from the settings, so that everything around it can be tried.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Annotated

import msgspec
from anyio import to_thread
from msgspec import Meta, Struct
from msgspec.structs import replace

from genomed.adapters._durable_files import write_atomically
from genomed.entities.errors import ErrorBody, ErrorKind, Forbidden, ProviderRejected, Transient
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
    Unsearchable,
)
from genomed.entities.rows import Message

NAME = "simulated"
Times = Annotated[int, Meta(ge=0, le=1000)]


class ServingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to pretend: `[providers.simulated.serving]`.

    hourly_usd: per accelerator; hourly_known false: nobody knows. looks_until_ready, looks_until_gone: how many answers
    to `state` it takes. forbidden_looks: of these looks the provider refuses to be asked. fails: it never gets ready.
    broken_removals, forbidden_removals: the same of the first wishes to delete a result.
    """

    hourly_usd: Annotated[float, Meta(ge=0, le=1_000_000)] = 0.0
    hourly_known: bool = True
    looks_until_ready: Times = 1
    looks_until_gone: Times = 0
    lost_request: bool = False
    lost_reply: bool = False
    searchable: bool = True
    busy_times: Times = 0
    rejects: bool = False
    fails: bool = False
    broken_looks: Times = 0
    forbidden_looks: Times = 0
    broken_answers: Times = 0
    broken_removals: Times = 0
    forbidden_removals: Times = 0


class Served(Struct, frozen=True, kw_only=True, rename="camel"):
    """One key's file. calls: how often it was asked for; accepted: how often it was made, and would be paid."""

    request: DeploymentRequest
    calls: int = 0
    accepted: int = 0
    looks: int = 0
    last_looks: int = 0
    undeploys: int = 0
    word: str = "CREATING"


class Removed(Struct, frozen=True, kw_only=True, rename="camel"):
    """The file of one result that is to be deleted. removed: how often it was there, and went."""

    model: str
    calls: int = 0
    removed: int = 0


class SimulatedServing:
    """Fulfils ports.Serving. folder: one file per key; any number of instances may follow one another on it."""

    def __init__(self, folder: Path, settings: ServingSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._lock = Lock()
        self._broken_answers = 0

    async def hourly_usd(self, request: DeploymentRequest) -> Estimate:
        if not self._settings.hourly_known:
            return Estimate(usd=None, basis="the settings of the simulation say that nobody knows", source="unknown")
        usd = self._settings.hourly_usd * request.accelerators
        basis = f"{request.accelerators} simulated accelerators, at a price made up in the settings; nothing is paid"
        return Estimate(usd=usd, basis=basis, source="price_table" if usd else "free", seconds=3600.0)

    async def deploy(self, request: DeploymentRequest) -> SubmitOutcome:
        return await to_thread.run_sync(self._deploy, request)

    async def find(self, key: str) -> LookupOutcome:
        if not self._settings.searchable:
            return Unsearchable()
        served = await to_thread.run_sync(self._load, key)
        return Found(provider_job_id=_id(key)) if served is not None and served.accepted else Absent()

    async def state(self, provider_id: str, *, request: DeploymentRequest) -> DeploymentState:
        return await to_thread.run_sync(self._state, provider_id, request)

    async def undeploy(self, provider_id: str, *, request: DeploymentRequest) -> None:  # noqa: ARG002 -- its id is enough
        def mark(served: Served) -> Served:
            word = served.word if served.word == "GONE" else "LEAVING"
            return replace(served, undeploys=served.undeploys + 1, word=word)

        await to_thread.run_sync(self._change, _key(provider_id), mark)

    async def remove(self, model: str) -> None:
        await to_thread.run_sync(self._remove, model)

    async def answer(self, model: str, prompt: Sequence[Message], *, max_tokens: int) -> Answer:
        """The same words for the same question, and they say what they are."""
        if self._broken_answers < self._settings.broken_answers:
            self._broken_answers += 1
            raise Transient("503: simulated trouble", provider=NAME)
        asked = next((one.content for one in reversed(prompt) if one.role == "user"), "")
        if not asked:
            raise ProviderRejected("400: there is no question", provider=NAME)
        text = f"simulated answer of {model} to: {asked}"[: 4 * max_tokens]
        return Answer(text=text, seconds=0.0, prompt_tokens=len(asked) // 4, completion_tokens=len(text) // 4)

    def _deploy(self, request: DeploymentRequest) -> SubmitOutcome:
        knobs = self._settings
        with self._lock:
            served = self._load(request.key) or Served(request=request)
            served = self._save(replace(served, calls=served.calls + 1))
            if knobs.rejects:
                message = "400: this deployment was asked to be refused"
                return Rejected(
                    error=ErrorBody(kind=ErrorKind.PROVIDER_REJECTED, message=message, retryable=False, provider=NAME)
                )
            if served.calls <= knobs.busy_times:
                return Deferred(reason="429: no accelerator is free", retry_after_s=0.0)
            if knobs.lost_request and served.calls == 1:
                return Ambiguous(reason="the connection broke while sending")
            if not served.accepted:
                served = self._save(replace(served, accepted=served.accepted + 1))
                if knobs.lost_reply:
                    return Ambiguous(reason="the connection broke before an answer came")
        return Accepted(provider_job_id=_id(request.key))

    def _remove(self, model: str) -> None:
        knobs, path = self._settings, self._folder / removal_file(model)
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            there = Removed(model=model)
            if path.exists():
                there = msgspec.json.decode(path.read_bytes(), type=Removed)
            there = replace(there, calls=there.calls + 1)
            answers = there.calls > knobs.broken_removals + knobs.forbidden_removals
            write_atomically(path, msgspec.json.encode(replace(there, removed=1) if answers else there))
        if there.calls <= knobs.broken_removals:
            raise Transient("503: simulated trouble", provider=NAME)
        if not answers:
            raise Forbidden("403: this key may delete nothing", provider=NAME)

    def _state(self, provider_id: str, request: DeploymentRequest) -> DeploymentState:
        served = self._change(_key(provider_id), self._looked_at)
        if served is None or served.word == "GONE":
            return DeploymentState(phase="gone", provider_status="404")
        if served.looks <= self._settings.broken_looks:
            raise Transient("503: simulated trouble", provider=NAME)
        if served.looks <= self._settings.broken_looks + self._settings.forbidden_looks:
            raise Forbidden("403: this key may look no more", provider=NAME)
        if served.word == "READY":
            location = request.artifact.location
            return DeploymentState(
                phase="ready", provider_status="READY", model=f"{location}#{provider_id}", base_model=request.base_model
            )
        if served.word == "BROKEN":
            return DeploymentState(phase="failed", provider_status="BROKEN", message="it was told to fail")
        return DeploymentState(phase="creating", provider_status=served.word)

    def _looked_at(self, served: Served) -> Served:
        """Every look moves it on by one."""
        served = replace(served, looks=served.looks + 1)
        if served.word == "LEAVING":
            gone = served.last_looks >= self._settings.looks_until_gone
            return replace(served, last_looks=served.last_looks + 1, word="GONE" if gone else "LEAVING")
        if served.word == "CREATING" and served.looks >= self._settings.looks_until_ready:
            return replace(served, word="BROKEN" if self._settings.fails else "READY")
        return served

    def _change(self, key: str, change: Callable[[Served], Served]) -> Served | None:
        with self._lock:
            served = self._load(key)
            return None if served is None else self._save(change(served))

    def _load(self, key: str) -> Served | None:
        try:
            return msgspec.json.decode((self._folder / f"{key}.json").read_bytes(), type=Served)
        except FileNotFoundError:
            return None

    def _save(self, served: Served) -> Served:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._folder / f"{served.request.key}.json", msgspec.json.encode(served))
        return served


def removal_file(model: str) -> str:
    return f"removed-{sha256(model.encode()).hexdigest()[:16]}.json"


def _id(key: str) -> str:
    return f"served-{key}"


def _key(provider_id: str) -> str:
    return provider_id.removeprefix("served-")
