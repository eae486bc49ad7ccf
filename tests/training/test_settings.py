"""From wishes to the trainer's keywords. Pure: no engine is loaded."""

import hashlib
import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.training.failures import WorkerFailure
from genomed.training.hardware import Device, Hardware
from genomed.training.learning_rate import curve, warmup_steps
from genomed.training.optimizations import NAMES, features
from genomed.training.settings import Settings, derive, grouped, precision, spread, total_steps
from genomed.training.specification import (
    DatasetFiles,
    Dpo,
    EarlyStopping,
    Kto,
    Lora,
    Method,
    Optimizer,
    Paths,
    Projection,
    Schedule,
    Scheduler,
    Specification,
)

SPEC = Specification(
    protocol=1,
    job_id="job-1",
    attempt=1,
    submission_key="gn1",
    base_model="/base",
    revision=None,
    offline=True,
    dataset=DatasetFiles(kind="chat", train="/t", eval=None, rows=40, eval_rows=0, sha256="0"),
    method=Method(type="lora", lora=Lora(rank=8, alpha=16, dropout=0, trainable_modules="all-linear")),
    schedule=Schedule(
        epochs=3,
        batch_size=4,
        sequence_length=512,
        gradient_accumulation=1,
        checkpoints=1,
        evaluations=1,
        train_on_inputs="auto",
    ),
    optimizer=Optimizer(
        learning_rate=1e-4,
        weight_decay=0.1,
        max_gradient_norm=0.5,
        scheduler=Scheduler(type="cosine", min_lr_ratio=0.0, warmup_ratio=0.0, cycles=None),
    ),
    precision=None,
    optimizations=(),
    dpo=None,
    seed=7,
    init_layer=None,
    resume=False,
    judge=None,
    threads=None,
    paths=Paths(progress="p", control="c", worker="w", heartbeat="h", checkpoints="k", result="r"),
)
CPU = Hardware(
    device=Device(kind="cpu", name="a processor", memoryBytes=None),
    bf16=True,
    fp16=False,
    bitsandbytes=False,
    flash_attention=False,
    liger=False,
    threads=2,
)
GPU = replace(
    CPU,
    device=Device(kind="cuda", name="a GPU", memoryBytes=None),
    fp16=True,
    bitsandbytes=True,
    flash_attention=True,
    liger=True,
)


def scheduled(**changes: object) -> Optimizer:
    return replace(SPEC.optimizer, scheduler=replace(SPEC.optimizer.scheduler, **changes))  # type: ignore[arg-type]


def derived(spec: Specification = SPEC, hardware: Hardware = CPU, rows: int = 40, eval_rows: int = 10) -> Settings:
    return derive(spec, hardware, rows=rows, eval_rows=eval_rows, masking="assistant_tokens", length=256)


@given(rows=st.integers(1, 500), batch=st.integers(1, 64), accumulation=st.integers(1, 16), epochs=st.integers(1, 20))
def test_every_row_is_seen_once_per_epoch_and_no_step_is_empty(
    rows: int, batch: int, accumulation: int, epochs: int
) -> None:
    steps = total_steps(rows, batch_size=batch, accumulation=accumulation, epochs=epochs) // epochs
    assert (steps - 1) * batch * accumulation < rows <= steps * batch * accumulation


@given(count=st.integers(0, 20), steps=st.integers(0, 3000))
def test_marks_are_spread_evenly_and_end_with_the_run(count: int, steps: int) -> None:
    marks = sorted(spread(count, steps))
    assert len(marks) <= min(count, steps)
    if count and steps:
        assert marks[-1] == steps
        assert marks[0] >= 1
    if steps >= count > 0:
        gaps = [later - earlier for earlier, later in zip([0, *marks], marks, strict=False)]
        assert len(marks) == count
        assert max(gaps) - min(gaps) <= 1


