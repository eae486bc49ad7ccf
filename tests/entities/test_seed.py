"""The seed's schema is here whole: every word of every enum, every field by its wire name, required as it says."""

from enum import StrEnum

import msgspec
import pytest
from msgspec.structs import fields
from tests.entities.lives import CONFIGURATION, JSON_CONFIGURATION

from genomed.entities import configuration as c
from genomed.entities.capabilities import ParameterDefinition, ParameterType, ProviderCapabilities, ValidationResult
from genomed.entities.checking import convert, problems
from genomed.entities.limits import Range
from genomed.entities.types import (
    LRSchedulerType,
    ModelPrecision,
    OptimizationFeature,
    TrainingMethod,
    TrainOnInputs,
)

ENUMS: list[tuple[type[StrEnum], dict[str, str]]] = [
    (TrainingMethod, {"FULL": "full", "LORA": "lora", "QLORA": "qlora"}),
    (
        LRSchedulerType,
        {
            "COSINE": "cosine",
            "LINEAR": "linear",
            "CONSTANT": "constant",
            "CONSTANT_WITH_WARMUP": "constant_with_warmup",
            "POLYNOMIAL": "polynomial",
        },
    ),
    (
        ModelPrecision,
        {"FP32": "fp32", "FP16": "fp16", "BF16": "bf16", "FP8": "fp8", "INT8": "int8", "INT4": "int4"},
    ),
    (
        OptimizationFeature,
        {
            "FLASH_ATTENTION": "flash_attention",
            "GRADIENT_CHECKPOINTING": "gradient_checkpointing",
            "OPTIMIZER_8BIT": "optimizer_8bit",
            "PAGED_OPTIMIZER": "paged_optimizer",
            "FUSED_KERNELS": "fused_kernels",
            "SEQUENCE_PACKING": "sequence_packing",
            "DYNAMIC_PADDING": "dynamic_padding",
            "ACTIVATION_OFFLOADING": "activation_offloading",
        },
    ),
    (TrainOnInputs, {"AUTO": "auto", "ENABLED": "enabled", "DISABLED": "disabled"}),
    (ParameterType, {"STRING": "string", "NUMBER": "number", "BOOLEAN": "boolean", "ENUM": "enum"}),
]

STRUCTS: list[tuple[type[msgspec.Struct], str]] = [
    (
        c.JobConfiguration,
        "model datasets method schedule optimizer optimizations hardware integrations output metadata",
    ),
    (c.ModelSection, "baseModel precision"),
    (c.DatasetsSection, "trainingFileId validationFileId"),
    (c.MethodSection, "type loraConfig"),
    (
        c.ScheduleSection,
        "epochs batchSize sequenceLength gradientAccumulation checkpoints evaluations trainOnInputs",
    ),
    (c.OptimizerSection, "learningRate scheduler weightDecay maxGradientNorm"),
    (c.OptimizationsSection, "enabled"),
    (c.HardwareSection, "gpuType numGPUs"),
    (c.IntegrationsSection, "wandb huggingface"),
    (c.OutputSection, "suffix"),
    (c.LoRAConfiguration, "rank alpha dropout trainableModules"),
    (c.LRSchedulerConfig, "type minLRRatio warmupRatio cycles"),
    (c.WandBIntegration, "project runName apiKey baseUrl"),
    (c.HFIntegration, "apiToken outputRepoName"),
    (ParameterDefinition, "type description required default enumValues min max"),
    (Range, "min max default"),
]

REQUIRED = {
    c.JobConfiguration: "model datasets method",
    c.ModelSection: "baseModel",
    c.DatasetsSection: "trainingFileId",
    c.MethodSection: "type",
    c.WandBIntegration: "project",
    c.HFIntegration: "apiToken outputRepoName",
    ParameterDefinition: "type description",
    Range: "min max default",
}
"""What has no default. The seed leaves schedule and optimizer to PARAMETER_RANGES' defaults (open question 2)."""

CAPABILITIES = (
    "supportedMethods supportedOptimizations supportedPrecisions parameterRanges additionalRequiredParams"
    " customParameters"
)


@pytest.mark.parametrize(("kind", "words"), ENUMS, ids=lambda value: getattr(value, "__name__", ""))
def test_an_enum_has_the_seeds_words_in_the_seeds_order(kind: type[StrEnum], words: dict[str, str]) -> None:
    assert [(one.name, one.value) for one in kind] == list(words.items())


@pytest.mark.parametrize(("kind", "names"), STRUCTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_struct_has_the_seeds_fields_by_their_wire_names(kind: type[msgspec.Struct], names: str) -> None:
    assert [field.encode_name for field in fields(kind)] == names.split()


@pytest.mark.parametrize(("kind", "names"), STRUCTS, ids=lambda value: getattr(value, "__name__", ""))
def test_only_what_the_seed_cannot_do_without_is_required(kind: type[msgspec.Struct], names: str) -> None:
    required = [field.encode_name for field in fields(kind) if field.required]
    assert required == REQUIRED.get(kind, "").split()


def test_capabilities_hold_at_least_the_seeds_fields() -> None:
    assert set(CAPABILITIES.split()) <= {field.encode_name for field in fields(ProviderCapabilities)}


def test_what_comes_from_outside_refuses_fields_it_does_not_know() -> None:
    for kind, _ in STRUCTS:
        if kind.__module__ == c.__name__:
            assert kind.__struct_config__.forbid_unknown_fields, kind


def test_a_configuration_survives_the_wire() -> None:
    assert msgspec.json.decode(msgspec.json.encode(CONFIGURATION), type=c.JobConfiguration) == CONFIGURATION


def test_full_training_has_no_lora_and_lora_without_settings_has_the_defaults() -> None:
    assert CONFIGURATION.lora == c.LoRAConfiguration()
    full = convert({**JSON_CONFIGURATION, "method": {"type": "full"}}, c.JobConfiguration)
    assert full.lora is None


@pytest.mark.parametrize("secret", ["hf_abc123", "", "ENV:HF", "sk-env:HF"])
def test_a_secret_itself_is_refused_where_a_reference_to_it_belongs(secret: str) -> None:
    for integrations, field in (
        ({"huggingface": {"apiToken": secret, "outputRepoName": "a/b"}}, "huggingface.apiToken"),
        ({"wandb": {"project": "p", "apiKey": secret}}, "wandb.apiKey"),
    ):
        found = problems({**JSON_CONFIGURATION, "integrations": integrations}, c.JobConfiguration)
        assert [problem.field for problem in found] == [f"integrations.{field}"]
        assert not secret or all(secret not in problem.message for problem in found)


@pytest.mark.parametrize("reference", ["env:HF_TOKEN", "cred:hf", "keyring:hf", "file:/run/hf"])
def test_a_reference_to_a_secret_is_taken(reference: str) -> None:
    integrations = {"huggingface": {"apiToken": reference, "outputRepoName": "a/b"}}
    assert problems({**JSON_CONFIGURATION, "integrations": integrations}, c.JobConfiguration) == []


def test_a_check_without_errors_is_valid() -> None:
    assert ValidationResult().valid
