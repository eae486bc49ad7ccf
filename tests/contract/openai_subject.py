"""The `openai` adapter under the contract suite: the real SDK against the emulator."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.adapters.plain_secrets import PlainSecrets
from tests.contract.emulator_faults import EmulatorFaults
from tests.contract.wishes import configuration
from tests.emulators.emulator import serving
from tests.emulators.openai_emulator import BASE_MODEL, ENDLESS_MODEL, OpenAIEmulator
from tests.patience import PATIENCE_S

from genomed.adapters import openai
from genomed.conformance import Subject
from genomed.entities.facts import DatasetFacts
from genomed.entities.ports import Provider, ProviderContext, Secrets
from genomed.entities.types import RowKind

DATASET = DatasetFacts(
    dataset_id="dataset-1", row_kind=RowKind.CHAT, rows=12, eval_rows=2, size_bytes=1200, longest_row_bytes=100
)
KEY = "env:OPENAI_API_KEY"


def provider_on(emulator: OpenAIEmulator, root: Path, secrets: Secrets, **settings: object) -> Provider:
    return openai.provider(
        ProviderContext(
            jobs_dir=str(root / "jobs"),
            layers_dir=str(root / "layers"),
            settings={"base_url": emulator.base_url, "timeout_s": PATIENCE_S, "lookup_lag_s": 5, **settings},
            now_us=lambda: time.time_ns() // 1000,
            secrets=secrets,
        )
    )


@asynccontextmanager
async def openai_subject(root: Path) -> AsyncIterator[Subject]:
    async with serving(OpenAIEmulator()) as emulator:
        rates = {"base_learning_rates": {BASE_MODEL: 2e-5}}
        yield Subject(
            make=lambda: provider_on(emulator, root, PlainSecrets({KEY: emulator.api_key}), **rates),
            keyless=lambda: provider_on(emulator, root, PlainSecrets({})),
            configuration=configuration(BASE_MODEL, metadata={"seed": 7}, output={"suffix": "mine"}),
            endless=configuration(ENDLESS_MODEL),
            wrong=configuration(
                BASE_MODEL,
                metadata={"seed": -1, "colour": "red"},
                method={"type": "lora", "loraConfig": {"rank": 4}},
                schedule={"gradientAccumulation": 4},
                integrations={"huggingface": {"apiToken": "env:HF", "outputRepoName": "me/mine"}},
            ),
            wrong_fields=frozenset(
                {
                    "metadata.seed",
                    "metadata.colour",
                    "method.loraConfig",
                    "schedule.gradientAccumulation",
                    "integrations.huggingface",
                }
            ),
            dataset=DATASET,
            layers_dir=root / "layers",
            files=root,
            faults=EmulatorFaults(emulator),
            holds=True,
            secret_values=(emulator.api_key,),
            done_anyway={
                "schedule.gradientAccumulation": "1: the batch is the whole batch of a step",
                "schedule.trainOnInputs": "auto, disabled: the loss is of the assistant's turns alone",
            },
            written_by_us={"integrations.type": "the kind of integration, which here is the section's own name"},
        )
