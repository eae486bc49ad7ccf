"""What local training refuses is said at once, each with its field; what it accepts is accounted for."""

import json

import msgspec
import pytest
from tests.adapters.local_bench import JOB, STARTED, Bench

from genomed.adapters.local.availability import Probe, capabilities_of, read_probe
from genomed.adapters.local.objections import objections
from genomed.adapters.local.settings import LocalSettings
from genomed.adapters.local.translation import translation
from genomed.entities.errors import InvalidRequest
from genomed.entities.types import ModelPrecision, OptimizationFeature, TrainingMethod

CPU = Probe(versions=dict.fromkeys(("torch", "transformers", "trl", "peft"), "1"), bf16=True)
GPU = msgspec.convert(
    {"versions": CPU.versions, "device": {"kind": "cuda", "memoryBytes": 1 << 36}, "bf16": True, "fp16": True,
     "qlora": True, "flashAttention": True},
    Probe,
)  # fmt: skip
LORA_ALL = {"type": "lora", "loraConfig": {"trainableModules": "all-linear"}}


Sections = dict[str, object]


def fields(
    bench: Bench, sections: Sections | None = None, *, probe: Probe = CPU, rows: int = 4, kind: str = "chat"
) -> list[str]:
    found = objections(
        bench.configuration(**(sections or {})),
        bench.dataset(rows=rows, rowKind=kind),
        probe=probe,
        settings=LocalSettings(),
    )
    return [problem.field for problem in found]


def test_a_sound_configuration_meets_no_objection(bench: Bench) -> None:
    assert fields(bench) == []
    assert fields(bench, {"method": LORA_ALL, "model": {"baseModel": str(bench.model), "precision": "bf16"}}) == []


def test_everything_wrong_is_said_at_once(bench: Bench) -> None:
    scheduler = {"type": "constant", "cycles": 1, "warmupRatio": 0.1, "minLRRatio": 0.5}
    sections: Sections = {
        "model": {"baseModel": "somebody/model", "precision": "int4"},
        "method": {"type": "qlora", "loraConfig": {"trainableModules": "q proj"}},
        "optimizer": {"learningRate": 0, "scheduler": scheduler},
        "optimizations": {"enabled": ["flash_attention", "sequence_packing"]},
        "hardware": {"gpuType": "H100", "numGPUs": 2},
        "integrations": {
            "wandb": {"project": "p"},
            "huggingface": {"apiToken": "env:T", "outputRepoName": "two words"},
        },
        "metadata": {"seed": -1, "threads": "two", "dpoBeta": 0.2, "colour": "red"},
    }
    found = fields(bench, sections, rows=0)
    assert sorted(set(found)) == [
        "datasets.trainingFileId",
        "hardware.gpuType",
        "hardware.numGPUs",
        "integrations.huggingface.outputRepoName",
        "integrations.wandb",
        "metadata.colour",
        "metadata.dpoBeta",
        "metadata.seed",
        "metadata.threads",
        "method.loraConfig.trainableModules",
        "model.baseModel",
        "model.precision",
        "optimizations.enabled",
        "optimizer.learningRate",
        "optimizer.scheduler.cycles",
        "optimizer.scheduler.minLRRatio",
        "optimizer.scheduler.warmupRatio",
    ]


@pytest.mark.parametrize(
    ("sections", "field"),
    [
        ({"model": {"baseModel": "/nowhere/model"}}, "model.baseModel"),
        ({"model": {"baseModel": "./model"}}, "model.baseModel"),
        ({"model": {"baseModel": "two words"}}, "model.baseModel"),
        ({"method": {"type": "full", "loraConfig": {}}}, "method.loraConfig"),
        ({"metadata": {"revision": "main"}}, "metadata.revision"),
        ({"metadata": {"dpoLossType": "sigmoid"}}, "metadata.dpoLossType"),
        ({"metadata": {"maxNewTokens": 0}}, "metadata.maxNewTokens"),
        ({"metadata": {"seed": 1.5}}, "metadata.seed"),
        ({"metadata": {"seed": True}}, "metadata.seed"),
    ],
)
def test_each_of_these_is_refused_by_its_field(bench: Bench, sections: dict[str, object], field: str) -> None:
    assert field in fields(bench, sections)


