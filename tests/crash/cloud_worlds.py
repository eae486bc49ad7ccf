"""The clouds that a daemon may die over: an emulator each, the settings that lead to it, and what a person would do.

One entry per provider. Knows emulators and daemon settings; knows nothing of where the daemon stops.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.daemon.daemon_rig import Json, Rig
from tests.emulators.emulator import Emulator, serving
from tests.emulators.fireworks_emulator import ACCOUNT, SMALL, FireworksEmulator
from tests.emulators.mistral_emulator import MistralEmulator
from tests.emulators.openai_emulator import OpenAIEmulator
from tests.emulators.together_emulator import TogetherEmulator

from genomed.entities.ids import submission_key

ROWS = 24


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """found: what a person finds on the provider's own page under a key; null: nothing."""

    emulator: Callable[[], Emulator]
    secret: str
    base_model: str
    found: Callable[[Emulator, str], str | None] = lambda emulator, key: None
    settings: Json = field(default_factory=dict)
    sections: Json = field(default_factory=dict)


def _at_together(emulator: Emulator, key: str) -> str | None:
    assert isinstance(emulator, TogetherEmulator)
    return next((job.id for job in emulator.jobs.values() if str(job.body.get("suffix", "")).endswith(key)), None)


LAG: Json = {"lookup_lag_s": 0.02}

CLOUDS: dict[str, Cloud] = {
    "fireworks": Cloud(
        emulator=FireworksEmulator,
        secret="FIREWORKS_API_KEY",
        base_model=SMALL,
        settings={"account_id": ACCOUNT, "settle_pause_s": 0},
    ),
    "openai": Cloud(
        emulator=OpenAIEmulator, secret="OPENAI_API_KEY", base_model="gpt-4.1-mini-2025-04-14", settings=LAG
    ),
    "mistral": Cloud(emulator=MistralEmulator, secret="MISTRAL_API_KEY", base_model="open-mistral-7b", settings=LAG),
    "together": Cloud(
        emulator=TogetherEmulator,
        secret="TOGETHER_API_KEY",
        base_model="meta-llama/Meta-Llama-3.1-8B-Instruct-Reference",
        found=_at_together,
        settings=LAG,
    ),
}


@dataclass(frozen=True, kw_only=True)
class World:
    """One emulator, started, and how a daemon meets it."""

    name: str
    cloud: Cloud
    emulator: Emulator

    @property
    def given(self) -> Json:
        section = {"base_url": self.emulator.base_url} | self.cloud.settings
        return {"courier": {"poll_s": {self.name: 0.001}}, "providers": {self.name: section}}

    @property
    def environment(self) -> dict[str, str]:
        return {self.cloud.secret: self.emulator.api_key}

    async def create_job(
        self, rig: Rig, *, persona: str = "ada", dataset_id: str | None = None, **sections: Json
    ) -> str:
        """Of a dataset of its own, where none is given."""
        configuration = {
            "model": {"baseModel": self.cloud.base_model},
            "datasets": {"trainingFileId": dataset_id or await rig.dataset(ROWS)},
            "method": {"type": "lora"},
        } | self.cloud.sections
        whole = {"personaId": persona, "provider": self.name, "domain": "sums", "configuration": configuration}
        return str((await rig.call("job-create", whole | {"configuration": configuration | sections}))["jobId"])

    async def attend(self, rig: Rig, job: Json) -> None:
        """A person looks at the provider's own page and says what is there."""
        if job["phase"] != "submission_uncertain":
            return
        theirs = self.cloud.found(self.emulator, submission_key(job["jobId"], job["attempt"]))
        await rig.execute("job-resolve", {"jobId": job["jobId"], "providerJobId": theirs})


@asynccontextmanager
async def world(name: str, *, strict: bool = True) -> AsyncIterator[World]:
    cloud = CLOUDS[name]
    async with serving(cloud.emulator(), strict=strict) as emulator:
        yield World(name=name, cloud=cloud, emulator=emulator)