def test_what_the_libraries_would_set_unasked_is_set_on_purpose() -> None:
    assert {
        "bf16": False,
        "fp16": False,
        "use_cpu": True,
        "gradient_checkpointing": False,
        "report_to": [],
        "dataloader_pin_memory": False,
        "packing": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "save_total_limit": None,
        "trust_remote_code": False,
        "train_sampling_strategy": "random",
        "ignore_data_skip": False,
    }.items() <= derived().trainer.items()


def test_a_length_the_base_model_does_not_have_is_told() -> None:
    (told,) = [field for field in derived().effective if field.field == "schedule.sequenceLength"]
    assert (told.asked, told.sent, told.note) == (512, 256, "the base model has no more positions")


def test_evaluations_need_rows_that_are_held_out() -> None:
    assert derived(eval_rows=0).evaluate_at == frozenset()
    assert derived(eval_rows=1).evaluate_at == {30}


@pytest.mark.parametrize(
    ("changes", "kind", "kwargs"),
    [
        ({}, "cosine_with_min_lr", {"min_lr_rate": 0.0, "num_cycles": 0.5}),
        ({"min_lr_ratio": 0.1, "cycles": 2.0}, "cosine_with_min_lr", {"min_lr_rate": 0.1, "num_cycles": 2.0}),
        ({"type": "linear"}, "linear", {}),
        ({"type": "linear", "min_lr_ratio": 0.1}, "polynomial", {"power": 1.0, "lr_end": pytest.approx(1e-5)}),
        ({"type": "linear", "min_lr_ratio": 1.0}, "constant_with_warmup", {}),
        ({"type": "polynomial", "min_lr_ratio": 0.5}, "polynomial", {"power": 1.0, "lr_end": pytest.approx(5e-5)}),
        ({"type": "constant"}, "constant", {}),
        ({"type": "constant_with_warmup", "warmup_ratio": 0.1}, "constant_with_warmup", {}),
    ],
)
def test_every_learning_rate_curve_has_its_expression(changes: dict[str, object], kind: str, kwargs: object) -> None:
    rate = curve(scheduled(**changes))
    assert (rate.type, rate.kwargs) == (kind, kwargs)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"type": "linear", "cycles": 0.5}, "optimizer.scheduler.cycles"),
        ({"type": "constant", "min_lr_ratio": 0.1}, "optimizer.scheduler.minLRRatio"),
        ({"type": "constant_with_warmup", "min_lr_ratio": 0.1}, "optimizer.scheduler.minLRRatio"),
        ({"type": "constant", "warmup_ratio": 0.1}, "optimizer.scheduler.warmupRatio"),
    ],
)
def test_a_setting_its_curve_has_no_use_for_is_refused_by_name(changes: dict[str, object], field: str) -> None:
    with pytest.raises(WorkerFailure, match=field) as refused:
        curve(scheduled(**changes))
    assert refused.value.kind == "unsupported"


@given(ratio=st.floats(0, 1), steps=st.integers(0, 1000))
def test_warm_up_fits_into_the_run(ratio: float, steps: int) -> None:
    assert 0 <= warmup_steps(ratio, steps) <= steps


@pytest.mark.parametrize("name", sorted({*NAMES} - {"gradient_checkpointing", "dynamic_padding"}))
def test_a_feature_this_machine_lacks_is_refused_by_name(name: str) -> None:
    with pytest.raises(WorkerFailure, match=name) as refused:
        features(replace(SPEC, optimizations=(name,)), CPU)
    assert refused.value.kind == "unsupported"


def test_features_that_a_machine_has_reach_the_trainer() -> None:
    wished = replace(SPEC, optimizations=NAMES)
    trainer = derived(wished, GPU).trainer
    assert trainer["optim"] == "paged_adamw_8bit"
    assert trainer["packing"] is True
    assert trainer["use_liger_kernel"] is True
    assert trainer["activation_offloading"] is True
    assert trainer["gradient_checkpointing"] is True
    assert features(wished, GPU).attention == "flash_attention_2"


def test_packing_is_refused_where_rows_would_see_each_other() -> None:
    with pytest.raises(WorkerFailure, match="attend to one another"):
        features(replace(SPEC, optimizations=("sequence_packing",)), GPU)