def test_a_gpu_opens_what_a_cpu_refuses(bench: Bench) -> None:
    sections: dict[str, object] = {
        "method": {"type": "qlora"},
        "optimizations": {"enabled": ["flash_attention", "sequence_packing", "paged_optimizer"]},
        "model": {"baseModel": str(bench.model), "precision": "fp16"},
    }
    assert fields(bench, sections, probe=GPU) == []
    assert fields(bench, sections, probe=GPU, kind="preference") == ["optimizations.enabled"]
    assert fields(bench, sections).count("optimizations.enabled") == 3


def test_packing_needs_the_attention_that_keeps_rows_apart(bench: Bench) -> None:
    assert fields(bench, {"optimizations": {"enabled": ["sequence_packing"]}}, probe=GPU) == ["optimizations.enabled"]


def test_capabilities_follow_the_hardware() -> None:
    cpu, gpu = capabilities_of(CPU, memory_bytes=None), capabilities_of(GPU, memory_bytes=None)
    assert cpu.available
    assert TrainingMethod.QLORA in set(gpu.supported_methods) - set(cpu.supported_methods)
    assert ModelPrecision.FP16 in set(gpu.supported_precisions) - set(cpu.supported_precisions)
    assert OptimizationFeature.FLASH_ATTENTION in set(gpu.supported_optimizations) - set(cpu.supported_optimizations)
    threads = cpu.custom_parameters["threads"]
    assert (threads.type.value, threads.min, threads.max, threads.default) == ("number", 1, 1024, None)
    assert cpu.custom_parameters["dpoLossType"].enum_values == ("hinge", "ipo", "sigmoid")
    assert all(definition.description for definition in cpu.custom_parameters.values())


def test_an_interpreter_without_an_engine_says_what_to_install() -> None:
    reason = capabilities_of(Probe(), memory_bytes=None).reason
    assert reason is not None
    assert "torch" in reason
    assert "pip install 'genomed[local]'" in reason


def test_a_probe_that_breaks_is_a_reason_and_not_an_exception() -> None:
    probe = read_probe(b"", b"Traceback\nImportError: no libfoo\n", 1)
    assert probe.reason is not None
    assert "no libfoo" in probe.reason


async def test_a_missing_interpreter_is_a_reason(bench: Bench) -> None:
    bench.settings["python"] = "/nowhere/python"
    capabilities = await bench.provider().capabilities()
    assert not capabilities.available
    assert "/nowhere/python" in (capabilities.reason or "")
    result = await bench.provider().check(bench.configuration(), bench.dataset(), asked=())
    assert "/nowhere/python" in result.errors[0].message


async def test_an_interpreter_that_says_nothing_is_not_waited_for(bench: Bench) -> None:
    hung = bench.root / "hung.py"
    hung.write_text("import time; time.sleep(60)")
    bench.settings |= {"worker": str(hung), "probe_timeout_s": 0.3}
    assert "said nothing" in ((await bench.provider().capabilities()).reason or "")


async def test_the_interpreter_is_asked_once_until_the_answer_is_old(bench: Bench) -> None:
    counted = bench.root / "counted.py"
    answer = json.dumps({"versions": CPU.versions})
    counted.write_text(f"open('{bench.root}/asked', 'a').write('x'); print('{answer}')")
    bench.settings["worker"] = str(counted)
    provider = bench.provider()
    for _ in range(3):
        assert (await provider.capabilities()).available
    assert (bench.root / "asked").stat().st_size == 1
    bench.ahead_s = 601
    await provider.capabilities()
    assert (bench.root / "asked").stat().st_size == 2


async def test_a_module_the_model_has_not_is_refused_with_those_it_has(bench: Bench) -> None:
    method = {"type": "lora", "loraConfig": {"trainableModules": "q_proj, w_proj"}}
    result = await bench.provider().check(bench.configuration(method=method), bench.dataset(), asked=())
    assert [problem.field for problem in result.errors] == ["method.loraConfig.trainableModules"]
    assert "w_proj; it has q_proj, up_proj" in result.errors[0].message


async def test_without_held_out_rows_there_is_a_warning(bench: Bench) -> None:
    result = await bench.provider().check(bench.configuration(), bench.dataset(evalRows=0), asked=())
    assert result.valid
    assert [warning.field for warning in result.warnings] == ["schedule.evaluations"]


def test_an_unknown_setting_is_refused_with_the_known_ones(bench: Bench) -> None:
    bench.settings["pyhton"] = "x"
    with pytest.raises(InvalidRequest) as refused:
        bench.provider()
    assert "memory_reserve_bytes" in (refused.value.remedy or "")


