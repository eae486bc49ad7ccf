"""Together under the contract suite: the adapter, and its emulator on the loopback."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.adapters.plain_secrets import PlainSecrets
from tests.contract.emulator_faults import EmulatorFaults
from tests.contract.wishes import DATASET, REPORTED, configuration
from tests.emulators.emulator import serving
from tests.emulators.together_emulator import ENDLESS, LORA_ONLY, MODEL, TogetherEmulator

from genomed.adapters import together
from genomed.conformance import Subject, Trouble
from genomed.entities.ports import ProviderContext

KEY = "env:TOGETHER_API_KEY"


def now_us() -> int:
    return time.time_ns() // 1000


@asynccontextmanager
async def together_subject(root: Path) -> AsyncIterator[Subject]:
    async with serving(TogetherEmulator()) as emulator:

        def context(held: dict[str, str]) -> ProviderContext:
            return ProviderContext(
                jobs_dir=str(root / "jobs"),
                layers_dir=str(root / "layers"),
                settings={"base_url": emulator.base_url},
                now_us=now_us,
                secrets=PlainSecrets(held),
            )

        yield Subject(
            make=lambda: together.provider(context({KEY: emulator.api_key, "env:WANDB": "w", "env:HF": "h"})),
            keyless=lambda: together.provider(context({})),
            configuration=configuration(MODEL, metadata={"seed": 7}),
            endless=configuration(ENDLESS),
            wrong=configuration(
                LORA_ONLY,
                method={
                    "type": "lora",
                    "loraConfig": {"rank": 128, "alpha": 0.5 + 16, "trainableModules": "q_proj,gate"},
                },
                schedule={"epochs": 11, "batchSize": 5, "sequenceLength": 20_000, "checkpoints": 6},
                optimizer={"learningRate": 0.5},
                output={"suffix": "longer-than-is-left-beside-the-key"},
                integrations=REPORTED,
                hardware={"gpuType": "h100"},
                metadata={"dpoBeta": 0.2, "colour": "red"},
            ),
            wrong_fields=frozenset(
                {
                    "method.loraConfig.rank",
                    "method.loraConfig.alpha",
                    "method.loraConfig.trainableModules",
                    "schedule.epochs",
                    "schedule.batchSize",
                    "schedule.sequenceLength",
                    "schedule.checkpoints",
                    "optimizer.learningRate",
                    "output.suffix",
                    "integrations.wandb.apiKey",
                    "hardware.gpuType",
                    "metadata.colour",
                }
            ),
            dataset=DATASET,
            layers_dir=root / "layers",
            files=root,
            # Of a job whose acceptance was heard a slip lies here, so its look-up asks nobody (test_together_jobs.py).
            faults=EmulatorFaults(emulator, unable=frozenset({Trouble.LOOKUP_LOST})),
            secret_values=(emulator.api_key,),
            written_by_us={
                "suffix": "ends in the submission key",
                "packing": "sequence_packing among the optimizations, or together's own default",
                "training_method": "by the rows' kind; train_on_inputs is a boolean or auto there",
            },
            carried_elsewhere={
                "datasets.trainingFileId": "as the uploaded file",
                "datasets.validationFileId": "as the uploaded file",
                "optimizations.enabled": "as packing",
                "schedule.trainOnInputs": "as true, false or auto",
            },
            now_us=now_us,
        )
