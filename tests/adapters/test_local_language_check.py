"""What the kinds of language training do not allow together is said before anything runs, each with what to do."""

import pytest
from tests.adapters.local_bench import Bench
from tests.adapters.test_local_check import GPU

from genomed.adapters.local.base_model import read_model
from genomed.adapters.local.language_objections import as_trained, falls_back
from genomed.adapters.local.objections import objections
from genomed.adapters.local.settings import LocalSettings
from genomed.adapters.local.translation import translation
from genomed.entities.errors import Problem
from genomed.entities.types import RowKind, TrainingMethod

Sections = dict[str, object]
NOWHERE = {"type": "lora", "loraConfig": {"trainableModules": "q_proj, nowhere"}}


def found(bench: Bench, sections: Sections, *, kind: str = "chat", **facts: object) -> list[Problem]:
    dataset = bench.dataset(rowKind=kind, **facts)
    return objections(bench.configuration(**sections), dataset, probe=GPU, settings=LocalSettings())


def fields(bench: Bench, sections: Sections, *, kind: str = "chat", **facts: object) -> list[str]:
    return [problem.field for problem in found(bench, sections, kind=kind, **facts)]


@pytest.mark.parametrize("name", ["earlyStoppingPatience", "keepBest"])
def test_stopping_early_and_the_best_checkpoint_need_held_out_rows_and_evaluations(bench: Bench, name: str) -> None:
    wish: Sections = {"metadata": {name: 2 if name == "earlyStoppingPatience" else True}}
    often: Sections = {**wish, "schedule": {"evaluations": 5}}
    assert fields(bench, often) == []
    (unheld,) = found(bench, often, evalRows=0)
    assert (unheld.field, unheld.remedy) == (f"metadata.{name}", "hold rows out, or leave it out")
    (unevaluated,) = found(bench, {**wish, "schedule": {"evaluations": 0}})
    assert (unevaluated.field, unevaluated.remedy) == (f"metadata.{name}", "raise schedule.evaluations")


def test_a_patience_that_can_never_run_out_is_refused(bench: Bench) -> None:
    (problem,) = found(bench, {"metadata": {"earlyStoppingPatience": 3}, "schedule": {"evaluations": 3}})
    assert problem.field == "metadata.earlyStoppingPatience"
    assert "beyond 3" in (problem.remedy or "")


def test_a_threshold_without_patience_is_refused(bench: Bench) -> None:
    assert fields(bench, {"metadata": {"earlyStoppingThreshold": 0.1}}) == ["metadata.earlyStoppingThreshold"]


def test_rows_that_are_packed_are_not_grouped_by_length_as_well(bench: Bench) -> None:
    enabled = ["flash_attention", "sequence_packing"]
    packed: Sections = {"optimizations": {"enabled": enabled}, "metadata": {"groupByLength": True}}
    assert fields(bench, packed) == ["metadata.groupByLength"]
    assert fields(bench, {"metadata": {"groupByLength": True}}) == []
    assert fields(bench, {"metadata": {"groupByLength": True}}, kind="preference") == []


def test_labelled_rows_are_neither_packed_nor_grouped_and_come_at_least_two_by_two(bench: Bench) -> None:
    assert fields(bench, {}, kind="labelled") == []
    assert fields(bench, {"metadata": {"groupByLength": True}}, kind="labelled") == ["metadata.groupByLength"]
    assert fields(bench, {"schedule": {"batchSize": 1}}, kind="labelled") == ["schedule.batchSize"]
    packed: Sections = {"optimizations": {"enabled": ["flash_attention", "sequence_packing"]}}
    assert fields(bench, packed, kind="labelled") == ["optimizations.enabled"]
    assert fields(bench, packed, kind="raft") == []


@pytest.mark.parametrize("kind", ["preference", "labelled"])
def test_rows_that_rate_answers_with_tools_are_refused_before_a_worker_starts(bench: Bench, kind: str) -> None:
    (problem,) = found(bench, {}, kind=kind, features=["tools"])
    assert problem.field == "datasets.trainingFileId"
    assert f"{kind} rows with tools are not trained here" in problem.message