def test_hub_models_pass_only_where_the_operator_allows_them(bench: Bench) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    configuration = bench.configuration(model={"baseModel": "org/model"}, metadata={"revision": commit})
    for allowed, expected in ((True, []), (False, ["model.baseModel"])):
        settings = LocalSettings(allow_hub=allowed)
        found = objections(configuration, bench.dataset(), probe=CPU, settings=settings)
        assert [problem.field for problem in found] == expected
        payload = translation(configuration, bench.dataset(), asked=(), settings=settings).payload
        assert (payload["offline"], payload["revision"]) == (not allowed, commit)


@pytest.mark.parametrize("metadata", [{}, {"revision": "main"}, {"revision": "v1"}, {"revision": "0123456789abcdef"}])
def test_a_model_of_the_hub_is_named_by_its_commit_unless_the_operator_allows_otherwise(
    bench: Bench, metadata: dict[str, str]
) -> None:
    configuration = bench.configuration(model={"baseModel": "org/model"}, metadata=metadata)
    for unpinned, expected in ((False, ["metadata.revision"]), (True, [])):
        settings = LocalSettings(allow_hub=True, allow_unpinned=unpinned)
        found = objections(configuration, bench.dataset(), probe=CPU, settings=settings)
        assert [problem.field for problem in found] == expected


def test_what_became_of_a_field_depends_on_what_was_asked(bench: Bench) -> None:
    configuration = bench.configuration(output={"suffix": "s1"}, metadata={"seed": 7})
    made = translation(
        configuration,
        bench.dataset(evalRows=0),
        asked=("schedule.evaluations", "output.suffix"),
        settings=LocalSettings(threads=2),
    )
    became = {field.field: (field.asked, field.sent, field.disposition) for field in made.fields}
    assert became["schedule.evaluations"] == (1, 0, "adjusted")
    assert became["schedule.epochs"] == (None, 3, "defaulted")
    assert became["output.suffix"] == ("s1", "s1", "sent")
    assert became["metadata.seed"] == (7, 7, "sent")
    assert became["metadata.threads"] == (None, 2, "defaulted")
    assert became["metadata.dpoBeta"] == (None, None, "not_applicable")
    assert became["hardware.numGPUs"] == (None, None, "not_applicable")


def test_a_validation_dataset_of_its_own_is_judged_on(bench: Bench) -> None:
    datasets = {"trainingFileId": "dataset-1", "validationFileId": "dataset-2"}
    configuration = bench.configuration(datasets=datasets)
    made = translation(configuration, bench.dataset(evalRows=0), asked=(), settings=LocalSettings())
    assert made.payload["judge"] == {"maxNewTokens": 64, "samples": 8}
    assert {field.field: field.sent for field in made.fields}["schedule.evaluations"] == 1


async def test_the_worker_is_told_what_was_translated_and_where_its_files_lie(bench: Bench) -> None:
    bench.script(STARTED, ("obey", None))
    await bench.provider().submit(bench.submission(resume=True, output={"suffix": "s1"}))
    spec = json.loads((bench.attempt / "spec.json").read_bytes())
    assert spec.keys() == {
        "protocol", "jobId", "attempt", "submissionKey", "baseModel", "revision", "offline", "dataset", "method",
        "schedule", "optimizer", "precision", "optimizations", "dpo", "seed", "initLayer", "resume", "judge",
        "threads", "paths", "engine", "engineReason", "processes", "sinks",
    }  # fmt: skip
    assert (spec["jobId"], spec["attempt"], spec["resume"], spec["initLayer"], spec["dpo"]) == (
        JOB,
        1,
        True,
        None,
        None,
    )
    assert spec["judge"] == {"baselineLayer": None, "maxNewTokens": 64, "samples": 8}
    assert spec["paths"]["checkpoints"] == str(bench.attempt.parent / "checkpoints")
    assert spec["optimizer"]["scheduler"] == {"type": "linear", "minLRRatio": 0, "warmupRatio": 0, "cycles": None}


def test_preferences_with_tools_are_refused_before_a_worker_starts(bench: Bench) -> None:
    def refused(kind: str) -> list[str]:
        rows = bench.dataset(rowKind=kind, features=["tools", "weights"])
        return [p.message for p in objections(bench.configuration(), rows, probe=CPU, settings=LocalSettings())]

    assert [message for message in refused("preference") if "with tools are not trained here" in message]
    assert refused("chat") == []
