"""The contract suite over our own providers. A new adapter joins by one entry in SUBJECTS."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgspec
import pytest
from tests.adapters.local_bench import STARTED, bench_in, make_model
from tests.contract.provider_laws import ProviderLaws, Subject

from genomed.adapters import provider_names, simulated
from genomed.entities.configuration import JobConfiguration
from genomed.entities.facts import DatasetFacts
from genomed.entities.ports import ProviderContext
from genomed.entities.types import RowKind

DATASET = DatasetFacts(
    dataset_id="dataset-1", row_kind=RowKind.CHAT, rows=4, eval_rows=2, size_bytes=100, longest_row_bytes=50
)
REPORTED = {"wandb": {"project": "p"}}


def configuration(base_model: str, **sections: object) -> JobConfiguration:
    whole = {
        "model": {"baseModel": base_model},
        "datasets": {"trainingFileId": "dataset-1"},
        "method": {"type": "lora"},
        **sections,
    }
    return msgspec.convert(whole, JobConfiguration)


@contextmanager
def simulated_subject(root: Path) -> Iterator[Subject]:
    context = ProviderContext(
        jobs_dir=str(root / "jobs"),
        layers_dir=str(root / "layers"),
        settings={},
        now_us=lambda: time.time_ns() // 1000,
    )
    yield Subject(
        new_daemon=lambda: simulated.provider(context),
        configuration=configuration("any", metadata={"steps": 3}),
        endless=configuration("any", metadata={"steps": 100_000}),
        wrong=configuration("any", metadata={"steps": 0, "colour": "red"}, integrations=REPORTED),
        wrong_fields=frozenset({"metadata.steps", "metadata.colour", "integrations.wandb"}),
        dataset=DATASET,
        layers_dir=root / "layers",
        files=root,
    )


@contextmanager
def local_subject(root: Path) -> Iterator[Subject]:
    endless = make_model(root / "endless", [STARTED, ("obey", None)])
    with bench_in(root) as bench:
        yield Subject(
            new_daemon=bench.provider,
            configuration=configuration(str(bench.model), metadata={"seed": 1}),
            endless=configuration(str(endless)),
            wrong=configuration("/nowhere", metadata={"seed": -1, "colour": "red"}, integrations=REPORTED),
            wrong_fields=frozenset({"metadata.seed", "metadata.colour", "integrations.wandb", "model.baseModel"}),
            dataset=DATASET,
            layers_dir=root / "layers",
            files=root,
        )


SUBJECTS: dict[str, Callable[[Path], AbstractContextManager[Subject]]] = {
    "local": local_subject,
    "simulated": simulated_subject,
}


def test_every_provider_stands_under_the_contract() -> None:
    assert sorted(SUBJECTS) == list(provider_names())


class TestProvider(ProviderLaws):
    @pytest.fixture(params=sorted(SUBJECTS))
    def subject(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
        with SUBJECTS[request.param](tmp_path) as subject:
            yield subject
