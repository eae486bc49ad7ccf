"""Fireworks under the contract suite: the adapter with its real SDK, and its emulator on the loopback."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.adapters.plain_secrets import PlainSecrets
from tests.contract.emulator_faults import EmulatorFaults
from tests.contract.wishes import DATASET, configuration
from tests.emulators.emulator import serving
from tests.emulators.fireworks_emulator import ACCOUNT, ENDLESS, FIXED, SMALL, FireworksEmulator

from genomed.adapters import fireworks
from genomed.conformance import Subject, Trouble
from genomed.entities.ports import ProviderContext

KEY, WANDB_KEY = "env:FIREWORKS_API_KEY", "env:WANDB_API_KEY"
WANDB_SECRET = "wandb-emulated-0123456789"

WRITTEN_BY_US = {
    "collection": "which of its three kinds the job is: the rows and the evaluator decide",
    "body.wandbConfig.enabled": "true: the section alone does nothing",
}
CARRIED_ELSEWHERE = {
    "datasets.trainingFileId": "as the uploaded dataset",
    "datasets.validationFileId": "as the uploaded dataset",
    "method.type": "managed jobs train LoRA",
    "optimizer.scheduler.type": "the name of the key under lrScheduler",
}
DONE_ANYWAY = {
    "schedule.gradientAccumulation": "1: the batch is the whole batch of a step",
    "schedule.checkpoints": "1: the result itself",
    "schedule.evaluations": "1: the held-out rows are sent, or there are none",
    "schedule.trainOnInputs": "auto, disabled: it learns from the assistant's turns",
    "optimizer.scheduler.warmupRatio": "0: no warm-up is sent",
}


def _now_us() -> int:
    return time.time_ns() // 1000


@asynccontextmanager
async def fireworks_subject(root: Path) -> AsyncIterator[Subject]:
    async with serving(FireworksEmulator()) as emulator:

        def context(held: dict[str, str]) -> ProviderContext:
            return ProviderContext(
                jobs_dir=str(root / "jobs"),
                layers_dir=str(root / "layers"),
                settings={"base_url": emulator.base_url, "account_id": ACCOUNT, "settle_pause_s": 0},
                now_us=_now_us,
                secrets=PlainSecrets(held),
            )

        yield Subject(
            make=lambda: fireworks.provider(context({KEY: emulator.api_key, WANDB_KEY: WANDB_SECRET})),
            keyless=lambda: fireworks.provider(context({})),
            configuration=configuration(SMALL, optimizer={"learningRate": 0.0002}),
            endless=configuration(ENDLESS),
            wrong=configuration(
                FIXED,
                method={"type": "lora", "loraConfig": {"rank": 12, "alpha": 32, "dropout": 0.1}},
                schedule={"gradientAccumulation": 4, "checkpoints": 3},
                optimizer={"maxGradientNorm": 0.5, "scheduler": {"type": "polynomial"}},
                hardware={"gpuType": "H200", "numGPUs": 8},
                metadata={"topP": 0.5},
            ),
            wrong_fields=frozenset(
                {
                    "model.baseModel",
                    "method.loraConfig.rank",
                    "method.loraConfig.alpha",
                    "method.loraConfig.dropout",
                    "schedule.gradientAccumulation",
                    "schedule.checkpoints",
                    "optimizer.maxGradientNorm",
                    "optimizer.scheduler.type",
                    "hardware.gpuType",
                    "hardware.numGPUs",
                    "metadata.topP",
                }
            ),
            dataset=DATASET,
            layers_dir=root / "layers",
            files=root,
            # A job is looked up by its own address, which is what a poll asks too.
            faults=EmulatorFaults(emulator, changed={Trouble.LOOKUP_LOST: "get_job"}),
            holds=True,
            secret_values=(emulator.api_key, WANDB_SECRET),
            written_by_us=WRITTEN_BY_US,
            carried_elsewhere=CARRIED_ELSEWHERE,
            done_anyway=DONE_ANYWAY,
            now_us=_now_us,
        )