def test_what_only_a_lora_has_is_refused_for_full_training(bench: Bench) -> None:
    full: Sections = {"method": {"type": "full"}, "metadata": {"useDora": True, "useRslora": True}}
    assert fields(bench, full) == ["metadata.useDora", "metadata.useRslora"]
    assert fields(bench, {"metadata": {"useDora": True, "useRslora": True}}) == []


def test_the_fused_loss_is_refused_where_it_would_leave_weights_of_labelled_rows_out(bench: Bench) -> None:
    weighted: Sections = {"metadata": {"ktoDesirableWeight": 2.0}, "optimizations": {"enabled": ["fused_kernels"]}}
    assert "optimizations.enabled" in fields(bench, weighted, kind="labelled")
    remedies = [problem.remedy for problem in found(bench, weighted, kind="labelled")]
    assert "leave out fused_kernels, or the weights and full training" in remedies


async def test_a_layer_without_a_place_is_a_warning_where_the_operator_allows_full_training(bench: Bench) -> None:
    configuration = bench.configuration(method=NOWHERE)
    refused = await bench.provider().check(configuration, bench.dataset(), asked=())
    assert [problem.field for problem in refused.errors] == ["method.loraConfig.trainableModules"]
    bench.settings["allow_full_tuning"] = True
    allowed = await bench.provider().check(configuration, bench.dataset(), asked=())
    assert allowed.valid
    assert [problem.field for problem in allowed.warnings] == ["method.loraConfig.trainableModules"]
    settings = LocalSettings(allow_full_tuning=True)
    payload = translation(configuration, bench.dataset(), asked=(), settings=settings).payload
    assert payload["method"]["allowFull"] is True  # type: ignore[index]


@pytest.mark.parametrize(
    ("method", "kind", "falls"),
    [
        (NOWHERE, RowKind.CHAT, True),
        ({**NOWHERE, "type": "qlora"}, RowKind.CHAT, False),
        ({"type": "lora"}, RowKind.CHAT, False),
        (NOWHERE, RowKind.TRIPLET, False),
    ],
)
def test_memory_is_estimated_for_what_will_be_trained(
    bench: Bench, method: dict[str, object], kind: RowKind, falls: bool
) -> None:
    configuration, model = bench.configuration(method=method), read_model(bench.model)
    settings = LocalSettings(allow_full_tuning=True)
    assert falls_back(configuration, model, settings, row_kind=kind) is falls
    trained = as_trained(configuration, model, settings, row_kind=kind)
    assert (trained.method.type is TrainingMethod.FULL) is falls
    assert as_trained(configuration, model, LocalSettings(), row_kind=kind) is configuration


def test_every_kind_of_rows_is_handed_what_it_is_trained_with(bench: Bench) -> None:
    metadata = {"ktoBeta": 0.3, "ktoUndesirableWeight": 1.5}
    made = translation(
        bench.configuration(metadata=metadata), bench.dataset(rowKind="labelled"), asked=(), settings=LocalSettings()
    )
    assert made.payload["kto"] == {"beta": 0.3, "desirableWeight": 1.0, "undesirableWeight": 1.5}
    assert made.payload["dpo"] is None
    became = {field.field: field.disposition for field in made.fields}
    assert (became["metadata.ktoBeta"], became["metadata.dpoBeta"]) == ("sent", "not_applicable")
    stopping = {"earlyStoppingPatience": 2, "earlyStoppingThreshold": 0.5, "keepBest": True, "groupByLength": True}
    spec = translation(
        bench.configuration(metadata=stopping), bench.dataset(rowKind="raft"), asked=(), settings=LocalSettings()
    ).payload["schedule"]
    assert isinstance(spec, dict)
    assert spec["earlyStopping"] == {"patience": 2, "threshold": 0.5}
    assert (spec["keepBest"], spec["groupByLength"]) == (True, True)
