"""Local training under the contract, with a stand-in for the worker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from anyio import to_thread
from tests.adapters.local_bench import STARTED, bench_in, make_model
from tests.contract.wishes import DATASET, REPORTED, configuration

from genomed.conformance import Subject


@asynccontextmanager
async def local_subject(root: Path) -> AsyncIterator[Subject]:
    endless = await to_thread.run_sync(make_model, root / "endless", [STARTED, ("obey", None)])
    with bench_in(root) as bench:
        yield Subject(
            make=bench.provider,
            configuration=configuration(str(bench.model), metadata={"seed": 1}),
            endless=configuration(str(endless)),
            wrong=configuration("/nowhere", metadata={"seed": -1, "colour": "red"}, integrations=REPORTED),
            wrong_fields=frozenset({"metadata.seed", "metadata.colour", "integrations.wandb", "model.baseModel"}),
            dataset=DATASET,
            layers_dir=root / "layers",
            files=root,
            written_by_us={
                "protocol": "the worker's language",
                "offline": "the operator's setting",
                "dataset": "the dataset's",
                "aside.longestRowBytes": "the dataset's",
            },
            carried_elsewhere={
                "datasets.trainingFileId": "as paths, which the attempt's specification has",
                "integrations.huggingface": "to an errand of its own, which uploads the layer",
            },
            done_anyway=dict.fromkeys(("metadata.useDora", "metadata.useRslora"), "full training is without them"),
        )
