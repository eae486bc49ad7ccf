"""Mistral under the contract suite: the adapter, and its emulator on the loopback."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.adapters.plain_secrets import PlainSecrets
from tests.contract.emulator_faults import EmulatorFaults
from tests.contract.wishes import DATASET, configuration
from tests.emulators.emulator import serving
from tests.emulators.mistral_emulator import MistralEmulator

from genomed.adapters import mistral
from genomed.conformance import Subject, Trouble
from genomed.entities.ports import ProviderContext

KEY = "env:MISTRAL_API_KEY"


def _now_us() -> int:
    return time.time_ns() // 1000


@asynccontextmanager
async def mistral_subject(root: Path) -> AsyncIterator[Subject]:
    async with serving(MistralEmulator()) as emulator:

        def context(held: dict[str, str]) -> ProviderContext:
            return ProviderContext(
                jobs_dir=str(root / "jobs"),
                layers_dir=str(root / "layers"),
                settings={"base_url": emulator.base_url},
                now_us=_now_us,
                secrets=PlainSecrets(held),
            )

        yield Subject(
            make=lambda: mistral.provider(context({KEY: emulator.api_key})),
            keyless=lambda: mistral.provider(context({})),
            configuration=configuration("open-mistral-7b", optimizer={"learningRate": 0.0001}),
            endless=configuration("endless-mistral"),
            wrong=configuration(
                "mistral-large-latest",
                method={"type": "lora", "loraConfig": {"rank": 16}},
                schedule={"batchSize": 8},
                output={"suffix": "mine"},
                integrations={"huggingface": {"apiToken": "env:HF", "outputRepoName": "me/repo"}},
                metadata={"fimRatio": 2, "colour": "red"},
            ),
            wrong_fields=frozenset(
                {
                    "model.baseModel",
                    "method.loraConfig",
                    "schedule.batchSize",
                    "output.suffix",
                    "integrations.huggingface",
                    "metadata.fimRatio",
                    "metadata.colour",
                }
            ),
            dataset=DATASET,
            layers_dir=root / "layers",
            files=root,
            # Mistral looks into a file only when a job names it, and then the job has failed.
            faults=EmulatorFaults(emulator, unable=frozenset({Trouble.FILE_BAD})),
            holds=True,
            secret_values=(emulator.api_key,),
            written_by_us={
                "job_type": "the only kind that is trained on conversations",
                "training_files": "the uploaded file, with a weight of 1 since there is one",
                "suffix": "the submission key",
                "auto_start": "false: a job is started once it is validated",
                "integrations.type": "names the section",
            },
            carried_elsewhere={
                "datasets.trainingFileId": "as the uploaded file",
                "datasets.validationFileId": "as the uploaded file",
                "method.type": "Mistral has one way to train",
            },
            done_anyway={"schedule.trainOnInputs": "auto leaves it to Mistral"},
            now_us=_now_us,
        )