def test_an_unknown_feature_is_refused() -> None:
    with pytest.raises(WorkerFailure, match="hyperdrive"):
        features(replace(SPEC, optimizations=("hyperdrive",)), GPU)


def test_precision_is_what_was_asked_for_or_what_the_device_does_natively() -> None:
    assert (precision(SPEC, CPU), precision(SPEC, GPU)) == ("fp32", "bf16")
    assert precision(replace(SPEC, precision="bf16"), CPU) == "bf16"
    with pytest.raises(WorkerFailure, match="fp16"):
        precision(replace(SPEC, precision="fp16"), CPU)
    with pytest.raises(WorkerFailure, match="bf16"):
        precision(replace(SPEC, precision="bf16"), replace(CPU, bf16=False))


def test_four_bit_training_is_refused_without_its_hardware() -> None:
    four_bit = replace(SPEC, method=replace(SPEC.method, type="qlora"))
    with pytest.raises(WorkerFailure, match="qlora"):
        derived(four_bit)
    assert derived(four_bit, GPU).precision == "bf16"


def test_the_chunked_loss_is_left_where_it_would_not_see_the_layer() -> None:
    def loss(modules: str) -> object:
        lora = Lora(rank=8, alpha=16, dropout=0, trainable_modules=modules)
        return derived(replace(SPEC, method=Method(type="lora", lora=lora))).trainer["loss_type"]

    assert (loss("all-linear"), loss("q_proj, lm_head")) == ("chunked_nll", "nll")


@pytest.mark.parametrize(("dropout", "disabled"), [(0.0, True), (0.1, False)])
def test_a_dropout_that_was_asked_for_is_not_switched_off_by_a_preference_run(dropout: float, disabled: bool) -> None:
    spec = replace(
        SPEC,
        dataset=replace(SPEC.dataset, kind="preference"),
        dpo=Dpo(beta=0.2, loss_type="ipo"),
        method=Method(type="lora", lora=Lora(rank=8, alpha=16, dropout=dropout, trainable_modules="all-linear")),
    )
    trainer = derived(spec).trainer
    assert (trainer["disable_dropout"], trainer["beta"], trainer["loss_type"]) == (disabled, 0.2, ["ipo"])


LABELLED = replace(
    SPEC,
    dataset=replace(SPEC.dataset, kind="labelled"),
    kto=Kto(beta=0.2, desirable_weight=1.0, undesirable_weight=1.5),
)


def test_labelled_rows_keep_their_order_and_carry_their_weights_to_the_trainer() -> None:
    trainer = derived(LABELLED).trainer
    assert trainer["train_sampling_strategy"] == "sequential"
    assert (trainer["loss_type"], trainer["beta"], trainer["desirable_weight"]) == ("kto", 0.2, 1.0)
    assert trainer["undesirable_weight"] == 1.5
    told = {field.field: (field.asked, field.sent) for field in derived(LABELLED).effective}
    assert told["kto.undesirableWeight"] == (1.5, 1.5)
    assert "dpo.beta" not in told


def test_a_single_labelled_row_in_a_batch_has_no_neighbour_and_is_refused() -> None:
    with pytest.raises(WorkerFailure, match="from two in a batch"):
        derived(replace(LABELLED, schedule=replace(SPEC.schedule, batch_size=1)))


def test_raft_rows_are_trained_as_conversations() -> None:
    raft = replace(SPEC, dataset=replace(SPEC.dataset, kind="raft"))
    assert derived(raft).trainer == derived().trainer
    assert derived(replace(raft, optimizations=("flash_attention", "sequence_packing")), GPU).trainer["packing"] is True


def test_rows_are_grouped_by_what_lies_between_two_optimizer_steps_and_not_where_their_order_is_fixed() -> None:
    schedule = replace(SPEC.schedule, batch_size=4, gradient_accumulation=3, group_by_length=True)
    wished = replace(SPEC, schedule=schedule)
    assert (grouped(SPEC), grouped(wished)) == (None, 12)
    assert grouped(replace(wished, dataset=replace(SPEC.dataset, kind="preference"))) == 12
    with pytest.raises(WorkerFailure, match="fixed neighbours"):
        grouped(replace(wished, dataset=replace(SPEC.dataset, kind="labelled")))
    with pytest.raises(WorkerFailure, match="one length already"):
        grouped(replace(wished, optimizations=("flash_attention", "sequence_packing")))


