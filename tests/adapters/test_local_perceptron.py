"""A perceptron is a base model without a file: what it is accepted for, and what is refused, each with its field."""

import msgspec
import pytest
from tests.adapters.local_bench import Bench

from genomed.adapters.local import perceptron
from genomed.adapters.local.availability import Probe
from genomed.adapters.local.objections import objections
from genomed.adapters.local.settings import LocalSettings
from genomed.adapters.local.translation import translation

PROBE = Probe(versions={**dict.fromkeys(("torch", "transformers", "trl", "peft"), "1"), "wandb": "1"}, bf16=True)
SOUND: dict[str, object] = {"model": {"baseModel": "mlp:512-1024-512-384"}, "method": {"type": "full"}}


def fields(bench: Bench, kind: str = "vector_pair", **sections: object) -> list[str]:
    configuration, dataset = bench.configuration(**{**SOUND, **sections}), bench.dataset(rowKind=kind)
    return [problem.field for problem in objections(configuration, dataset, probe=PROBE, settings=LocalSettings())]


def test_its_name_is_its_widths(bench: Bench) -> None:
    assert fields(bench) == []
    payload = translation(
        bench.configuration(**SOUND), bench.dataset(rowKind="vector_pair"), asked=(), settings=LocalSettings()
    ).payload
    assert payload["projection"] == {"widths": [512, 1024, 512, 384], "dropout": 0.1, "targetLoss": 0.15}


@pytest.mark.parametrize(
    "name", ["mlp:", "mlp:512", "mlp:512-", "mlp:0-3", "mlp:5x3", "mlp:5-3\n", "some/model", "/tmp"]
)
def test_vector_pairs_are_learned_by_nothing_else(bench: Bench, name: str) -> None:
    assert fields(bench, model={"baseModel": name}) == ["model.baseModel"]


@pytest.mark.parametrize("kind", ["chat", "preference", "labelled", "raft", "triplet", "ranking"])
def test_and_it_learns_from_nothing_else(bench: Bench, kind: str) -> None:
    assert "model.baseModel" in fields(bench, kind)


def test_what_it_has_no_use_for_is_refused(bench: Bench) -> None:
    found = fields(
        bench,
        method={"type": "lora"},
        model={"baseModel": "mlp:4-4", "precision": "bf16"},
        optimizations={"enabled": ["gradient_checkpointing"]},
        metadata={"revision": "a" * 40, "maxNewTokens": 4},
    )
    assert sorted(found) == ["metadata.maxNewTokens", "metadata.revision", "method.type", "optimizations.enabled"]


async def test_memory_is_weighed_without_a_folder(bench: Bench) -> None:
    def need(widths: str) -> int:
        configuration = bench.configuration(model={"baseModel": widths}, method={"type": "full"})
        return perceptron.need(configuration, bench.dataset(rowKind="vector_pair")).total

    weights = 512 * 1024 + 1024 * 512 + 512 * 384
    assert need("mlp:512-1024-512-384") - need("mlp:1-1") >= 16 * weights
    huge = bench.configuration(model={"baseModel": "mlp:900000-900000"}, method={"type": "full"})
    told = await bench.provider().check(huge, bench.dataset(rowKind="vector_pair"), asked=())
    assert "model.baseModel" in [problem.field for problem in told.errors]


def test_a_sink_whose_library_is_missing_is_refused_by_name(bench: Bench) -> None:
    assert fields(bench, metadata={"tensorboard": True}) == ["metadata.tensorboard"]
    assert fields(bench, metadata={"metricsJsonl": True}, integrations={"wandb": {"project": "p"}}) == []


def test_both_uploads_are_accounted_for(bench: Bench) -> None:
    wishes = {
        "wandb": {"project": "house", "runName": "first", "apiKey": "env:KEY"},
        "huggingface": {"apiToken": "env:TOKEN", "outputRepoName": "me/layer"},
    }
    asked = ("integrations.wandb", "integrations.huggingface")
    made = translation(
        bench.configuration(**SOUND, integrations=wishes), bench.dataset(rowKind="vector_pair"), asked=asked,
        settings=LocalSettings(),
    )  # fmt: skip
    told = {field.field: field for field in made.fields}
    assert (told["integrations.wandb"].sent, told["integrations.huggingface"].sent) == ("house", "me/layer")
    assert {told[name].disposition for name in asked} == {"sent"}
    assert b"env:" not in msgspec.json.encode(made.payload)
