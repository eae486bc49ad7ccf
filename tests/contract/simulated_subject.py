"""The simulated provider under the contract: its troubles are knobs of the job itself."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.adapters.local_bench import json_in
from tests.adapters.plain_secrets import PlainSecrets
from tests.contract.wishes import DATASET, REPORTED, configuration

from genomed.adapters import simulated
from genomed.conformance import Subject, Trouble
from genomed.entities.configuration import JobConfiguration
from genomed.entities.ports import ProviderContext

STEPS = 3
ENDLESS = 100_000

KNOBS: Mapping[Trouble, Mapping[str, object]] = {
    Trouble.CREATE_REQUEST_LOST: {"lostRequest": True},
    Trouble.CREATE_REPLY_LOST: {"lostReply": True},
    Trouble.CREATE_BUSY: {"failCreateTimes": 1},
    Trouble.LOOKUP_LOST: {"delayLookupTimes": 1, "steps": ENDLESS},
    Trouble.POLL_BUSY: {"serverErrors": 1},
    Trouble.POLL_STRANGE: {"unknownStatusAtPoll": 1},
}


class KnobFaults:
    """Fulfils FaultControls over the remote side's files."""

    able = frozenset(KNOBS)

    def __init__(self, remote: Path) -> None:
        self._remote = remote

    def configuration(self, trouble: Trouble) -> JobConfiguration | None:
        return configuration("any", metadata={"steps": STEPS, **KNOBS[trouble]})

    def cause(self, trouble: Trouble) -> None:
        """The job brings its trouble along."""

    def jobs(self) -> int:
        return sum(int(json_in(path)["accepted"]) for path in self._remote.glob("*.json"))

    def uploads(self) -> int:
        return 0


@asynccontextmanager
async def simulated_subject(root: Path) -> AsyncIterator[Subject]:
    context = ProviderContext(
        jobs_dir=str(root / "jobs"),
        layers_dir=str(root / "layers"),
        settings={},
        now_us=lambda: time.time_ns() // 1000,
        secrets=PlainSecrets({}),
    )
    yield Subject(
        make=lambda: simulated.provider(context),
        configuration=configuration("any", metadata={"steps": STEPS}),
        endless=configuration("any", metadata={"steps": ENDLESS}),
        wrong=configuration("any", metadata={"steps": 0, "colour": "red"}, integrations=REPORTED),
        wrong_fields=frozenset({"metadata.steps", "metadata.colour", "integrations.wandb"}),
        dataset=DATASET,
        layers_dir=root / "layers",
        files=root,
        faults=KnobFaults(root / "jobs" / "simulated-provider"),
        written_by_us={"rowKind": "the dataset's", "evalRows": "the dataset's"},
    )