IRRELEVANT = {
    "protocol",
    "engine_reason",
    "sinks",
    "job_id",
    "attempt",
    "submission_key",
    "offline",
    "dataset",
    "resume",
    "judge",
    "threads",
    "paths",
}
"""What may differ between an attempt and the one that resumes it; the data has a digest of its own."""


@pytest.mark.parametrize(
    "changed",
    [
        {"base_model": "/other"},
        {"revision": "main"},
        {"method": Method(type="full", lora=None)},
        {"schedule": replace(SPEC.schedule, batch_size=5)},
        {"optimizer": scheduled(min_lr_ratio=0.5)},
        {"precision": "bf16"},
        {"optimizations": ("gradient_checkpointing",)},
        {"dpo": Dpo(beta=0.1, loss_type="sigmoid")},
        {"seed": 8},
        {"init_layer": "/layer"},
        {"engine": "unsloth"},
        {"kto": Kto(beta=0.1, desirable_weight=1.0, undesirable_weight=1.0)},
        {"projection": Projection(widths=(4, 8, 4), dropout=0.1, target_loss=0.15)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_whatever_decides_the_weights_decides_the_digest(changed: dict[str, object]) -> None:
    assert replace(SPEC, **changed).config_digest != SPEC.config_digest  # type: ignore[arg-type]


def test_a_run_that_asks_for_nothing_new_goes_on_from_checkpoints_of_an_older_worker() -> None:
    """As it was digested before there were engines and further kinds of rows: fields that came later are not in it."""
    before: dict[str, object] = {
        "baseModel": "/base",
        "revision": None,
        "method": {"type": "lora", "lora": {"rank": 8, "alpha": 16, "dropout": 0, "trainable_modules": "all-linear"}},
        "schedule": {
            "epochs": 3,
            "batch_size": 4,
            "sequence_length": 512,
            "gradient_accumulation": 1,
            "checkpoints": 1,
            "evaluations": 1,
            "train_on_inputs": "auto",
        },
        "optimizer": {
            "learning_rate": 1e-4,
            "weight_decay": 0.1,
            "max_gradient_norm": 0.5,
            "scheduler": {"type": "cosine", "min_lr_ratio": 0.0, "warmup_ratio": 0.0, "cycles": None},
        },
        "precision": None,
        "optimizations": [],
        "dpo": None,
        "seed": 7,
        "initLayer": None,
    }
    assert SPEC.config_digest == hashlib.sha256(json.dumps(before, sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize(
    "changed",
    [
        {"method": replace(SPEC.method, allow_full=True)},
        {"method": replace(SPEC.method, lora=replace(SPEC.method.lora, dora=True))},  # type: ignore[type-var]
        {"schedule": replace(SPEC.schedule, group_by_length=True)},
        {"schedule": replace(SPEC.schedule, early_stopping=EarlyStopping(patience=2, threshold=0.0))},
        {"schedule": replace(SPEC.schedule, keep_best=True)},
        {"engine": "mlx"},
        {"processes": 2},
    ],
    ids=str,
)
def test_what_came_later_decides_the_digest_once_it_is_asked_for(changed: dict[str, object]) -> None:
    assert replace(SPEC, **changed).config_digest != SPEC.config_digest  # type: ignore[arg-type]


def test_every_field_of_a_specification_was_thought_of_for_the_digest() -> None:
    deciding = {
        "base_model", "revision", "method", "schedule", "optimizer", "precision",
        "optimizations", "dpo", "seed", "init_layer", "engine", "kto", "embedding", "projection", "processes",
    }  # fmt: skip
    assert {field.name for field in fields(Specification)} == deciding | IRRELEVANT
    assert replace(SPEC, attempt=2, resume=True, threads=4).config_digest == SPEC.config_digest
